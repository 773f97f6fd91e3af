"""Stage: emotion features of every turn of a corpus, and what emotion each turn has (Climate and Weather, sections 2.3 and 4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from trainables.emotion_model import ATTRIBUTES, EmotionModel
from trainables.filterbank_features import FilterbankFeatures
from trainables.leakage.exposure import Exposure
from trainables.sentence_embeddings import SentenceEmbeddings
from trainables.stage import Context, Stage
from trainables.tasks import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

_FRONT_END = ("sample_rate", "window", "hop", "mels", "deltas")
"""What the frames that a model was trained on and those that it is applied to must share; corpus and unit may differ."""

_OF_FRAMES = ["first_frame", "frames"]  # say where a turn lies in frames.npy, and nothing here


class EmotionFeatures(Stage):
    """A trained emotion model, its parameters fixed, applied to every turn of a corpus.

    From the paper: 'The emotion features are obtained at the input to the fusing layer', at the level of segments (section 2.3).
    A segment is a turn, whose text is one sentence embedding (decision). Of a session the context [-3,+3] is the subject's own
    turns; questions are not heard. Statistics of standardisation are the model's.

    Result: turn features, ``segments.parquet`` and ``embeddings.npy`` (float32 ``[turns, D]``, D 128 of audio, 320 of text, 448 of
    both); ``outputs.parquet``, in the same order: ``p_<class>``, probabilities of the model's classes, and of a model with
    attributes ``valence, activation, dominance`` in its training corpus' scale.
    """

    label: ClassVar[str] = "emotion features"

    model: EmotionModel
    filterbanks: FilterbankFeatures | None = None
    """Of the corpus that is described; given if the model has an audio branch."""
    sentences: SentenceEmbeddings | None = None
    """The same of the text branch."""

    @model_validator(mode="after")
    def _inputs_fit(self) -> EmotionFeatures:
        for name in ("filterbanks", "sentences"):
            if (getattr(self, name) is None) != (getattr(self.model, name) is None):
                verb = "has none; leave them out" if getattr(self, name) else "was trained on some; give those of this corpus"
                raise ValueError(f"{name}: the model {verb}")
        if self.filterbanks:
            theirs = self.model.filterbanks
            other = [name for name in _FRONT_END if getattr(theirs, name) != getattr(self.filterbanks, name)]
            if other:
                raise ValueError(f"the model was trained on other filterbanks: {', '.join(other)} differ; use the same")
        if self.sentences and self.sentences.model != self.model.sentences.model:
            raise ValueError(f"the model was trained on sentences of {self.model.sentences.model}; use the same")
        if self.filterbanks and self.sentences:
            for name in ("corpus", "unit"):
                if getattr(self.filterbanks, name) != getattr(self.sentences, name):
                    raise ValueError(f"filterbanks and sentences differ in their {name}; use the same")
        return self

    @property
    def turns(self) -> FilterbankFeatures | SentenceEmbeddings:
        """The stage whose turns are described."""
        return self.filterbanks or self.sentences

    @property
    def corpus(self) -> str:
        """The corpus that is described."""
        return self.turns.corpus

    @property
    def unit(self) -> Literal["session", "utterance"]:
        """What the turns belong to."""
        return self.turns.unit

    @property
    def outputs(self) -> dict[str, str]:
        """What the model says of a turn, each class and each attribute by its name: the column in ``outputs.parquet``."""
        classes = {name: f"p_{name}" for name in TASKS[self.model.task].classes}
        return classes | {name: name for name in ATTRIBUTES if self.model.attributes}

    def exposure(self) -> Exposure:
        """Nothing is learnt: the model is fixed, and so are its statistics."""
        return Exposure(features=self.turns)

    def run(self, context: Context) -> None:
        """Describe all turns, with dropout off."""
        import numpy as np
        import pandas as pd
        import torch

        from trainables.emotion_inference import describe
        from trainables.emotion_inputs import EmotionInputs
        from trainables.models.emotion_recogniser import EmotionRecogniser

        inputs = EmotionInputs(
            context.result(self.filterbanks) if self.filterbanks else None,
            context.result(self.sentences) if self.sentences else None,
            self.model.window_frames,
        )
        recogniser = EmotionRecogniser.load(context.result(self.model)).to(context.device)
        rows = torch.arange(len(inputs.turns))
        said = describe(recogniser, inputs, rows, batch_size=self.model.batch_size, tick=context.tick)
        np.save(context.directory / "embeddings.npy", said.embeddings)
        inputs.turns.drop(columns=_OF_FRAMES, errors="ignore").to_parquet(context.directory / "segments.parquet", index=False)
        values = np.concatenate([said.probabilities, said.attributes], axis=1)
        outputs = pd.DataFrame(values, columns=list(self.outputs.values()))
        outputs.to_parquet(context.directory / "outputs.parquet", index=False)
        (context.directory / "metrics.json").write_text(json.dumps({"turns": len(rows), "dimensions": said.embeddings.shape[1]}))


def session_emotions(directory: Path) -> pd.DataFrame:
    """The emotions of each session, for a case study (section 4): one row per session, by its name.

    Args:
        directory: A result of :class:`EmotionFeatures`.

    Returns:
        The mean over the session's turns of every output of ``outputs.parquet``; ``turns``, their number; ``dominant``, the class
        with the highest mean probability; ``share_<class>``, the fraction of turns whose most probable class it is.
    """
    import pandas as pd

    sessions = pd.read_parquet(directory / "segments.parquet", columns=["unit"])["unit"]
    outputs = pd.read_parquet(directory / "outputs.parquet")
    classes = [name for name in outputs if name.startswith("p_")]
    means = outputs.groupby(sessions).mean()
    dominant = outputs[classes].idxmax(axis=1)
    shares = pd.DataFrame({f"share_{name.removeprefix('p_')}": dominant == name for name in classes}).groupby(sessions).mean()
    found = {"turns": sessions.value_counts(), "dominant": means[classes].idxmax(axis=1).str.removeprefix("p_")}
    return means.assign(**found).join(shares).rename_axis("session")
