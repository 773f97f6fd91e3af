"""What a manifest by itself says against its use: the interviewer among the subjects, and diagnoses that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from trainables.leakage.findings import SHOWN, Leak, Severity, counted

if TYPE_CHECKING:
    from trainables.leakage.corpus import AuditedCorpus

_COVERED = 0.5
"""Share of a subject's segment that the interviewer talks in, from which it is mostly the interviewer's."""
_TIME = 0.01
"""Share of all subjects' time in such segments, from which they are no crosstalk: people talk over each other for moments."""
_SESSIONS, _EVERYWHERE = 3, 0.25
"""Sessions, and their share of all, in which one subject talks, beyond which it is an interviewer: patients come two or three
times, an interviewer talks in every session. Both must be exceeded."""


def find_interview_leaks(corpus: AuditedCorpus) -> list[Leak]:
    """Findings of a corpus with diagnoses (column ``depressed``); nothing for another one.

    An interviewer's voice and prompts tell the diagnosis: follow-up questions are asked of who said yes (Burdisso et al. 2024).
    """
    if "depressed" not in corpus.table:
        return []
    found = [_interviewers_speech(corpus), _interviewer_as_subject(corpus), _two_labels(corpus), _two_diagnoses(corpus)]
    return [leak for leak in [*found, _material(corpus)] if leak is not None]


def _interviewers_speech(corpus: AuditedCorpus) -> Leak | None:
    """Subjects' segments during which the interviewer talks most of the time, by the interviewer's own rows."""
    start, end = corpus.spans
    asked = (corpus.table["talker"] == "interviewer").to_numpy(dtype=bool)
    seconds = end - start
    covered = _covered(start, end, start[asked], end[asked])
    mostly = corpus.subject & (covered > _COVERED * seconds)
    if not mostly.any():
        return None
    share = float(covered[mostly].sum() / seconds[corpus.subject].sum())
    severity: Severity = "leak" if share > _TIME else "stated"
    mend = "; mend their times or mark them as interviewer" if severity == "leak" else ""
    count = int(mostly.sum())
    where = f"in {counted(count, 'segments')} of subjects the interviewer talks most of the time"
    message = f"{where} ({100 * share:.2g} % of all time){mend}"
    return Leak("interviewer audio", severity, message, count, corpus.names(mostly))


def _covered(start: np.ndarray, end: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """For each span how many seconds of it lie in the union of other spans, on one axis; float ``[spans]``."""
    if not len(starts):
        return np.zeros(len(start))
    order = np.argsort(starts, kind="stable")
    starts, until = starts[order], np.maximum.accumulate(ends[order])
    first = np.append(True, starts[1:] > until[:-1])
    begins, stops = starts[first], until[np.append(first[1:], True)]
    before = np.append(0.0, np.cumsum(stops - begins))

    def total(time: np.ndarray) -> np.ndarray:
        """Seconds of the union up to a time."""
        number = np.searchsorted(begins, time, side="right") - 1
        inside = np.minimum(time, stops[number]) - begins[number]
        return np.where(number < 0, 0.0, before[number] + inside)

    return total(end) - total(start)


def _interviewer_as_subject(corpus: AuditedCorpus) -> Leak | None:
    subjects = corpus.subject
    pairs = pd.DataFrame({"speaker": corpus.speaker[0][subjects], "session": corpus.session[0][subjects]}).drop_duplicates()
    counts = pairs["speaker"].value_counts()
    everywhere = counts[(counts > _SESSIONS) & (counts > _EVERYWHERE * pairs["session"].nunique())]
    if not len(everywhere):
        return None
    names = tuple(map(str, corpus.speaker[1][everywhere.index[:SHOWN]]))
    who, often = counted(len(everywhere), "subjects", "talks/talk"), f"{counts.iloc[0]} of {pairs['session'].nunique()} sessions"
    message = f"{who} in up to {often}, as interviewers do; mark such turns as interviewer"
    return Leak("interviewer as subject", "leak", message, len(everywhere), names)


def _two_labels(corpus: AuditedCorpus) -> Leak | None:
    labels = corpus.table.loc[corpus.subject].groupby("session")["depressed"].nunique()
    several = labels.index[labels > 1]
    if not len(several):
        return None
    message = f"{counted(len(several), 'sessions', 'has/have')} two diagnoses; a session has one"
    return Leak("two labels", "leak", message, len(several), tuple(map(str, several[:SHOWN])))


def _two_diagnoses(corpus: AuditedCorpus) -> Leak | None:
    """A speaker who was ill and recovered is no fault, but a division stratified by diagnosis counts such a one by one session."""
    labels = corpus.table.loc[corpus.subject].groupby("speaker")["depressed"].nunique()
    several = labels.index[labels > 1]
    if not len(several):
        return None
    message = (
        f"{counted(len(several), 'speakers', 'has/have')} sessions of both diagnoses; the first is what they are stratified by"
    )
    return Leak("two diagnoses", "stated", message, len(several), tuple(map(str, several[:SHOWN])))


def _material(corpus: AuditedCorpus) -> Leak | None:
    """Prompts that were given to speakers of one diagnosis alone, more often than chance has it: such material tells the diagnosis.

    By chance n of N speakers, K of them ill, are all ill or all healthy with the hypergeometric probability
    (C(K, n) + C(N - K, n)) / C(N, n). Of many prompts some are so by chance, which Bonferroni's correction allows for. A speaker
    with sessions of both diagnoses counts as two.
    """
    from scipy.stats import hypergeom

    if "prompt" not in corpus.table:
        return None
    people = corpus.table.loc[corpus.subject, ["prompt", "speaker", "depressed"]].dropna(subset="depressed")
    ill = people[["speaker", "depressed"]].drop_duplicates()["depressed"] > 0
    given = people[people["prompt"] != ""].drop_duplicates().groupby("prompt")["depressed"].agg(["size", "nunique"])
    n = given["size"].to_numpy()
    chance = hypergeom.pmf(n, len(ill), ill.sum(), n) + hypergeom.pmf(n, len(ill), (~ill).sum(), n)
    telling = given.index[(given["nunique"] == 1) & (chance * len(given) < _CHANCE)]
    if not len(telling):
        return None
    what = f"{counted(len(telling), 'prompts', 'was/were')} given to speakers of one diagnosis alone"
    message = f"{what}, which chance hardly does (p < {_CHANCE}, corrected) and which tells it; leave such segments out"
    return Leak("telling material", "leak", message, len(telling), tuple(map(str, telling[:SHOWN])))


_CHANCE = 0.01
"""Corrected probability of a prompt that is no chance: of corpora whose prompts have nothing to do with the diagnosis, fewer than
one in a hundred alarm."""
