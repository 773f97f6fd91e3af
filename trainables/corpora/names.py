r"""Names of files whose bytes are not Unicode, written as words that can be stored, sorted and printed.

A folder made on a Chinese Windows has a name in GBK. Python gives its bytes as surrogate escapes (:pep:`383`), which pandas' str
columns, Parquet and terminals refuse. In a manifest each such byte is therefore ``\xcf``, as Python would print it, and a path is
made of it again where the file is opened. The names of all other files stay as they are.
"""

from __future__ import annotations

import os
import re

from trainables.errors import printable

__all__ = ["openable", "printable"]

_BYTE = re.compile(r"\\x([89a-f][0-9a-f])")


def openable(name: str) -> str:
    """The path that :func:`~trainables.errors.printable` was given."""
    return _BYTE.sub(lambda match: os.fsdecode(bytes.fromhex(match[1])), name) if "\\" in name else name
