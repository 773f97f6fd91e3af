"""From the user's ``--corpora`` to corpora that are checked and have a digest.

``corpora.toml`` has one table per role::

    [mosei]
    root = "recordings/emodb"                     # relative to this file
    name = "EmoDB"                                # optional: what tables call it
    manifest = "labels.csv"                       # optional: else metadata.csv, manifest.tsv, ... is looked for
    columns = { emotion = "label" }               # optional: the manifest's column = the table's column
    sentiment = { happiness = 1, anger = -1 }     # optional: a column's words = their values

``mdd = "demo"`` gives a role its twin, and ``--corpora demo`` gives every role its twin. A table can ask for another twin; its
settings are those of the role's recipe (:mod:`trainables.corpora.twins.recipe`)::

    [mdd]
    reader = "twin"
    seed = 7
    planted = false                               # labels say nothing about sound and words
    sessions_per_class = 8
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainables.corpora.corpus import READERS, CorpusSource, reader_module
from trainables.corpora.generic import closest
from trainables.corpora.roles import ROLES
from trainables.errors import Faults, UserError

DEMO = "demo"
_COMMON_SETTINGS = ("root", "name", "reader")


def open_corpora(spec: str, home: Path, roles: Iterable[str]) -> dict[str, CorpusSource]:
    """Open the corpus of every role; a real one is read and checked here, before anything is computed.

    Args:
        spec: 'demo', or the path of a corpora.toml.
        home: Where the program keeps its files: twins are made and hashes remembered under it.
        roles: The roles that are needed.

    Returns:
        One source per role. A twin is not made yet: its digest is its recipe's.

    Raises:
        UserError: All faults of all roles, together.
    """
    wanted = list(dict.fromkeys(roles))
    settings = dict.fromkeys(wanted, DEMO) if spec == DEMO else _read_toml(Path(spec))
    base = Path() if spec == DEMO else Path(spec).resolve().parent
    faults = Faults("the corpora" if spec == DEMO else f"the corpora of {spec}")
    for role in (*settings, *wanted):
        if role not in ROLES:
            faults.add(f"unknown role {role!r}{closest(role, tuple(ROLES))}")
    sources: dict[str, CorpusSource] = {}
    for role in (role for role in wanted if role in ROLES):
        if role not in settings:
            faults.add(f'{role}: this study needs the role; add [{role}] with a root, or {role} = "{DEMO}"')
            continue
        own = Faults(role)
        source = _open(role, settings[role], base, home, own)
        for message in own.messages:
            faults.add(f"{role}: {message}")
        if source is not None:
            sources[role] = source
    faults.raise_if_any()
    return sources


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"--corpora: {path} is no file; give '{DEMO}' or the path of a corpora.toml")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from error


def _open(role: str, settings: Any, base: Path, home: Path, faults: Faults) -> CorpusSource | None:
    if settings == DEMO:
        from trainables.corpora.twins.reader import twin_source

        return twin_source(role, home)
    if not isinstance(settings, Mapping):
        faults.add(f'expected a table with a root, or "{DEMO}"; found {settings!r}')
        return None
    reader = settings.get("reader", "generic")
    if reader not in tuple(READERS):  # a tuple, because what the user wrote may not be hashable
        faults.add(f"unknown reader {reader!r}{closest(str(reader), tuple(READERS))}")
        return None
    if reader == "twin":
        return _twin(role, settings, home, faults)
    module = reader_module(reader)
    known = (*_COMMON_SETTINGS, *module.SETTINGS)
    for key in settings:
        if key not in known:
            faults.add(f"unknown key {key!r}{closest(key, known)}")
    root = _root(settings, base, faults)
    options = module.options_from(dict(settings), faults)
    if root is None or faults.messages:
        return None
    name = str(settings.get("name", role))
    return _checked(CorpusSource(role=role, name=name, reader=reader, root=str(root), options=options, digest=""), home, faults)


def _twin(role: str, settings: Mapping[str, Any], home: Path, faults: Faults) -> CorpusSource | None:
    from trainables.corpora.twins.reader import twin_source
    from trainables.corpora.twins.settings import recipe_from

    recipe = recipe_from(role, {key: value for key, value in settings.items() if key != "reader"}, faults)
    return None if recipe is None else twin_source(role, home, recipe)


def _root(settings: Mapping[str, Any], base: Path, faults: Faults) -> Path | None:
    given = settings.get("root")
    if not isinstance(given, str) or not given:
        faults.add('root is missing: give the corpus\' folder, root = "..."')
        return None
    root = (base / Path(given).expanduser()).resolve()
    if not root.is_dir():
        faults.add(f"root {root} is no folder; paths in corpora.toml are relative to its own folder")
        return None
    return root


def _checked(source: CorpusSource, home: Path, faults: Faults) -> CorpusSource | None:
    from trainables.corpora.inventory import content_digest, take_inventory
    from trainables.corpora.manifest import check_audio, check_table

    table = reader_module(source.reader).read_manifest(source, faults)
    if table is None:
        return None
    check_table(table, source.role, faults)
    try:
        files = take_inventory(Path(source.root), (name for name in table["recording"] if name), home)
    except UserError as error:
        faults.add(str(error))
        return None
    check_audio(table, files, faults)
    return None if faults.messages else source.model_copy(update={"digest": content_digest(table, files)})
