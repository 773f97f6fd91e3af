"""Stage: all seeds of a small sequence model, trained as one batched job."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from trainables.divided import shuffle_labels
from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.protocols import Protocol, ScoredSet, divide
from trainables.stage import Context, PartContext, Stage
from trainables.tasks import TASKS, TaskName

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import torch

    from trainables.seed_training import SeedData, Sequences, Trained
    from trainables.units import Units

_FILES = ("predictions.parquet", "losses.parquet")


class SequenceSettings(Stage):
    """What describes a sequence model and its training, but for seed and division.

    From the paper (Climate and Weather, section 2.3): a bi-directional LSTM pools a session's segment-level features, a bi-GRU
    those of direct audio. It is silent on the rest:

    - Hidden size 128, mean over time, Adam 1e-3, batch 16, 50 epochs, the last of which counts: as for ReCLR's sessions
      (:class:`~trainables.session_classifier.SessionClassifier`).
    - Inputs are standardised with mean and deviation of the turns that the seed trains on.
    - ``balanced``: each class weighs equally much in the loss, because the paper's uninformative rows have an F1 of 0.53 to 0.56:
      that of a model that calls nearly everybody depressed, which one that is trained on the healthy majority would not do. A unit
      has the weight of its class in the whole training set, and a batch's loss is the mean of its weighted losses; if it were
      divided by the weights in the batch, as in PyTorch's, a batch of one class would count in full.
    """

    features: tuple[Stage, ...] = Field(min_length=1)
    """Turn features of one corpus; those of several stages are concatenated turn by turn (early fusion)."""
    cell: Literal["lstm", "gru"] = "lstm"
    task: TaskName = "depression"
    hidden_size: int = Field(default=128, gt=0)
    """Units each way."""
    epochs: int = Field(default=50, gt=0)
    batch_size: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    balanced: bool = True

    @model_validator(mode="after")
    def _same_turns(self) -> SequenceSettings:
        places = {(getattr(stage, "corpus", None), getattr(stage, "unit", None)) for stage in self.features}
        if len(places) > 1 or None in next(iter(places)):
            found = ", ".join(f"{type(stage).__name__} of {getattr(stage, 'corpus', 'no corpus')}" for stage in self.features)
            raise ValueError(f"features must describe the turns of one corpus, by the same unit; found {found}")
        return self


class SeedBatch(SequenceSettings):
    """Bi-LSTMs or bi-GRUs of consecutive seeds, trained side by side, and what each says of the units it was not trained on.

    A seed controls its division where the protocol leaves that to the seed, its initialisation and its batch order. They are the
    same in any block and alone, and so are the losses and predictions but for rounding.

    On a CPU the seeds are shared out in groups whose size depends on the settings alone, so that several cores have some each and
    a block that was stopped goes on with the groups that are missing. On an accelerator, where a step's time hardly depends on how
    many there are, all are trained together in this process; stopped there, a block begins again (it takes minutes).

    Result: ``predictions.parquet`` (``seed, unit, set, p0, p1, ...``; every unit of each seed's sets but those that it trained on),
    ``losses.parquet`` (``seed, epoch, loss``), ``metrics.json`` (``loss``: of the last epoch, mean over the seeds).
    """

    label: ClassVar[str] = "training of seeds"

    protocol: Protocol
    fold: int = Field(default=0, ge=0)
    inner: int | None = None
    scored_on: ScoredSet = "test"
    """Of a division that is drawn it decides who trains; of others it is 'test', whoever asks."""
    shuffled_labels: bool = False
    first_seed: int
    seeds: int = Field(gt=0)

    def exposure(self) -> Exposure:
        """Nothing that goes on from here to any one score is learnt here.

        Only what a seed's own model says flows on, to the classifier of that seed, which declares the units of that model as its
        own. The models of other seeds, which may have been trained on units that this one is scored on, end here.
        """
        return Exposure(features=self.features[0])

    def sets(self, units: Units, seed: int) -> dict[str, Units]:
        """The sets of one seed, as :meth:`trainables.divided.DividedStage.sets` of its classifier; only 'train' has its classes.

        Raises:
            UserError: The corpus does not have what the protocol needs.
        """
        sets = divide(units, self.protocol, seed, fold=self.fold, inner=self.inner, scored_on=self.scored_on)
        if self.shuffled_labels:
            sets["train"] = shuffle_labels(sets["train"], seed, "train")
        return sets

    def run(self, context: Context) -> None:
        """Train all seeds.

        Raises:
            UserError: The features are not of the same turns, or the corpus does not have what the protocol needs.
        """
        import pandas as pd

        seeds = list(range(self.first_seed, self.first_seed + self.seeds))
        if context.device.type == "cpu":
            size = seeds_in_a_group(self.hidden_size)
            groups = [seeds[begin : begin + size] for begin in range(0, len(seeds), size)]
            made = [[pd.read_parquet(part / name) for name in _FILES] for part in context.parts(groups)]
            for name, tables in zip(_FILES, zip(*made, strict=True), strict=True):
                pd.concat(tables, ignore_index=True).to_parquet(context.directory / name, index=False)
        else:
            self._train(context, seeds, context.device)
        losses = pd.read_parquet(context.directory / "losses.parquet")
        last = losses.loc[losses["epoch"] == self.epochs - 1, "loss"]
        (context.directory / "metrics.json").write_text(json.dumps({"loss": float(last.mean())}))

    def run_part(self, work: Any, context: PartContext) -> None:
        """Train the seeds of a group, ``work``, on the CPU."""
        import torch

        self._train(context, work, torch.device("cpu"))

    def _train(self, context: Context | PartContext, seeds: list[int], device: torch.device) -> None:
        """Write ``predictions.parquet`` and ``losses.parquet`` of some seeds, trained side by side."""
        import numpy as np
        import pandas as pd

        from trainables.seed_training import train_together
        from trainables.units import read_units

        units = read_units(context.result(self.features[0]), TASKS[self.task])
        sequences = turn_sequences([context.result(stage) for stage in self.features], units)
        numbered = replace(units, table=units.table.assign(number=np.arange(len(units.truth))))
        divisions = [self.sets(numbered, seed) for seed in seeds]
        data = [_data(seed, sets) for seed, sets in zip(seeds, divisions, strict=True)]
        trained = train_together(self, sequences, data, len(units.task.classes), device, context.tick)
        said = [_said(seed, sets, own) for seed, sets, own in zip(seeds, divisions, trained, strict=True)]
        losses = [
            pd.DataFrame({"seed": seed, "epoch": range(self.epochs), "loss": own.losses.numpy()})
            for seed, own in zip(seeds, trained, strict=True)
        ]
        for name, tables in zip(_FILES, (said, losses), strict=True):
            pd.concat(tables, ignore_index=True).to_parquet(context.directory / name, index=False)


def seeds_in_a_group(hidden_size: int) -> int:
    """How many seeds a CPU core trains side by side: as many as have some 300 hidden units together, at least two.

    Measured for bi-LSTMs on sequences of 100 to 300 turns of 512 dimensions, 1 thread, over one seed at a time: at 32 units ten
    seeds are 2.4 times as fast in batches of 4 and 1.6 times in batches of 16, at 64 units five are 2.1 times and equally fast, at
    128 units two are 1.2 times. More gain little; they leave other cores idle, and at 128 units the states outgrow the cache.
    """
    return max(2, 320 // hidden_size)


def turn_sequences(features: list[Path], units: Units) -> Sequences:
    """The turns of each unit in time order, their features side by side.

    Args:
        features: Result directories of turn features.
        units: Read from the first of them.

    Raises:
        UserError: The features are not of the same turns.
    """
    import numpy as np
    import pandas as pd
    import torch

    from trainables.seed_training import Sequences

    turns = [pd.read_parquet(directory / "segments.parquet", columns=["unit", "position"]) for directory in features]
    for directory, others in zip(features[1:], turns[1:], strict=True):
        if not others.equals(turns[0]):
            raise UserError(
                f"{directory} describes {len(others)} turns and {features[0]} {len(turns[0])}, not the same ones; features are put "
                "side by side turn by turn; compute both anew from one corpus"
            )
    rows = np.concatenate(units.segments)
    parts = [np.load(directory / "embeddings.npy", mmap_mode="r")[rows] for directory in features]
    table = torch.from_numpy(np.concatenate(parts, axis=1, dtype=np.float32))
    return Sequences(table, torch.tensor([len(segments) for segments in units.segments]))


def _data(seed: int, sets: dict[str, Units]) -> SeedData:
    """What a seed trains on, from sets whose tables have a ``number``."""
    import torch

    from trainables.seed_training import SeedData

    numbers = {name: torch.tensor(part.table["number"].to_numpy()) for name, part in sets.items()}
    training = numbers.pop("train")
    return SeedData(seed, training, torch.from_numpy(sets["train"].truth), torch.cat(list(numbers.values())))


def _said(seed: int, sets: dict[str, Units], trained: Trained) -> pd.DataFrame:
    """What a seed's model says of the units outside its training set, in the order of :func:`_data`."""
    import pandas as pd

    outside = [part.table[["unit"]].assign(seed=seed, set=name) for name, part in sets.items() if name != "train"]
    columns = {f"p{number}": column for number, column in enumerate(trained.probabilities.numpy().T)}
    return pd.concat(outside, ignore_index=True)[["seed", "unit", "set"]].assign(**columns)
