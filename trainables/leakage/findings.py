"""A finding of the audit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

Severity = Literal["leak", "stated"]
"""'leak': scores would be too good for a reason that nobody asked for, so the sweep stops. 'stated': the protocol or the paper has
it so, and every table says it."""

SHOWN = 5
"""Examples that a finding names."""


class Leak(NamedTuple):
    """One finding.

    Attributes:
        kind: What is shared or seen, in a word or two: 'speaker', 'audio content', 'selection on test'.
        severity: Whether the sweep stops.
        message: What was found and what to do, in a clause.
        count: How many; of what, the message says.
        examples: The first names: of speakers, sessions, files or segments, never what was said.
        about: The stage that it is about, by its label; '' for a finding about the data.
    """

    kind: str
    severity: Severity
    message: str
    count: int
    examples: tuple[str, ...] = ()
    about: str = ""

    def __str__(self) -> str:
        shown = f" ({', '.join(self.examples)}{', ...' if self.count > len(self.examples) else ''})" if self.examples else ""
        return f"{self.kind}: {self.message}{shown}"


def counted(count: int, nouns: str, verbs: str = "") -> str:
    """'1 segment is', '1,200 segments are': a count with its noun, and its verb where one is given as 'is/are'."""
    verb, _, others = verbs.partition("/")
    said = [f"{count:,}", nouns.removesuffix("s") if count == 1 else nouns, verb if count == 1 else others]
    return " ".join(filter(None, said))


def worst(leaks: Iterable[Leak]) -> list[Leak]:
    """Of each kind, severity and stage the finding with the highest count."""
    found: dict[tuple[str, str, str], Leak] = {}
    for leak in leaks:
        key = (leak.kind, leak.severity, leak.about)
        if key not in found or leak.count > found[key].count:
            found[key] = leak
    return list(found.values())


def merged(divisions: Iterable[list[Leak]]) -> list[Leak]:
    """The worst findings of several divisions (seeds, folds) of one corpus, and how many of the divisions have them."""
    divisions = [worst(found) for found in divisions]
    answer = []
    for leak in worst(leak for found in divisions for leak in found):
        having = sum(any((leak.kind, leak.severity) == (other.kind, other.severity) for other in found) for found in divisions)
        often = "" if having == len(divisions) else f", in {having} of {len(divisions)} divisions"
        answer.append(leak._replace(message=leak.message + often))
    return answer
