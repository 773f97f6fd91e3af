"""The turns of a corpus as rows of a table: what every stage of turn features writes as ``segments.parquet``.

A turn is one row of the manifest that the subject speaks. All stages on the same corpus and unit have the same turns in the same
order, so that their features can be laid side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trainables.errors import Faults, UserError
from trainables.units import subject_turns

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

_FIRST = ["unit", "position", "seconds", "turn", "recording", "start", "end", "speaker", "session", "split"]
_NEVER = ["talker", "text"]  # all turns are the subject's; words stay in the corpus


def turn_table(corpus: CorpusSource, unit: Literal["session", "utterance"]) -> pd.DataFrame:
    """One row per turn, in the order of :func:`~trainables.units.subject_turns`.

    Columns: ``unit``; ``position``, the turn's number within its unit, from 0; ``seconds``; ``turn``, the manifest's segment;
    ``recording``, ``start`` and ``end`` in s (NaN: the recording's end); ``speaker``, ``session``, ``split`` and the corpus'
    labels. Never the transcript.

    Raises:
        UserError: The manifest has a fault, or recordings whose length is needed cannot be read: each is named.
    """
    return table_of(subject_turns(corpus.manifest(), unit), corpus)


def table_of(turns: pd.DataFrame, corpus: CorpusSource) -> pd.DataFrame:
    """:func:`turn_table` of turns that were read already.

    Args:
        turns: From :func:`~trainables.units.subject_turns`.
        corpus: Where its recordings are.

    Raises:
        UserError: Recordings whose length is needed cannot be read: each is named.
    """
    table = turns.reset_index(drop=True).rename(columns={"segment": "turn"})
    table = table.assign(position=table.groupby("unit", sort=False).cumcount(), seconds=_seconds(table, corpus))
    return table[[*_FIRST, *(name for name in table if name not in (*_FIRST, *_NEVER))]]


def _seconds(turns: pd.DataFrame, corpus: CorpusSource) -> pd.Series:
    """How long each turn lasts, s. Its recording's header is read only where the manifest does not say when it ends."""
    from trainables.corpora.audio import read_header

    lengths: dict[str, float] = {}
    faults = Faults(f"the audio of corpus {corpus.name!r}")
    for recording in turns.loc[turns["end"].isna(), "recording"].unique():
        try:
            lengths[recording] = read_header(corpus.audio_path(recording)).seconds
        except UserError as error:
            faults.add(str(error))
    faults.raise_if_any()
    ends = turns["end"].fillna(turns["recording"].map(lengths))
    return ends - turns["start"].clip(lower=0.0)  # a negative start means the start of the file (corpora.audio.read_audio)
