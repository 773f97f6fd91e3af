"""What the stages of a chain learn from, beside whom its last stage is scored on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from trainables.cross_validation import CrossValidation
from trainables.divided import DividedStage
from trainables.leakage.findings import SHOWN, Leak, counted
from trainables.leakage.sets import BITS, divides_pieces, set_bits
from trainables.split_comparison import SplitComparison

if TYPE_CHECKING:
    import numpy as np

    from trainables.leakage.corpus import AuditedCorpus
    from trainables.leakage.exposure import Exposure
    from trainables.stage import Stage


def scored_stages(target: Stage) -> tuple[DividedStage, ...]:
    """The stages whose scores the last stage of a chain stands for: itself, the folds of a cross-validation, or both sides of a
    comparison of splits, the one that others are told of first.
    """
    if isinstance(target, CrossValidation):
        return target.folds
    if isinstance(target, SplitComparison):
        return target.clean, target.mixed
    return (target,) if isinstance(target, DividedStage) else ()


class ChainAudit:
    """Audits chains on some corpora; divisions are made once, however many chains have them.

    Args:
        corpora: By role. Of a role that is not there, nothing is said that needs its manifest.
    """

    def __init__(self, corpora: Mapping[str, AuditedCorpus]) -> None:
        self.corpora = corpora
        self._divisions: dict[tuple, np.ndarray] = {}
        self._copies: dict[tuple[str, str], np.ndarray] = {}

    def corpus_of(self, stage: Stage) -> AuditedCorpus | None:
        """The corpus that a stage's units come from."""
        exposure = stage.exposure()
        return None if exposure is None or exposure.features is None else self.corpora.get(exposure.features.corpus)

    def bits(self, stage: DividedStage) -> np.ndarray:
        """:func:`trainables.leakage.sets.set_bits`, remembered. Raises UserError if the division is impossible."""
        exposure = stage.exposure()
        facts = (exposure.features.corpus, exposure.features.unit, exposure.task)
        key = (*facts, stage.protocol.digest, stage.fold, stage.inner, stage.scored_on, stage.seed)
        if key not in self._divisions:
            self._divisions[key] = set_bits(self.corpora[exposure.features.corpus], stage)
        return self._divisions[key]

    def find(self, target: DividedStage) -> list[Leak]:
        """The findings of the chain that ends with a stage.

        - A stage that does not declare what it learns from, one that selects on the test set, and in a corpus with diagnoses one
          that hears the interviewer beside the subject, are leaks. One that hears the interviewer alone is a control, and stated.
          So is one that is scored on the development set that it selects on, or fits weights of a fusion on, as a search may have
          it: the score is too good.
        - Statistics of normalisation from units that are scored are a leak; of a stage that learns from all units without labels
          they are stated with it.
        - A stage upstream that has heard speakers who are scored: without labels it is stated (pretraining on a whole corpus); with
          labels it is a leak, unless the scored protocol mixes speakers by its own sentence: then only scored units count. Where
          these are pieces of turns, of which nobody knows yet which is scored, a stage of the very same division has heard none,
          and one of another division may have heard all.
        - Names of speakers mean nothing from one folder to another; there those recordings count that are byte for byte alike, as
          in two releases of a corpus, or in a copy that has another role.
        """
        found = []
        for stage in target.chain():
            exposure = stage.exposure()
            if exposure is None:
                found.append(_undeclared(stage))
                continue
            found += [
                _selection(target, stage, exposure),
                self._talkers(stage, exposure),
                self._normalisation(target, stage, exposure),
            ]
            if stage != target:
                found.append(self._heard_before(target, stage, exposure))
        return [leak for leak in found if leak is not None]

    def _talkers(self, stage: Stage, exposure: Exposure) -> Leak | None:
        corpus = self.corpus_of(stage)
        if exposure.talkers == "subject" or corpus is None or "depressed" not in corpus.table:
            return None
        count = int((corpus.table["talker"] == "interviewer").sum())
        if not count:
            return None
        if exposure.talkers == "interviewer":
            return Leak(
                "interviewer heard", "stated", f"{stage.label} hears the interviewer alone, as a control", count, about=stage.label
            )
        message = f"{stage.label} hears the interviewer beside the subject; questions tell the diagnosis, so leave their turns out"
        return Leak("interviewer heard", "leak", message, count, about=stage.label)

    def _normalisation(self, target: DividedStage, stage: Stage, exposure: Exposure) -> Leak | None:
        mine, theirs = self.corpus_of(stage), self.corpus_of(target)
        if exposure.normalised != "all" or mine is None or theirs is None:
            return None
        among = self.bits(target) & BITS[target.scored_on] > 0
        if mine.place != theirs.place:
            among &= self._copied(mine, mine.subject, theirs)[theirs.recording[0]]
        count = int(among.sum())
        if not count:
            return None
        message = f"{stage.label} normalises by statistics of all units, {counted(count, 'scored segments')} among them"
        if exposure.fitted == "all" and exposure.task is None:
            return Leak("normalisation", "stated", f"{message}, as it hears them all", count, about=stage.label)
        message = f"{message}; take those of the training units"
        return Leak("normalisation", "leak", message, count, about=stage.label)

    def _heard_before(self, target: DividedStage, stage: Stage, exposure: Exposure) -> Leak | None:
        mine, theirs = self.corpus_of(stage), self.corpus_of(target)
        if (exposure.fitted, exposure.selected) == ("nothing", "nothing") or mine is None or theirs is None:
            return None
        learnt, scored = self._learnt(stage, exposure, mine), self.bits(target) & BITS[target.scored_on] > 0
        unlabelled = exposure.task is None
        if mine.place != theirs.place:
            return self._heard_copies(stage, unlabelled, (mine, learnt), (theirs, scored))
        if not unlabelled and divides_pieces(target.protocol, target.exposure().features.unit) and _apart(target, stage):
            return None
        by = "segment" if target.protocol.group == "unit" and not unlabelled else "speaker"
        tested = _named(theirs, by, scored)
        both = sorted(_named(mine, by, learnt) & tested)
        if not both:
            return None
        heard = f"{stage.label} has heard {len(both):,} of the {counted(len(tested), f'{by}s')} that are scored"
        if unlabelled:
            return Leak("pretraining on test speakers", "stated", f"{heard}, without labels", len(both), about=stage.label)
        mend = "with their labels; divide both by one protocol and one seed"
        return Leak("supervised on test speakers", "leak", f"{heard}, {mend}", len(both), tuple(both[:SHOWN]), stage.label)

    def _heard_copies(
        self, stage: Stage, unlabelled: bool, learnt: tuple[AuditedCorpus, np.ndarray], scored: tuple[AuditedCorpus, np.ndarray]
    ) -> Leak | None:
        """The same of recordings that lie in two folders; corpora and rows of what is learnt and of what is scored."""
        (mine, rows), (theirs, tested) = learnt, scored
        import numpy as np

        recordings = np.unique(theirs.recording[0][tested])
        both = recordings[self._copied(mine, rows, theirs)[recordings]]
        if not len(both):
            return None
        of = f"{len(both):,} of the {counted(len(recordings), 'recordings')} of {theirs.role} that are scored"
        heard = f"{stage.label} has heard {of}, byte for byte alike in {mine.role}"
        if unlabelled:
            return Leak("pretraining on test recordings", "stated", f"{heard}, without labels", len(both), about=stage.label)
        names = tuple(map(str, theirs.recording[1][both[:SHOWN]]))
        mend = "with labels; take them out of one of the two"
        return Leak("supervised on test recordings", "leak", f"{heard}, {mend}", len(both), names, stage.label)

    def _copied(self, corpus: AuditedCorpus, rows: np.ndarray, other: AuditedCorpus) -> np.ndarray:
        """Which recordings of the other corpus some rows of a corpus have byte for byte, bool ``[other's recordings]``."""
        import numpy as np

        key = (corpus.role, other.role)
        if key not in self._copies:
            self._copies[key] = corpus.content_in(other)
        copies, found = self._copies[key], np.zeros(int(other.content.max(initial=-1)) + 2, dtype=bool)
        if (copies >= 0).any():
            found[copies[corpus.recording[0][rows]]] = True
        found[-1] = False  # unknown content is like no other
        return found[other.content]

    def _learnt(self, stage: Stage, exposure: Exposure, corpus: AuditedCorpus) -> np.ndarray:
        """Rows that decide what a stage learns, those it selects on included, bool ``[rows]``."""
        if exposure.fitted == "all" or not isinstance(stage, DividedStage):
            return corpus.subject & (exposure.fitted != "nothing")
        fitted = BITS["train"] if exposure.fitted == "training" else 0
        return self.bits(stage) & (fitted | BITS.get(exposure.selected, 0)) > 0


def _named(corpus: AuditedCorpus, by: Literal["speaker", "segment"], rows: np.ndarray) -> set[str]:
    import numpy as np

    code, names = corpus.speaker if by == "speaker" else corpus.segment
    return set(names[np.unique(code[rows])].tolist())


def _apart(target: DividedStage, stage: Stage) -> bool:
    """Whether a stage has the very division of the target, and has learnt from nothing that the target is scored on."""
    if not isinstance(stage, DividedStage):
        return False
    (features, fitted, task, _, selected, _), theirs = stage.exposure(), target.exposure()
    alike = all(getattr(stage, name) == getattr(target, name) for name in ("protocol", "fold", "inner", "scored_on", "seed"))
    alike &= (features, task) == (theirs.features, theirs.task)
    return alike and fitted != "all" and selected != target.scored_on


def _undeclared(stage: Stage) -> Leak:
    message = f"{type(stage).__name__} does not say what it learns from; give it a method exposure()"
    return Leak("undeclared", "leak", message, 1, about=type(stage).__name__)


def undivided(target: Stage) -> Leak:
    """The finding of a last stage that has no scored set: nothing can be said of its row."""
    kind = type(target).__name__
    message = f"{kind} ends a chain, but does not say on whom it is scored; derive it from DividedStage"
    return Leak("undeclared", "leak", message, 1, about=kind)


def _selection(target: DividedStage, stage: Stage, exposure: Exposure) -> Leak | None:
    """An upstream stage that selects on scored development units has heard them: see ``_heard_before``."""
    if exposure.selected == "test":
        message = f"{stage.label} chooses on the test set; choose on a development set"
        return Leak("selection on test", "leak", message, 1, about=stage.label)
    if stage == target and exposure.selected == target.scored_on:
        message = f"{stage.label} chooses on the development set that it is scored on; only test scores are to be reported"
        return Leak("selection on what is scored", "stated", message, 1, about=stage.label)
    return None
