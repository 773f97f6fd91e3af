"""Stage: the utterances of a corpus as rows, for stages that read the sound itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, CorpusRole, Stage
from trainables.units import subject_turns

if TYPE_CHECKING:
    import pandas as pd

    from trainables.corpora.corpus import CorpusSource

LONGEST_SECONDS = 300.0
"""Of an utterance. A Transformer compares all its frames with each other, 50 a second: of one layer of a base model (12 heads) that
takes 11 GB of float32 for 5 minutes, and four times as much for 10."""


class Utterances(Stage):
    """What the subjects of a corpus say, utterance by utterance: where it lies, how long it lasts, and its labels; no features.

    An utterance is a turn of the manifest, as everywhere (:mod:`trainables.turns`). One of more than :data:`LONGEST_SECONDS` is
    refused, and not cut (decision): the corpora of the paper have none above 35 s, its pooling is over whole utterances, and a
    label of the whole need not hold for each piece.

    Result: ``segments.parquet`` (:func:`~trainables.turns.turn_table`), whose row numbers are the utterances' numbers from here on;
    ``metrics.json`` (``utterances, speakers, hours``).
    """

    label: ClassVar[str] = "utterances"
    accelerated: ClassVar[bool] = False

    corpus: CorpusRole
    unit: Literal["utterance"] = "utterance"

    def exposure(self) -> Exposure:
        """Nothing is learnt. The interviewer's turns are left out."""
        return Exposure(features=self)

    def corpus_fault(self, corpus: CorpusSource) -> str | None:
        """Which utterances are too long, as far as the manifest says when they end, or None.

        Raises:
            UserError: The manifest cannot be read.
        """
        turns = subject_turns(corpus.manifest(), self.unit)
        return _too_long(turns.assign(seconds=turns["end"] - turns["start"].clip(lower=0.0)), corpus)

    def run(self, context: Context) -> None:
        """Write the table.

        Raises:
            UserError: The corpus is no longer the planned one, recordings whose length is needed cannot be read, or utterances are
                too long: each is named.
        """
        from trainables.turns import turn_table

        corpus = context.corpus(self.corpus)
        corpus.verify()  # it may have changed since the sweep was planned, and the result would bear a false name
        table = turn_table(corpus, self.unit)
        if fault := _too_long(table, corpus):
            raise UserError(fault)
        table.to_parquet(context.directory / "segments.parquet", index=False)
        hours = float(table["seconds"].sum() / 3600)
        metrics = {"utterances": len(table), "speakers": table["speaker"].nunique(), "hours": hours}
        (context.directory / "metrics.json").write_text(json.dumps(metrics))


def _too_long(table: pd.DataFrame, corpus: CorpusSource) -> str | None:
    from trainables.corpora.reading import counted, listing

    longer = table[table["seconds"] > LONGEST_SECONDS]
    if longer.empty:
        return None
    return (
        f"{corpus.role}: found {counted(len(longer), 'utterance')} of corpus {corpus.name!r} above {LONGEST_SECONDS:g} s, the "
        f"longest of {longer['seconds'].max():g} s: {listing(longer['unit'])}; give start and end of each utterance in the "
        "manifest, or cut the recordings"
    )
