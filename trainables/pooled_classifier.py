"""Stage: a classifier on pooled features of a fine-tuned speech encoder: stage two of the two-stage fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from trainables.numerics import seeded
from trainables.speech_training import SpeechTraining, utterance_rows
from trainables.stage import Context, Stage
from trainables.supervised_contrastive import SupervisedContrastive
from trainables.training_set import TrainingSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from trainables.convolutional_features import EncoderStage
    from trainables.models.cpc_speech_encoder import AnySpeechEncoder
    from trainables.models.emotion_encoder import EmotionEncoder
    from trainables.speech_training import Arguments
    from trainables.units import Units


class PooledClassifier(SpeechTraining):
    """Self-attention pooling and classifier trained on an encoder that stage one has tuned; scored on unseen utterances.

    From the paper (supervised contrastive learning across corpora, section 4.2): encoder and pooling of stage one are loaded,
    'the parameters of the whole speech representation model will be fixed at the same time, and only the parameters of the
    self-attention pooling layer and the classifier will be fine-tuned', Adam, 5e-4, 10 epochs, 'reduced to 0.1 times of the
    original after 5 epochs', batch 32, cross entropy. The decisions are those of
    :class:`~trainables.speech_training.SpeechTraining` and these:

    - The encoder is fixed in evaluation mode, without dropout. So what it says of an utterance is always the same, and is computed
      once: the last hidden layer of every utterance of the sets lies in a file beside the result while the stage runs, and all
      epochs read it from there. It is float16 where ``precision`` is bfloat16, which is coarser than it. Memory holds a batch of
      it, padded to its longest (no Transformer has to pay for the padding here); the disk holds 77 KB for a second of speech and
      768 values (IEMOCAP's four classes: 7 hours, 2 GB). A stage that is stopped computes the file anew when it goes on.
    - It runs on one worker: a step of 32 utterances of up to 10 s is a third of a second's arithmetic for one CPU core (measured),
      once the encoder's one pass is done.

    'In the first stage of fine-tuning, only the data used for training was sampled': ``tuned`` gets this stage's own division, so
    that a protocol or a fold that is asked for reaches stage one too (:meth:`~trainables.training_set.TrainingSet.aligned`).

    ``seed`` controls the division where the protocol leaves it to the seed, the classifier's first weights and the batch order.

    Result: ``predictions.parquet`` (one row per scored utterance), where the division has a development set beside them
    ``predictions_dev.parquet``; ``metrics.json`` (``f1_macro, f1_micro, uar``, those of the development set as ``dev_...``).
    """

    label: ClassVar[str] = "pooled classifier"

    tuned: SupervisedContrastive
    """Stage one; ``utterances`` are among its sources, with this stage's task."""
    epochs: int = Field(default=10, gt=0)
    learning_rate: float = Field(default=5e-4, gt=0)
    decay_from: int = Field(default=6, ge=2)
    decay_every: int = Field(default=5, gt=0)
    decay: float = Field(default=0.1, gt=0, le=1)

    @field_validator("tuned")
    @classmethod
    def _share_the_division(cls, tuned: SupervisedContrastive, info: ValidationInfo) -> SupervisedContrastive:
        division = {name: info.data[name] for name in TrainingSet.model_fields if name in info.data}
        if len(division) < len(TrainingSet.model_fields):
            return tuned  # what decides the division has a fault, which is told
        own = TrainingSet(**division)
        sources = [source.aligned(own) for source in tuned.sources]
        # Units are divided after those without a class of the task are left out: another task can have other folds.
        if own not in sources:
            found = ", ".join(f"{source.task} of {source.utterances.corpus}" for source in sources)
            raise ValueError(f"tuned has learnt from {found}; give one that has learnt from {own.task} of {own.utterances.corpus}")
        return tuned.with_upstream({f"sources.{number}": source for number, source in enumerate(sources)})

    def initial_encoder(self) -> EncoderStage:
        """The encoder that stage one began with: its convolution is still the same."""
        return self.tuned.encoder

    def repeated(self) -> dict[str, tuple[Stage, float]]:
        """The frozen convolution of every utterance, once."""
        return {} if self.convolved else {"convolved": (self.convolution(), 1.0)}

    def run(self, context: Context) -> None:
        """Encode all utterances, train on the training utterances and score the others.

        Raises:
            UserError: The corpus does not have what task or protocol needs; the training diverged.
        """
        import tempfile
        from pathlib import Path

        import torch

        from trainables.models.emotion_encoder import EmotionEncoder

        units = self.units(context)
        sets = self.sets(units)
        model = EmotionEncoder.load(context.result(self.tuned)).to(context.device)
        with tempfile.TemporaryDirectory(dir=context.directory) as folder:
            rows = torch.cat([utterance_rows(part) for part in sets.values()])
            self._write_hidden(context, model.encoder, rows, Path(folder))
            self._classify(context, units, sets, model, _reading_hidden(Path(folder), context.device))

    def _write_hidden(self, context: Context, encoder: AnySpeechEncoder, rows: torch.Tensor, folder: Path) -> None:
        """Write what the encoder says of utterances, ``frames.npy``, and where each of them lies in it, ``segments.parquet``.

        Utterances of about one length are encoded together.
        """
        import pandas as pd
        import torch

        from trainables.features.frames import FrameWriter
        from trainables.speech_inputs import open_inputs
        from trainables.training import autocast

        inputs = open_inputs(context, encoder, (self.utterances,), (self.convolved,) if self.convolved else ())
        table = pd.read_parquet(context.result(self.utterances) / "segments.parquet", columns=["seconds"])
        seconds = torch.tensor(table["seconds"].to_numpy())[rows]
        written, lengths = [], []
        encoder.eval()
        storage = "float16" if self.precision == "bfloat16" else "float32"
        with torch.inference_mode(), FrameWriter(folder, encoder.hidden_size, storage) as writer:
            for batch in rows[seconds.argsort()].split(self.batch_size):
                for chunk in inputs.chunks(batch):
                    with autocast(context.device, self.precision):
                        hidden = encoder(chunk.convolved, chunk.lengths)
                    for frames, length in zip(hidden.cpu(), chunk.lengths.tolist(), strict=True):
                        writer.append(frames[:length])
                    written.append(batch[chunk.places.cpu()])
                    lengths.append(chunk.lengths.cpu())
                context.tick(0.0)  # a sign of life; how far the stage is, the epochs say
        placed = pd.DataFrame({"row": torch.cat(written).numpy(), "frames": torch.cat(lengths).numpy()})
        placed["first_frame"] = placed["frames"].cumsum() - placed["frames"]
        placed.to_parquet(folder / "segments.parquet", index=False)

    def _classify(
        self, context: Context, units: Units, sets: Mapping[str, Units], encoder: EmotionEncoder, arguments: Arguments
    ) -> None:
        """Train pooling and classifier, and write what they say."""
        import torch

        from trainables.models.speech_classifier import PooledHead

        torch.manual_seed(seeded(self.seed, "initialisation"))
        head = PooledHead(encoder.pooling, encoder.encoder.hidden_size, len(units.task.classes)).to(context.device)
        self.fit(context, sets, head, [{"params": list(head.parameters()), "lr": self.learning_rate}], arguments)
        self.write_scores(context, units, head, arguments)


def _reading_hidden(folder: Path, device: torch.device) -> Arguments:
    """From rows of the utterances' table to their hidden layers ``[B, T, d]`` and lengths ``[B]``, as they were written."""
    import pandas as pd
    import torch

    from trainables.features.frames import FrameTable

    table = FrameTable(folder)
    written = pd.read_parquet(folder / "segments.parquet", columns=["row"])["row"]
    place_of = pd.Series(written.index, index=written)

    def read(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.tensor(place_of[rows.numpy()].to_numpy())
        lengths = table.lengths[places]
        return table.gather(table.first[places], lengths).to(device), lengths.to(device)

    return read
