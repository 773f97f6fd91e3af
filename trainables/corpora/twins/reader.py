"""The reader of twins: tells a twin's identity without making it, makes it on first use, reads it as a generic corpus."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from trainables.corpora import generic
from trainables.corpora.corpus import CorpusSource
from trainables.corpora.inventory import unwritable
from trainables.corpora.reading import Progress
from trainables.corpora.twins.build import MANIFEST_NAME, RECEIPT_NAME, content_hash, make_twin
from trainables.corpora.twins.recipe import RECIPES, AnyRecipe, Recipe, Synthesiser, twin_digest
from trainables.corpora.twins.settings import caption
from trainables.corpora.twins.speech import best_synthesiser
from trainables.errors import Faults, UserError

if TYPE_CHECKING:
    import pandas as pd


def twin_source(role: str, home: Path, recipe: AnyRecipe | None = None, synthesiser: Synthesiser | None = None) -> CorpusSource:
    """A role's twin, not made yet.

    Args:
        role: The role to play.
        home: Where it is made: ``corpora/twin-<role>-<digest>`` under it.
        recipe: What it is; the role's own if None.
        synthesiser: Who speaks; the best on this machine if None.
    """
    recipe, synthesiser = recipe or RECIPES[role], synthesiser or best_synthesiser()
    digest = twin_digest(recipe, synthesiser)
    return CorpusSource(
        role=role,
        name=caption(role, recipe),
        reader="twin",
        root=str(home.resolve() / "corpora" / f"twin-{role}-{digest}"),
        options={"recipe": recipe.model_dump(mode="json"), "synthesiser": synthesiser.model_dump()},
        digest=digest,
    )


def make_if_missing(source: CorpusSource, progress: Progress | None = None) -> None:
    """Make the twin unless it is there; of several processes that ask at once, one makes it and the others wait.

    Raises:
        UserError: The twin's synthesiser is not on this machine, or its folder cannot be written.
    """
    import filelock

    folder = Path(source.root)
    if (folder / RECEIPT_NAME).is_file():
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder.parent, error) from error
    with filelock.FileLock(f"{folder}.lock"):
        if (folder / RECEIPT_NAME).is_file():
            return
        synthesiser = Synthesiser.model_validate(source.options["synthesiser"])
        _check_synthesiser(source, synthesiser)
        shutil.rmtree(folder, ignore_errors=True)  # without its receipt it has been tampered with
        make_twin(folder, TypeAdapter(Recipe).validate_python(source.options["recipe"]), synthesiser, progress)


def check_made(source: CorpusSource) -> None:
    """Compare a made twin's bytes with the hash that was written down when it was made.

    Raises:
        UserError: They differ, or cannot be read.
    """
    folder = Path(source.root)
    try:
        receipt = json.loads((folder / RECEIPT_NAME).read_bytes())
        expected = (receipt["digest"], receipt["content"])
        found = (source.digest, content_hash(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _spoilt(source, f"it cannot be read ({error})") from error
    if found != expected:
        raise _spoilt(source, f"hash {'-'.join(found)} found, {'-'.join(map(str, expected))} expected")


def read_manifest(source: CorpusSource, faults: Faults) -> pd.DataFrame | None:
    """The manifest of a twin that has been made."""
    plain = source.model_copy(update={"options": {"manifest": MANIFEST_NAME, "columns": {}, "values": {}}})
    return generic.read_manifest(plain, faults)


def _spoilt(source: CorpusSource, why: str) -> UserError:
    return UserError(
        f"corpus {source.name!r} has changed since it was made: {why}; delete the folder {source.root} and run the command "
        "again, which makes it anew"
    )


def _check_synthesiser(source: CorpusSource, wanted: Synthesiser) -> None:
    """Another synthesiser would make other sound under the same digest."""
    here = best_synthesiser()
    if wanted.name == "espeak-ng" and here != wanted:
        raise UserError(
            f"corpus {source.name!r} is spoken by espeak-ng {wanted.version}, this machine has {here.name} {here.version}: "
            f"install espeakng-loader=={wanted.version} here (the project's extra 'demo'), "
            "or share the folder of results between the machines"
        )
