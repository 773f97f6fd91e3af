"""What the sets of a division share. Every function looks at whole columns: a million rows take seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainables.leakage.findings import SHOWN, Leak, Severity, counted
from trainables.leakage.sets import BITS, divides_pieces
from trainables.leakage.texts import LEAST_SENTENCE, LEAST_WORDS, long_enough, word_counts

if TYPE_CHECKING:
    import pandas as pd

    from trainables.leakage.corpus import AuditedCorpus
    from trainables.protocols import Protocol

_PARTNERS = ": partners of one conversation, each in one set"
_TOUCH = 0.1
"""s. Turns that were marked by hand or by an aligner touch by some hundredths; that is no speech in two sets."""
_SHARE = 0.2
"""Share of the scored rows whose words were trained on, from which the text is no chance: sentences of daily life recur in a few
percent (6 to 14 % in twins, whose sentences come from small grammars), those of scripts and reading tests in most."""
_CLOSED, _USUAL, _SAID = 0.8, 0.5, 2
"""A script, however short its sentences: so large a share of the scored sentences is trained on, they make up so large a share of
what is said at all, and over all sets each is said so often or more. RAVDESS says 2 sentences in 1440 rows, EmoDB 10 in 535, CASIA
50 in 1200; of free speech hardly a sentence comes twice."""


def find_overlaps(corpus: AuditedCorpus, bits: np.ndarray, protocol: Protocol, unit: str) -> list[Leak]:
    """What training, development and test set share.

    Speakers, sessions and recordings in two sets are leaks, unless the protocol says so itself: one that divides utterances or
    segments whoever spoke them, by its group 'unit'; or in a corpus of conversations one that divides by speaker, whose partners
    then are on both sides. Audio twice under two names, and the same seconds of one recording, are leaks under any protocol.

    Args:
        corpus: The corpus.
        bits: The sets of its rows (:func:`trainables.leakage.sets.set_bits`).
        protocol: That divided it.
        unit: 'session', 'utterance' or 'segment'.
    """
    twice = []
    if not divides_pieces(protocol, unit):
        twice = [_unit_twice(corpus, bits), _selection(corpus, bits)]
        bits = np.where(_several(bits), np.uint8(0), bits)  # what else such rows share follows from their being in two sets
    mixed = protocol.group == "unit"
    partners = corpus.conversations and protocol.group == "speaker" and unit != "session"
    apart = partners and not _in_two_sets(corpus.speaker[0], bits).any()
    chance = " where chance puts their segments there," if divides_pieces(protocol, unit) else ""
    speaker = f"{chance} as the protocol says" if mixed else ""
    session = speaker or (_PARTNERS if apart else "")
    names = [("speaker", corpus.speaker, speaker), ("session", corpus.session, session), ("recording", corpus.recording, session)]
    found = [_shared(kind, codes, bits, reason) for kind, codes, reason in names]
    found += [_content(corpus, bits), _same_seconds(corpus, bits, "stated" if apart else "leak"), _duplicates(corpus, bits, unit)]
    found += _texts(corpus, bits, protocol)
    return [leak for leak in [*twice, *found] if leak is not None]


def _sets_of(codes: np.ndarray, bits: np.ndarray, count: int) -> np.ndarray:
    """The sets in which each number occurs, uint8 ``[count]``; numbers below 0 are nothing."""
    sets = np.zeros(count, dtype=np.uint8)
    for bit in BITS.values():
        sets[codes[(bits & bit > 0) & (codes >= 0)]] |= bit
    return sets


def _several(sets: np.ndarray) -> np.ndarray:
    """Whether more than one bit is set."""
    return (sets & (sets - 1)) > 0


def _in_two_sets(codes: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Whether each number occurs in more than one set, bool."""
    return _several(_sets_of(codes, bits, int(codes.max(initial=-1)) + 1))


def _which(sets: np.ndarray) -> str:
    """The names of all sets among these, for a message."""
    union = int(np.bitwise_or.reduce(sets, initial=0))
    return " and ".join(name for name, bit in BITS.items() if union & bit)


def _shared(kind: str, codes: tuple[np.ndarray, pd.Index], bits: np.ndarray, reason: str) -> Leak | None:
    """What is in more than one set; stated with a reason, a leak without."""
    sets = _sets_of(codes[0], bits, len(codes[1]))
    shared = _several(sets)
    if not shared.any():
        return None
    count = int(shared.sum())
    where = f"{_counted(count, f'{kind}s')} in more than one set ({_which(sets[shared])})"
    mend = reason or f"; give each {kind} to one set, or choose a protocol that does"
    return Leak(kind, "stated" if reason else "leak", where + mend, count, tuple(map(str, codes[1][shared][:SHOWN])))


def _unit_twice(corpus: AuditedCorpus, bits: np.ndarray) -> Leak | None:
    twice = (bits & BITS["train"] > 0) & (bits & (BITS["dev"] | BITS["test"]) > 0)
    if not twice.any():
        return None
    message = f"{_counted(int(twice.sum()), 'segments')} both trained on and scored; mend the protocol's sets"
    return Leak("unit", "leak", message, int(twice.sum()), corpus.names(twice))


def _selection(corpus: AuditedCorpus, bits: np.ndarray) -> Leak | None:
    twice = (bits & BITS["dev"] > 0) & (bits & BITS["test"] > 0)
    if not twice.any():
        return None
    message = f"{_counted(int(twice.sum()), 'segments')} in the development set and in the test set; give them one of the two"
    return Leak("selection on test", "leak", message, int(twice.sum()), corpus.names(twice))


def _content(corpus: AuditedCorpus, bits: np.ndarray) -> Leak | None:
    code, names = corpus.recording
    sets, content = _sets_of(code, bits, len(names)), corpus.content
    known = content >= 0
    union = _sets_of(np.where(known, content, -1), sets, int(content.max(initial=-1)) + 1)
    copies = np.bincount(content[known], minlength=len(union)) > 1
    shared = copies & _several(union)
    if not shared.any():
        return None
    files = known & shared[np.where(known, content, 0)] & (sets > 0)
    count = int(shared.sum())
    message = f"{_counted(count, 'recordings')} in more than one set under several names, byte for byte alike; delete the copies"
    return Leak("audio content", "leak", message, count, tuple(map(str, names[files][:SHOWN])))


def _same_seconds(corpus: AuditedCorpus, bits: np.ndarray, severity: Severity) -> Leak | None:
    """Rows of one set that begin before a row of another set has ended, in one recording."""
    start, end = corpus.spans
    rows = np.flatnonzero(bits)
    rows = rows[np.lexsort((end[rows], start[rows]))]
    starts, ends, sets = start[rows], end[rows], bits[rows]
    late = np.zeros(len(rows), dtype=bool)
    for bit in BITS.values():
        theirs = sets & bit > 0
        until = np.maximum.accumulate(np.where(theirs, ends, -np.inf))
        late |= ~theirs & (np.minimum(until, ends) - starts > _TOUCH)
    if not late.any():
        return None
    count, chosen = int(late.sum()), np.zeros(len(bits), dtype=bool)
    chosen[rows[late]] = True
    why = _PARTNERS if severity == "stated" else "; cut the recording so that no second is in two sets"
    message = f"{_counted(count, 'segments')} of seconds that a segment of another set has, too{why}"
    return Leak("overlapping segments", severity, message, count, corpus.names(chosen))


def _duplicates(corpus: AuditedCorpus, bits: np.ndarray, unit: str) -> Leak | None:
    """The same seconds of one speaker twice in one set: an utterance that is scored twice counts twice, and so do its segments."""
    start, end = corpus.spans
    rows = np.flatnonzero(bits)
    rows = rows[np.lexsort((end[rows], start[rows], corpus.speaker[0][rows]))]
    keys = (corpus.speaker[0][rows], start[rows], end[rows])
    same = np.ones(max(len(rows) - 1, 0), dtype=bool)
    for key in keys:
        same &= key[1:] == key[:-1]
    same &= bits[rows][1:] == bits[rows][:-1]
    if not same.any():
        return None
    twice = np.zeros(len(bits), dtype=bool)
    twice[rows[1:][same]] = True
    scored = unit != "session" and bool((bits[twice] & (BITS["dev"] | BITS["test"])).any())
    count, mend = int(twice.sum()), "; delete the copies, which are scored twice" if scored else ""
    message = f"{_counted(count, 'segments')} listed twice in one set{mend}"
    return Leak("duplicate segments", "leak" if scored else "stated", message, count, corpus.names(twice))


def _texts(corpus: AuditedCorpus, bits: np.ndarray, protocol: Protocol) -> list[Leak]:
    """Scored rows whose words, or whose given material, were trained on.

    Stated where the manifest itself says that the words were given (scripted, or with a prompt), and under a protocol that draws by
    speaker or leaves speakers out and promises nothing of the words: in most corpora of acted emotion everybody says the same
    sentences. A leak where the sets are the corpus' own, or improvised speech alone is kept: they are there to be independent.

    One long sentence that comes again is enough (:data:`trainables.leakage.texts.LEAST_WORDS`); short ones are everyday answers
    unless nearly all that is said comes again.
    """
    code, texts = corpus.text
    scored = bits & (BITS["dev"] | BITS["test"]) > 0
    sets = _sets_of(code, bits, len(texts))
    both = np.append((sets & BITS["train"] > 0) & (sets & (BITS["dev"] | BITS["test"]) > 0), False)  # the last: without a text
    shared, long = np.flatnonzero(both), np.zeros(len(texts) + 1, dtype=bool)
    long[shared[long_enough(texts.take(shared).to_pylist())]] = True
    repeated = scored & long[code]
    given = _given(corpus, bits) & scored | repeated & corpus.declared
    script = _script(corpus, bits, both)
    free = (repeated & ~corpus.declared) | script
    promised = (protocol.scheme == "named" or any(column == "style" for column, _ in protocol.kept)) and protocol.group != "unit"
    found = []
    if given.any():
        part = _percent(given, scored)
        message = f"{part} of the scored segments are of given material (scripted or prompted) that was trained on too"
        found.append(Leak("scripted text", "stated", message, int(given.sum()), corpus.names(given)))
    share = free.sum() / max(int((scored & (code >= 0)).sum()), 1)
    if script.any() or share >= _SHARE:
        severity: Severity = "leak" if promised else "stated"
        mend = "; keep each sentence in one set, or mark them in the column style or prompt if they were given" if promised else ""
        few = f"one of {counted(len(np.unique(code[script])), 'sentences')} that are trained on too"
        what = few if script.any() else f"what one of training says, in {LEAST_WORDS} words or more"
        message = f"{_percent(free, scored)} of the scored segments say {what}{mend}"
        found.append(Leak("scripted text", severity, message, int(free.sum()), corpus.names(free)))
    return found


def _script(corpus: AuditedCorpus, bits: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Scored rows that say what training says, if what is said in all sets are the few sentences of a script; bool ``[rows]``.

    Args:
        corpus: The corpus.
        bits: The sets of its rows.
        both: Whether a text is trained on and scored, bool ``[texts + 1]``.
    """
    code, texts = corpus.text
    free = (code >= 0) & ~corpus.declared & (bits > 0)
    scored = free & (bits & (BITS["dev"] | BITS["test"]) > 0)
    again = scored & both[code]
    nothing = np.zeros(len(bits), dtype=bool)
    if again.sum() < _USUAL * scored.sum():  # so of most corpora no word is counted
        return nothing
    sentence = free & np.append(word_counts(texts) >= LEAST_SENTENCE, False)[code]
    repeated, enough = (again & sentence).sum(), max(_CLOSED * (scored & sentence).sum(), _USUAL * scored.sum(), 1)
    few = _SAID * len(np.unique(code[sentence])) <= sentence.sum()
    return again if repeated >= enough and few else nothing


def _given(corpus: AuditedCorpus, bits: np.ndarray) -> np.ndarray:
    """Rows with a prompt that training has too, bool ``[rows]``."""
    import pandas as pd

    if "prompt" not in corpus.table:
        return np.zeros(len(bits), dtype=bool)
    code, prompts = pd.factorize(corpus.table["prompt"])
    sets = _sets_of(code, bits, len(prompts))
    trained = (sets & BITS["train"] > 0) & (np.asarray(prompts) != "")
    return trained[code] & (code >= 0)


def _percent(some: np.ndarray, of: np.ndarray) -> str:
    return f"{100 * some.sum() / max(int(of.sum()), 1):.0f} %"


def _counted(count: int, nouns: str) -> str:
    return counted(count, nouns, "is/are")
