"""A twin's recipe from a role's table in corpora.toml, and what captions call it.

A table may hold the fields of the role's recipe, apart from the effects: of these only whether anything is planted can be chosen
(``planted = false``), because sizes of effects are part of what a twin is, and a twin without any is what a table's statistics
are tested on. Some effects have switches of their own (``switches`` of the recipe's effects). The daic_woz twin has three::

    [daic_woz]
    reader = "twin"
    weather = false           # emotions, in words and voices, are drawn independently of the diagnosis; usually true
    direct = true             # depression changes voice, words and latency of every turn, whatever its emotion; usually false
    probes = false            # the interviewer asks everybody about depression equally often; usually true
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from trainables.corpora import generic
from trainables.corpora.columns import closest
from trainables.corpora.twins.effects import VoiceEffects
from trainables.corpora.twins.recipe import RECIPES, AnyRecipe
from trainables.errors import Faults

_NUMBERS = {2: "two", 3: "three"}
_OF_REAL_CORPORA = ("root", "name", *generic.SETTINGS)


def recipe_from(role: str, settings: Mapping[str, Any], faults: Faults) -> AnyRecipe | None:
    """The recipe that a role's table asks for.

    Args:
        role: The role; its own recipe gives what the table leaves out.
        settings: The table, without ``reader``.
        faults: Receives every key and value that cannot be; the recipe is then None.
    """
    usual = RECIPES[role]
    own = tuple(name for name in type(usual).model_fields if name not in ("kind", "effects"))
    switches = usual.effects.switches
    known = (*own, "planted", *switches)
    for key in settings:
        if key in _OF_REAL_CORPORA:
            faults.add(f'{key!r} is for recordings on disk, and a twin is made: delete it, or the line reader = "twin"')
        elif key not in known:
            faults.add(f"unknown key {key!r}{closest(key, known)}")
    chosen = {key: settings[key] for key in ("planted", *switches) if key in settings}
    for key, value in chosen.items():
        if not isinstance(value, bool):
            faults.add(f"{key} should be true or false; found {value!r}")
    planted = chosen.pop("planted", True)
    if planted is False:
        for key in (key for key, value in chosen.items() if value is True):
            faults.add(f"planted = false plants nothing, so {key} = true cannot be: delete one of the two")
    given = {name: settings[name] for name in own if name in settings}
    try:
        # By way of JSON, where a strict check lets a list be a pair, but no word and no boolean a number.
        recipe = type(usual).model_validate_json(json.dumps(given, default=str), strict=True)
    except ValidationError as error:
        for detail in error.errors():
            faults.add(_sentence(detail, given, usual))
    if faults.messages:
        return None
    effects = recipe.effects.model_copy(update=chosen) if planted else type(recipe.effects).nothing()
    return recipe.model_copy(update={"effects": effects})


def caption(role: str, recipe: AnyRecipe) -> str:
    """What captions call a twin: 'twin-mdd' for the role's own, else with what is different: 'twin-mdd(seed=7,planted=false)'."""
    usual = RECIPES[role]
    changed = [name for name in type(recipe).model_fields if getattr(recipe, name) != getattr(usual, name)]
    told = ",".join(_difference(recipe, usual, name) for name in changed)
    return f"twin-{role}({told})" if told else f"twin-{role}"


def _difference(recipe: AnyRecipe, usual: AnyRecipe, name: str) -> str:
    value = getattr(recipe, name)
    if name == "effects":
        return _planted(recipe.effects, usual.effects)
    return f"{name}={'-'.join(map(str, value)) if isinstance(value, tuple) else value}"


def _planted(effects: VoiceEffects, usual: VoiceEffects) -> str:
    if effects == type(effects).nothing():
        return "planted=false"
    switched = {name: getattr(effects, name) for name in effects.switches if getattr(effects, name) != getattr(usual, name)}
    if effects != usual.model_copy(update=switched):
        return "effects=changed"
    return ",".join(f"{name}={str(value).lower()}" for name, value in switched.items())


def _sentence(detail: ErrorDetails, given: Mapping[str, Any], usual: AnyRecipe) -> str:
    """Pydantic's finding as one of ours: 'seed should be a valid integer; found 'x''."""
    name = str(detail["loc"][0])
    wish = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if detail["type"] in ("missing", "too_long", "tuple_type"):
        wish = f"should be {_NUMBERS[len(getattr(usual, name))]} numbers in brackets"
    return f"{name}{' ' if wish.startswith('should') else ': '}{wish[0].lower()}{wish[1:]}; found {given[name]!r}"
