"""What a user is told when something is wrong, and a way to tell everything at once.

A message says what was found, what was expected and what to do. The commands print a :class:`UserError` without a traceback;
any other exception is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import re

_BYTE = re.compile("[\udc80-\udcff]")


def printable(text: str) -> str:
    r"""The text as a terminal, pandas and Parquet take it: names of files need not be UTF-8, nor JSON characters.

    Each byte of a name that is not UTF-8 (a surrogate escape, :pep:`383`) becomes ``\xcf``, any other surrogate ``\ud800``.
    """
    return _BYTE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text).encode("utf-8", "backslashreplace").decode()


class UserError(Exception):
    """Something the user can mend: a wrong setting, an unreadable corpus, a missing resource.

    Attributes:
        messages: The single faults, without the heading that :class:`Faults` gives them, so that another collection can take
            them over one by one; the whole message where there is one fault only.
    """

    def __init__(self, message: str, messages: tuple[str, ...] = ()) -> None:
        super().__init__(printable(message))
        self.messages = tuple(map(printable, messages or (message,)))


class Faults:
    """Collects every fault of an input, so that the user mends them in one go.

    >>> faults = Faults("corpus 'mdd'")
    >>> faults.add("column 'speaker' is missing; add it")
    >>> faults.raise_if_any()
    Traceback (most recent call last):
    trainables.errors.UserError: 1 fault in corpus 'mdd':
      - column 'speaker' is missing; add it
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.messages: list[str] = []
        self._known: set[str] = set()  # a corpus may have a fault for each of its recordings

    def add(self, message: str) -> None:
        """Remember one fault; the same message is kept once."""
        message = printable(message)
        if message not in self._known:
            self._known.add(message)
            self.messages.append(message)

    def raise_if_any(self) -> None:
        """Raise :class:`UserError` listing every fault, if there is any."""
        if self.messages:
            noun = "fault" if len(self.messages) == 1 else "faults"
            listing = "\n".join(f"  - {message}" for message in self.messages)
            raise UserError(f"{len(self.messages)} {noun} in {self.where}:\n{listing}", tuple(self.messages))
