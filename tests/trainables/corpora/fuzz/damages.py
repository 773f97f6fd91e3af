"""What happens to files on their way: hypothesis strategies that draw damages, and what does them to a tree."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        \xff\xfe\xb0" + bytes(40)
CELLS = (
    *(
        "",
        " ",
        "NaN",
        "nan",
        "inf",
        "-inf",
        "-1",
        "0",
        "-0.0",
        "1e400",
        "1e18",
        "9" * 40,
        "0x1F",
        "1,5",
        "٣",
        "1_000",
        "None",
        "null",
    ),
    *(
        '"',
        "'",
        "\x00",
        "\ufeff",
        "\u2028",
        "\x1c",
        "\x85",
        "ÿ",
        "情感",
        "\\udcff",
        "\\ud800",
        "..",
        "../..",
        "/",
        "C:\\x.wav",
        "a" * 5000,
    ),
    *(
        "true",
        "Test3",
        "XX0",
        "xxx",
        "_",
        "-",
        "[",
        "]",
        "{}",
        "[]",
        "[nan - nan]",
        "2020-01-01",
        "0 days 00:00:01",
        "|",
        "; ",
        "\t",
        "%s",
    ),
)
"""What stands in cells that were edited by hand, filled in by a spreadsheet, or moved into the wrong column."""

_PIECE = re.compile(r"[^\s,;|\[\]{}:\"]+")


class Damage(NamedTuple):
    """A kind of :data:`KINDS`, which file it befalls (modulo their number), where in it (0 to 1), and with what."""

    kind: str
    file: int
    where: float
    cell: str
    noise: bytes


def _at(content: bytes, where: float) -> int:
    return round(where * len(content))


def _lines(path: Path, change: Callable[[list[bytes], int], list[bytes]], where: float) -> None:
    lines = path.read_bytes().splitlines(keepends=True) or [b""]
    path.write_bytes(b"".join(change(lines, min(len(lines) - 1, round(where * len(lines))))))


def truncate(path: Path, damage: Damage) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: _at(content, damage.where)])


def overwrite(path: Path, damage: Damage) -> None:
    content = bytearray(path.read_bytes())
    at = _at(content, damage.where)
    content[at : at + len(damage.noise)] = damage.noise
    path.write_bytes(content)


def insert(path: Path, damage: Damage) -> None:
    content = path.read_bytes()
    at = _at(content, damage.where)
    path.write_bytes(content[:at] + damage.noise + content[at:])


def replace_all(path: Path, damage: Damage) -> None:
    path.write_bytes(damage.noise)


def empty(path: Path, damage: Damage) -> None:
    path.write_bytes(b"")


def delete(path: Path, damage: Damage) -> None:
    path.unlink()


def delete_folder(path: Path, damage: Damage) -> None:
    shutil.rmtree(path.parent)


def rename(path: Path, damage: Damage) -> None:
    changes = (
        str.upper,
        str.lower,
        lambda name: "._" + name,
        lambda name: name + ".bak",
        lambda name: name[1:] or "x",
        str.swapcase,
    )
    path.rename(path.with_name(changes[round(damage.where * (len(changes) - 1))](path.name)))


def rename_folder(path: Path, damage: Damage) -> None:
    name = os.fsdecode(damage.noise.replace(b"/", b"").replace(b"\0", b"")[:40]) or "x"
    if name not in (".", "..") and not path.parent.with_name(name).exists():
        path.parent.rename(path.parent.with_name(name))


def move_up(path: Path, damage: Damage) -> None:
    if not (path.parent.parent / path.name).exists():
        path.rename(path.parent.parent / path.name)


def folder_instead(path: Path, damage: Damage) -> None:
    path.unlink()
    path.mkdir()


def file_instead_of_folder(path: Path, damage: Damage) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(damage.noise)


def link_to_nothing(path: Path, damage: Damage) -> None:
    path.unlink()
    path.symlink_to("nowhere" if damage.where < 0.5 else path.name)  # the second is a loop


def apple_doubles(path: Path, damage: Damage) -> None:
    for other in list(path.parent.iterdir()):
        other.with_name("._" + other.name).write_bytes(APPLE_DOUBLE)


def extra_file(path: Path, damage: Damage) -> None:
    shutil.copy(path, path.with_name(f"copy {path.name}" if damage.where < 0.5 else f"0{path.name}"))


def swap_files(path: Path, damage: Damage) -> None:
    other = sorted(path.parent.iterdir())[0]
    if other != path and other.is_file():
        first, second = path.read_bytes(), other.read_bytes()
        path.write_bytes(second)
        other.write_bytes(first)


def carriage_returns(path: Path, damage: Damage) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n" if damage.where < 0.7 else b"\r"))


def byte_order_mark(path: Path, damage: Damage) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def other_encoding(path: Path, damage: Damage) -> None:
    encoding = ("utf-16", "gb18030", "utf-32", "cp037")[min(3, int(4 * damage.where))]
    path.write_bytes((path.read_bytes().decode(errors="replace") + "情感é").encode(encoding, errors="replace"))


def no_header(path: Path, damage: Damage) -> None:
    _lines(path, lambda lines, at: lines[1:], damage.where)


def duplicate_line(path: Path, damage: Damage) -> None:
    _lines(path, lambda lines, at: [*lines[: at + 1], *lines[at:]], damage.where)


def delete_line(path: Path, damage: Damage) -> None:
    _lines(path, lambda lines, at: lines[:at] + lines[at + 1 :], damage.where)


def only_header(path: Path, damage: Damage) -> None:
    _lines(path, lambda lines, at: lines[:1], damage.where)


def blank_lines(path: Path, damage: Damage) -> None:
    _lines(path, lambda lines, at: [part for line in lines for part in (line, b"\n")], damage.where)


def swap_columns(path: Path, damage: Damage) -> None:
    text = path.read_bytes().decode(errors="surrogateescape")
    delimiter = max(",\t;| ", key=text.count)
    rows = [line.split(delimiter) for line in text.split("\n")]
    first = int(damage.where * max(map(len, rows)))
    swapped = [[*row[1 : first + 1], *row[:1], *row[first + 1 :]] if len(row) > first else row for row in rows]
    path.write_bytes("\n".join(delimiter.join(row) for row in swapped).encode(errors="surrogateescape"))


def _replace_pieces(path: Path, damage: Damage, how_many: int) -> None:
    text = path.read_bytes().decode(errors="surrogateescape")
    pieces = list(_PIECE.finditer(text))
    if pieces:
        chosen = min(len(pieces) - 1, int(damage.where * len(pieces)))
        for piece in reversed(pieces[chosen : chosen + how_many]):
            text = text[: piece.start()] + damage.cell + text[piece.end() :]
    path.write_bytes(text.encode(errors="surrogateescape"))


def change_a_cell(path: Path, damage: Damage) -> None:
    _replace_pieces(path, damage, 1)


def change_many_cells(path: Path, damage: Damage) -> None:
    _replace_pieces(path, damage, 20)


ANY_FILE = (
    *(truncate, overwrite, insert, replace_all, empty, delete, delete_folder, rename, rename_folder, move_up, folder_instead),
    *(file_instead_of_folder, link_to_nothing, apple_doubles, extra_file, swap_files),
)
TEXT = (
    *(carriage_returns, byte_order_mark, other_encoding, no_header, duplicate_line, delete_line, only_header, blank_lines),
    *(swap_columns, change_a_cell, change_a_cell, change_a_cell, change_many_cells),
)
KINDS = {change.__name__: change for change in (*ANY_FILE, *TEXT)}
_SOUND = (".wav", ".flac")


@st.composite
def damages(draw: st.DrawFn) -> list[Damage]:
    """One to three damages; tables are hit more often than sound, and in more ways."""
    names = st.sampled_from([change.__name__ for change in (*ANY_FILE, *TEXT, *TEXT)])
    one = st.builds(Damage, names, st.integers(0, 999), st.floats(0, 1), st.sampled_from(CELLS), st.binary(max_size=64))
    return draw(st.lists(one, min_size=1, max_size=3))


def words_of(path: Path) -> set[str]:
    """Names, ids and values that a file holds, if it is text that can be read."""
    try:
        content = path.read_bytes()
        text = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error):
        return set()
    return set(_PIECE.findall(text.decode("utf-8-sig", errors="surrogateescape")))


def do(damage: Damage, root: Path) -> set[str]:
    """Damage a tree: what befalls text befalls a table, anything else any file.

    Returns:
        What a message on it may name: paths, and in quotation marks what the file held or holds. Nothing where other files are
        damaged with it, or none is.
    """
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith("._")]
    tables = [path for path in files if path.suffix.lower() not in _SOUND]
    change = KINDS[damage.kind]
    candidates = tables if tables and (change in TEXT or damage.file % 2) else [] if change in TEXT else files
    if candidates:
        path = candidates[damage.file // 2 % len(candidates)]
        if change in (delete_folder, rename_folder, file_instead_of_folder, move_up) and path.parent == root:
            return set()
        held = words_of(path) if path in tables else set()
        change(path, damage)
        if change not in (delete_folder, rename_folder, file_instead_of_folder, apple_doubles):
            held |= words_of(path) if path in tables else set()
            ids = {part for part in re.split(r"[\W_]", path.stem) if len(part) > 2}
            return {
                path.name,
                path.stem,
                *ids,
                *(repr(word) for word in {*held, damage.cell}),
                *(f"'{word}" for word in held if len(word) > 2),
            }
    return set()
