"""From the user's ``--corpora`` to corpora that are checked and have a digest.

``corpora.toml`` has one table per role::

    [mosei]
    root = "recordings/emodb"                     # relative to this file
    name = "EmoDB"                                # optional: what tables call it
    manifest = "labels.csv"                       # optional: else metadata.csv, manifest.tsv, ... is looked for
    columns = { emotion = "label" }               # optional: the manifest's column = the table's column
    sentiment = { happiness = 1, anger = -1 }     # optional: a column's words = their values
    skip_damaged = true                           # optional: leave out, by name, what is missing or damaged; else it is a fault

``mdd = "demo"`` gives a role its twin, and ``--corpora demo`` gives every role its twin. A table can ask for another twin; its
settings are those of the role's recipe (:mod:`trainables.corpora.twins.recipe`)::

    [mdd]
    reader = "twin"
    seed = 7
    planted = false                               # labels say nothing about sound and words
    sessions_per_class = 8

The table ``[pretrained]`` is no role: it gives public weights their directories (:mod:`trainables.pretrained`).
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trainables.corpora.columns import closest
from trainables.corpora.corpus import READERS, CorpusSource, layout_of, reader_module
from trainables.corpora.reading import Report
from trainables.corpora.roles import ROLES
from trainables.corpora.tables import find_tables, holds_table
from trainables.errors import Faults, UserError, printable

DEMO = "demo"
_PRETRAINED = "pretrained"
_OF_TABLES = ("sre", "mdd")
"""Readers of one corpus that comes as a plain table, whose file name tells nothing: tried in their own role alone."""
_NOT_DETECTED = (*_OF_TABLES, "generic", "twin")
_TABLE_FORMATS = ("emobox",)
"""Formats whose own files may have a plain table's name."""
_COMMON_SETTINGS = ("root", "name", "reader", "skip_damaged")


class Configured(NamedTuple):
    """A role's corpus as corpora.toml describes it, not looked at yet.

    Attributes:
        source: A twin's is complete; a real one has no digest, and nothing left out.
        skip_damaged: Whether what is missing or damaged is left out instead of being a fault.
        instead: What to tell besides if it cannot be read: that it was not read as the role's own corpus, and why.
    """

    source: CorpusSource
    skip_damaged: bool = False
    instead: tuple[str, ...] = ()


def open_corpora(spec: str, home: Path, roles: Iterable[str], reports: dict[str, Report] | None = None) -> dict[str, CorpusSource]:
    """Open the corpus of every role; a real one is read and checked here, before anything is computed.

    Args:
        spec: 'demo', or the path of a corpora.toml.
        home: Where the program keeps its files: twins are made and hashes remembered under it.
        roles: The roles that are needed.
        reports: Receives each role's report: its faults, and what was left out of its manifest.

    Returns:
        One source per role. A twin is not made yet: its digest is its recipe's.

    Raises:
        UserError: All faults of all roles, together.
    """
    wanted = list(dict.fromkeys(roles))
    settings = dict.fromkeys(wanted, DEMO) if spec == DEMO else read_settings(Path(spec))
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
        own = Report(role)
        if reports is not None:
            reports[role] = own
        source = _open(role, settings[role], base, home, own)
        for message in own.messages:
            faults.add(f"{role}: {message}")
        if source is not None:
            sources[role] = source
    faults.raise_if_any()
    return sources


def read_settings(path: Path) -> dict[str, Any]:
    """The tables of a corpora.toml, by role.

    Raises:
        UserError: No such file, or no TOML.
    """
    return {role: settings for role, settings in _read(path).items() if role != _PRETRAINED}


def pretrained_directories(spec: str) -> dict[str, str]:
    """Where the user has public weights, by their name: the table ``[pretrained]``, with absolute paths.

    Args:
        spec: 'demo', or the path of a corpora.toml.

    Raises:
        UserError: As :func:`read_settings`; or the table does not give folders.
    """
    given = {} if spec == DEMO else _read(Path(spec)).get(_PRETRAINED, {})
    faults = Faults(f"{spec}, [{_PRETRAINED}]")
    if not isinstance(given, Mapping):
        faults.add(f'[{_PRETRAINED}] must be a table of lines "NAME" = "DIR", found {given!r}')
        given = {}
    for name, folder in given.items():
        if not isinstance(folder, str) or not folder:
            faults.add(f'[{_PRETRAINED}] {name}: expected a folder, "NAME" = "DIR" (both in quotes), found {folder!r}')
    faults.raise_if_any()
    base = Path(spec).resolve().parent
    return {name: os.path.abspath(base / os.path.expanduser(folder)) for name, folder in given.items()}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"--corpora: {path} is no file; give '{DEMO}' or the path of a corpora.toml")
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _open(role: str, settings: Any, base: Path, home: Path, report: Report) -> CorpusSource | None:
    configured = configure(role, settings, base, home, report)
    if configured is None or configured.source.is_twin:
        return configured and configured.source
    from trainables.corpora.examination import examine

    examined = examine(configured, home, report)
    return None if examined is None or report.messages else examined.source


def configure(role: str, settings: Any, base: Path, home: Path, report: Report) -> Configured | None:
    """A role's corpus, from its table in corpora.toml.

    Args:
        role: A key of :data:`trainables.corpora.roles.ROLES`.
        settings: The table, or 'demo'.
        base: The folder that a root is relative to.
        home: Where the program keeps its files.
        report: Receives what is wrong with the table, and a root that does not hold what is expected.

    Returns:
        None if there is a fault.
    """
    if settings == DEMO:
        from trainables.corpora.twins.reader import twin_source

        return Configured(twin_source(role, home))
    if not isinstance(settings, Mapping):
        report.add(f'expected a table with a root, or "{DEMO}"; found {settings!r}')
        return None
    reader = settings.get("reader")
    if reader is not None and reader not in tuple(READERS):  # a tuple, because what the user wrote may not be hashable
        report.add(f"unknown reader {reader!r}{closest(str(reader), tuple(READERS))}")
        return None
    if reader == "twin":
        twin = _twin(role, settings, home, report)
        return twin and Configured(twin)
    root = root_of(settings, base, report)
    detected = reader or ("generic" if root is None else detect_reader(root, role))
    options = _options(detected, settings, report)
    if root is None or report.messages:
        return None
    if (found := reader_module(detected).find_root(root)) is None:
        report.add(_unlike(root, detected, role))
        return None
    name = str(settings.get("name", role))
    source = CorpusSource(role=role, name=name, reader=detected, root=str(found), options=options, digest="")
    if reader is None:
        _note_tables(root, detected, report)
    return Configured(source, settings.get("skip_damaged", False), () if reader else _instead(root, source))


def _options(reader: str, settings: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The reader's options; keys and values that cannot be are faults."""
    module = reader_module(reader)
    known = (*_COMMON_SETTINGS, *module.SETTINGS)
    for key in settings:
        if key not in known:
            report.add(f"unknown key {key!r}{closest(key, known)}")
    skip_damaged = settings.get("skip_damaged", False)
    if not isinstance(skip_damaged, bool):
        report.add(f"skip_damaged must be true or false, found {skip_damaged!r}")
    return module.options_from(dict(settings), report)


def _unlike(root: Path, reader: str, role: str) -> str:
    other = detect_reader(root, role)
    own_table = 'if it has a table of its own: reader = "generic"'
    hint = own_table if other == "generic" else f'it looks like {other}: reader = "{other}"'
    return f"{root} does not look like {reader}: expected {layout_of(reader)}; {hint}"


def _note_tables(root: Path, reader: str, report: Report) -> None:
    """Tell of a table that is passed over, because a layout goes before it."""
    if reader not in (*_NOT_DETECTED, *_TABLE_FORMATS) and holds_table(root):
        names = [path.relative_to(root).as_posix() for path, _ in find_tables(root, None, Faults(""))]
        report.note(f'tables not read, because {root} looks like {reader} (reader = "generic" reads them instead)', names)


def _instead(root: Path, source: CorpusSource) -> tuple[str, ...]:
    """For a folder that no reader knows, in a role that has its own: without a table it was probably meant to be that corpus."""
    role = source.role
    if source.reader != "generic" or role not in READERS or source.options["manifest"] is not None or holds_table(root):
        return ()
    return (f"{root} does not look like {role} either: expected {layout_of(role)}",)


def detect_reader(root: Path, role: str) -> str:
    """The reader whose layout is found in a folder: the role's own first, then the others, else the one of a plain table.

    A layout in the folder's parent counts for the role's own corpus alone, and not where the folder has a table of its own: a
    corpus beside this one would be read in its place.
    """
    plain = role if role in _OF_TABLES else "generic"
    own = [role] if role in READERS and (role not in _OF_TABLES or holds_table(root)) else []
    for name in (*own, *(name for name in READERS if name not in (role, *_NOT_DETECTED))):
        found = reader_module(name).find_root(root)
        if found is not None and (found.is_relative_to(root) or (name == role and not holds_table(root))):
            return name
    return plain


def _twin(role: str, settings: Mapping[str, Any], home: Path, faults: Report) -> CorpusSource | None:
    from trainables.corpora.twins.reader import twin_source
    from trainables.corpora.twins.settings import recipe_from

    recipe = recipe_from(role, {key: value for key, value in settings.items() if key != "reader"}, faults)
    return None if recipe is None else twin_source(role, home, recipe)


def root_of(settings: Mapping[str, Any], base: Path, faults: Faults) -> Path | None:
    """The folder that a role's table in corpora.toml names; None if it is none that can be read, and then the faults say why.

    Args:
        settings: The role's table.
        base: The folder that a root is relative to; ``Path()`` where the root was given on the command line.
        faults: Told what is wrong.
    """
    relative = "" if base == Path() else "; paths in corpora.toml are relative to its own folder"
    given = settings.get("root")
    if not isinstance(given, str) or not given:
        faults.add('root is missing: give the corpus\' folder, root = "..."')
        return None
    try:
        root = (base / Path(given).expanduser()).resolve()
        there = stat.S_ISDIR(root.stat().st_mode)
        readable = there and os.access(root, os.R_OK | os.X_OK)
    except (FileNotFoundError, NotADirectoryError):
        faults.add(f"root {root} is no folder{relative}")
        return None
    except (OSError, ValueError, RuntimeError) as error:  # not allowed, too long, a null byte, a home of nobody
        faults.add(f"root {given!r} cannot be read ({error})")
        return None
    if not there:
        faults.add(f"root {root} is no folder{relative}")
    elif not readable:
        faults.add(f"root {root} cannot be read (permission denied)")
    elif printable(str(root)) != str(root):
        faults.add(f"root {root}: its name is not UTF-8, so it cannot be written down; rename the folder, or link to it")
    else:
        return root
    return None
