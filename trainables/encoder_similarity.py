"""Stage: how alike a speech encoder makes utterances of one emotion and of two, layer by layer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from trainables.convolutional_features import ConvolutionalFeatures, EncoderStage
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.stage import Context, Stage
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.tasks import TASKS
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch

    from trainables.models.cpc_speech_encoder import AnySpeechEncoder
    from trainables.speech_inputs import SpeechInputs

_BATCH = 8  # all layers of so many utterances are in memory at once: of a base model, 16 MB for each of their seconds


class EncoderSimilarity(Stage):
    """Cosine of pairs of utterances at every layer of an encoder, before or after stage one.

    From the paper (supervised contrastive learning across corpora, section 3.5, Figure 4): 'the cosine similarity of the feature
    output of each layer of the feature encoder', of each utterance 'the average in the time dimension', of positive and of negative
    pairs. Decisions where the paper is silent:

    - The pairs are of utterances that the sources' protocols score, of all corpora together: of those that stage one has trained on
      they would only show that its loss was minimised.
    - A pair is positive if both have the same emotion, in one corpus or in two, and negative if they have not, as stage one takes
      them. Emotions are joined over corpora by their word.
    - All pairs count, each once and equally; no utterance is paired with itself. So nothing is drawn, and it costs no more than a
      sample would: the mean cosine of many pairs follows from sums of unit vectors.
    - Layer 0 is what the first Transformer layer reads, layer 12 of a base model its last output.

    Nothing is learnt.

    Result: ``similarity.parquet``: ``layer``, ``kind`` ('positive' or 'negative'), ``mean`` cosine, ``pairs``; ``metrics.json``:
    ``utterances, layers, positive_pairs, negative_pairs``.
    """

    label: ClassVar[str] = "encoder similarity"
    shortcuts: ClassVar[frozenset[str]] = frozenset({"convolved"})

    encoder: EncoderStage
    tuned: SupervisedContrastive | None = None
    """Stage one, which began with ``encoder``; None: ``encoder`` as it is."""
    sources: tuple[TrainingSet, ...] = Field(min_length=1)
    """Divisions whose scored utterances are paired. Of a corpus that ``tuned`` has trained on, the very set that it has read."""
    convolved: tuple[ConvolutionalFeatures, ...] = ()
    """Convolved features of each source's utterances, in the sources' order; empty: they are convolved here."""

    @model_validator(mode="after")
    def _sources_are_held_out(self) -> EncoderSimilarity:
        if self.tuned is None:
            return self
        if self.tuned.encoder != self.encoder:
            raise ValueError("tuned began with another encoder; give the one it began with")
        trained = {source.utterances.corpus: source for source in self.tuned.sources}
        corpora = [source.utterances.corpus for source in self.sources]
        if heard := [corpus for corpus, source in zip(corpora, self.sources, strict=True) if trained.get(corpus, source) != source]:
            raise ValueError(f"tuned has trained on another division of {', '.join(heard)}; give the training set that it has read")
        return self

    @model_validator(mode="after")
    def _convolved_are_these(self) -> EncoderSimilarity:
        if self.convolved and self.convolved != self._convolutions():
            raise ValueError("convolved must be of each source's utterances, in order, by this encoder; or leave it out")
        return self

    def _convolutions(self) -> tuple[ConvolutionalFeatures, ...]:
        return tuple(ConvolutionalFeatures(encoder=self.encoder, utterances=source.utterances) for source in self.sources)

    def exposure(self) -> Exposure:
        """Nothing is learnt: emotions only say which cosine is averaged with which."""
        return Exposure()

    def repeated(self) -> dict[str, tuple[Stage, float]]:
        """The frozen convolution of each scored utterance, which are at most all, and with folds one of them."""
        if self.convolved:
            return {}
        shares = [1 / source.protocol.folds for source in self.sources]
        made = zip(self._convolutions(), shares, strict=True)
        return {f"convolved.{number}": (stage, share) for number, (stage, share) in enumerate(made)}

    def run(self, context: Context) -> None:
        """Encode the scored utterances and compare them.

        Raises:
            UserError: The corpora do not have what task or protocol needs, there is no pair of one kind, or the encoder's outputs
                are not finite.
        """
        import numpy as np
        import torch

        from trainables.speech_inputs import open_inputs

        numbers, emotions = self._scored(context)
        encoder = self._encoder(context).to(context.device).eval()
        inputs = open_inputs(context, encoder, [source.utterances for source in self.sources], self.convolved)
        names, codes = np.unique(emotions, return_inverse=True)
        counts = np.bincount(codes)
        _require_pairs(dict(zip(names.tolist(), counts.tolist(), strict=True)))
        sums = torch.zeros(encoder.layers + 1, len(names), encoder.hidden_size, dtype=torch.float64, device=context.device)
        for places in torch.arange(len(numbers)).split(_BATCH):
            units = _unit_vectors(encoder, inputs, numbers[places])
            sums.index_add_(1, torch.from_numpy(codes)[places].to(context.device), units)
            context.tick((int(places[-1]) + 1) / len(numbers))
        table = mean_cosines(sums.cpu().numpy(), counts)
        if not np.isfinite(table["mean"]).all():
            raise UserError("the encoder's outputs are not finite; its training diverged: lower its learning_rate")
        table.to_parquet(context.directory / "similarity.parquet", index=False)
        pairs = {f"{kind}_pairs": int(table.loc[table["kind"] == kind, "pairs"].iloc[0]) for kind in ("positive", "negative")}
        told = {"utterances": len(numbers), "layers": encoder.layers, **pairs}
        (context.directory / "metrics.json").write_text(json.dumps(told))

    def _encoder(self, context: Context) -> AnySpeechEncoder:
        from trainables.models.cpc_speech_encoder import load_speech_encoder
        from trainables.models.emotion_encoder import EmotionEncoder

        if self.tuned is None:
            return load_speech_encoder(context.result(self.encoder))
        return EmotionEncoder.load(context.result(self.tuned)).encoder

    def _scored(self, context: Context) -> tuple[torch.Tensor, np.ndarray]:
        """Numbers of the scored utterances of all sources, as SpeechInputs counts, int64, and the emotion of each, a word."""
        import numpy as np
        import pandas as pd
        import torch

        from trainables.units import read_units

        numbers, emotions, begin = [], [], 0
        for source in self.sources:
            home = context.result(source.utterances)
            scored = source.sets(read_units(home, TASKS[source.task]))[source.scored_on]
            numbers.append(np.concatenate(scored.segments) + begin)
            emotions.append(np.array(scored.task.classes)[scored.truth])
            begin += len(pd.read_parquet(home / "segments.parquet", columns=["unit"]))
        return torch.from_numpy(np.concatenate(numbers)), np.concatenate(emotions)


def mean_cosines(sums: np.ndarray, counts: np.ndarray) -> pd.DataFrame:
    """The mean cosine over all pairs of vectors of one emotion, and of two.

    The cosines of all ordered pairs of unit vectors add up to the square of the length of their sum, those of each vector with
    itself to their number.

    Args:
        sums: For each layer and emotion the sum of its utterances' unit vectors, float64 ``[L, emotions, d]``.
        counts: Utterances of each emotion, int64 ``[emotions]``, such that there are pairs of both kinds.

    Returns:
        One row for each layer and kind: ``layer``, ``kind``, ``mean``, ``pairs``.
    """
    import numpy as np
    import pandas as pd

    within = np.square(sums).sum(axis=(1, 2))
    total = np.square(sums.sum(axis=1)).sum(axis=1)
    positive, negative = int(counts @ (counts - 1)), int(counts.sum() ** 2 - counts @ counts)  # ordered pairs
    means = {"positive": (within - counts.sum()) / positive, "negative": (total - within) / negative}
    pairs = {"positive": positive // 2, "negative": negative // 2}
    rows = [(layer, kind, float(means[kind][layer]), pairs[kind]) for layer in range(len(sums)) for kind in means]
    return pd.DataFrame(rows, columns=["layer", "kind", "mean", "pairs"])


def _require_pairs(counts: dict[str, int]) -> None:
    if len(counts) < 2 or max(counts.values()) < 2:
        found = ", ".join(f"{count} {emotion}" for emotion, count in counts.items())
        raise UserError(
            f"similarity needs scored utterances of two emotions or more, and two of one of them; found {found}: choose a protocol "
            "that scores more"
        )


def _unit_vectors(encoder: AnySpeechEncoder, inputs: SpeechInputs, numbers: torch.Tensor) -> torch.Tensor:
    """The mean over time of each utterance at each layer, brought to length 1, float64 ``[L + 1, utterances, d]``."""
    import torch

    found = []
    chunks = inputs.chunks(numbers)
    with torch.inference_mode():
        for chunk in chunks:
            hidden = encoder.hidden_layers(chunk.convolved, chunk.lengths)
            found.append(hidden.sum(dim=2, dtype=torch.float64) / chunk.lengths[:, None])
        means = torch.cat(found, dim=1)[:, torch.cat([chunk.places for chunk in chunks]).argsort()]
        return means / means.norm(dim=2, keepdim=True)
