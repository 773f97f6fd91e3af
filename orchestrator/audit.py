"""The leakage audit before a sweep: every division of every row, and what every chain has heard before it is scored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.markup import escape

from trainables.errors import Faults, UserError
from trainables.leakage.chain import ChainAudit, scored_stages, undivided
from trainables.leakage.findings import Leak, merged, worst
from trainables.protocols import unrestricted

if TYPE_CHECKING:
    from trainables.corpora.corpus import CorpusSource
    from trainables.divided import DividedStage
    from trainables.leakage.corpus import AuditedCorpus
    from trainables.protocols import Protocol
    from trainables.stage import Stage


_ANY = "all corpora"


class Audit(NamedTuple):
    """What the audit found, each finding once, in sentences.

    Attributes:
        leaks: What stops a sweep unless it is allowed to go on; then its runs are tagged and its table has a footnote.
        stated: What the protocol or the paper has so; every caption says it.
    """

    leaks: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()


def audit(targets: Iterable[Stage], corpora: Mapping[str, CorpusSource], home: Path) -> Audit:
    """Audit the chains that end with these stages.

    Args:
        targets: The last stages of all rows and seeds.
        corpora: The corpus of every role. A twin that is not made yet is left out: nothing can be said of its rows.
        home: Where hashes of recordings are remembered.

    Raises:
        UserError: Divisions are impossible: each fault once, with the role, the protocol and how many divisions have it.
    """
    targets = list(dict.fromkeys(targets))
    scored = list(dict.fromkeys(stage for target in targets for stage in scored_stages(target)))
    chains = ChainAudit({role: _opened(role, source, home) for role, source in corpora.items() if _is_there(source)})
    faults = ImpossibleDivisions()
    divisions: dict[tuple, dict[bytes, list[Leak]]] = {}
    about_chains = {_ANY: [undivided(target) for target in targets if not scored_stages(target)]}
    for stage in scored:
        corpus = chains.corpus_of(stage)
        role = corpus.role if corpus else _ANY
        try:
            about_chains.setdefault(role, []).extend(chains.find(stage))
            if corpus is not None:
                _audit_division(stage, corpus, chains, divisions)
            faults.possible(role, stage)
        except UserError as error:
            faults.add(role, stage, error)
    faults.raise_if_any()
    told = [(role, leak) for role, found in about_chains.items() for leak in worst(found)]
    told += [(f"{role}, {protocol}", leak) for (role, protocol, *_), found in divisions.items() for leak in merged(found.values())]
    told += [(role, leak) for role in dict.fromkeys(place[0] for place in divisions) for leak in _about_manifest(chains, role)]
    leaks = dict.fromkeys(f"{where}: {leak}" for where, leak in told if leak.severity == "leak")
    stated = dict.fromkeys(f"{where}: {leak._replace(examples=())}" for where, leak in told if leak.severity == "stated")
    return Audit(tuple(leaks), tuple(stated))


def judge(found: Audit, allow_leaks: bool, console: Console) -> None:
    """Tell what was found, and stop where a leak is not allowed.

    Raises:
        UserError: There are leaks: all of them.
    """
    for sentence in found.stated:
        console.print(f"[dim]stated:[/dim] {escape(sentence)}", highlight=False, soft_wrap=True)
    if found.leaks and not allow_leaks:
        noun = "leak was" if len(found.leaks) == 1 else "leaks were"
        listing = "\n".join(f"  - {sentence}" for sentence in found.leaks)
        raise UserError(
            f"{len(found.leaks)} {noun} found; scores would be too good:\n{listing}\nMend the corpus, choose another --protocol, "
            "or go on with --allow-leaks: every run of the sweep is then tagged with them, and the table has them in a footnote",
            found.leaks,
        )
    for sentence in found.leaks:
        console.print(f"[bold red]leak, allowed:[/bold red] {escape(sentence)}", highlight=False, soft_wrap=True)


class ImpossibleDivisions:
    """Faults of divisions, each told once, however many seeds and folds have it."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], set[str]] = {}
        self._having: dict[tuple[str, str, str], set[str]] = {}

    def possible(self, role: str, stage: DividedStage) -> None:
        """Remember a division without a fault."""
        self._asked.setdefault((role, _named(stage.protocol)), set()).add(_division(stage))

    def add(self, role: str, stage: DividedStage, error: UserError) -> None:
        """Remember a division with a fault."""
        self.possible(role, stage)
        self._having.setdefault((role, _named(stage.protocol), str(error)), set()).add(_division(stage))

    def raise_if_any(self) -> None:
        """Raise UserError with every fault, if there is any; one of a single division names it."""
        faults = Faults("the divisions of the corpora")
        for (role, protocol, message), having in self._having.items():
            count = len(self._asked[role, protocol])
            where = f"in {len(having)} of {count} divisions" if len(having) > 1 else min(having)
            faults.add(f"{role}, {protocol}, {where}: {message}")
        faults.raise_if_any()


def _named(protocol: Protocol) -> str:
    return f"{protocol.name} ({protocol.restriction})" if protocol.restriction else protocol.name


def _division(stage: DividedStage) -> str:
    fold = f", fold {stage.fold}" if stage.protocol.folds > 1 else ""
    inner = "" if stage.inner is None else f", inner fold {stage.inner}"
    return f"seed {stage.seed}{fold}{inner}"


def _audit_division(
    stage: DividedStage, corpus: AuditedCorpus, chains: ChainAudit, divisions: dict[tuple, dict[bytes, list[Leak]]]
) -> None:
    """Audit the stage's division unless an equal one was: of many protocols all seeds have the same."""
    from trainables.leakage.overlaps import find_overlaps

    bits, unit = chains.bits(stage), stage.exposure().features.unit
    # One place for all that a study restricts a protocol to: cells of a table are told together.
    found = divisions.setdefault((corpus.role, stage.protocol.name, unrestricted(stage.protocol).digest, unit), {})
    digest = hashlib.blake2b(bits.tobytes(), digest_size=16).digest()
    if digest not in found:
        found[digest] = find_overlaps(corpus, bits, stage.protocol, unit)


def _about_manifest(chains: ChainAudit, role: str) -> list[Leak]:
    from trainables.leakage.interviews import find_interview_leaks

    return find_interview_leaks(chains.corpora[role])


def _is_there(source: CorpusSource) -> bool:
    from trainables.corpora.twins.build import RECEIPT_NAME

    return not source.is_twin or (Path(source.root) / RECEIPT_NAME).is_file()


def _opened(role: str, source: CorpusSource, home: Path) -> AuditedCorpus:
    from trainables.corpora.inventory import take_inventory
    from trainables.leakage.corpus import AuditedCorpus

    table, root = source.manifest(), Path(source.root)
    return AuditedCorpus(role, table, take_inventory(root, table["recording"], home), place=str(root.resolve()))
