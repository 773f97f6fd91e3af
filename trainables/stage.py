"""The contract between a stage and whatever runs it.

A stage is one job with a result on disk. Its fields are its settings, and its upstream stages are fields too, so that a chain of
stages is one nested value that can be printed, hashed (:mod:`trainables.identity`), saved as JSON and rebuilt.

A stage meets the outside through its :class:`Context` alone: under Ray Train, in the local executor and in a test it sees the same.
"""

from __future__ import annotations

import importlib
import sys
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

from trainables.errors import UserError

if TYPE_CHECKING:
    import torch

    from trainables.corpora.corpus import CorpusSource
    from trainables.leakage.exposure import Exposure


class _Role:
    """Marks a field that names a corpus role; the corpus' digest stands for it in the identity."""


CorpusRole = Annotated[str, _Role(), Field(min_length=1)]
"""A corpus role of ``corpora.toml`` ('mdd', 'mosei', ...)."""


class _Pretrained:
    """Marks a field that names public pretrained weights; the digest of their files stands for it in the identity."""


PretrainedName = Annotated[str, _Pretrained(), Field(min_length=1)]
"""Public pretrained weights: a Hugging Face name, or a package that carries them (:mod:`trainables.pretrained`)."""


class StopRequested(Exception):
    """Raised inside a stage, after its checkpoint is written, when the sweep is being stopped. Not a failure."""


class PartContext(Protocol):
    """What one part of a stage's work may know of its surroundings, see :meth:`Context.parts`.

    Attributes:
        directory: Where the part writes what it makes.
    """

    directory: Path

    def result(self, stage: Stage) -> Path:
        """Directory of an upstream stage's finished result."""

    def corpus(self, role: str) -> CorpusSource:
        """The corpus that plays this role."""

    def tick(self, fraction: float) -> None:
        """Say which fraction of the part is done. Cheap: call it at every step."""


class Context(Protocol):
    """Everything a running stage may know of its surroundings.

    Attributes:
        rank: This process among the stage's workers, 0 to ``world_size - 1``.
        world_size: Number of workers. If above 1, ``torch.distributed`` is initialised.
        device: Where to compute.
        directory: Where rank 0 writes the result; becomes visible to others only when the stage has ended well.
    """

    rank: int
    world_size: int
    device: torch.device
    directory: Path

    def result(self, stage: Stage) -> Path:
        """Directory of an upstream stage's finished result."""

    def begun(self, stage: Stage) -> Path | None:
        """Directory of an upstream result that this stage goes on from, of the same kind; its curves become this stage's own.

        None if other code computed it: half of a result by one code and half by another would bear the name of one.
        """

    def corpus(self, role: str) -> CorpusSource:
        """The corpus that plays this role."""

    def pretrained(self, name: str) -> Path:
        """Directory with these public weights, as ``transformers`` reads it.

        Raises:
            UserError: On this machine they are not what the sweep was planned with.
        """

    def report(self, metrics: Mapping[str, float], step: int) -> None:
        """Add one point per metric to the stage's curves. Every rank calls it equally often; rank 0's values count."""

    def tick(self, fraction: float) -> None:
        """Say which fraction of the work is done. Cheap: call it at every step."""

    def checkpoint_due(self) -> bool:
        """Whether the stage should save a checkpoint now: enough time has passed, or the sweep is being stopped."""

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Replace the newest checkpoint (tensors and plain values alone; written by rank 0).

        Raises:
            StopRequested: The sweep is being stopped; the checkpoint is safe.
        """

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest checkpoint of this very stage, on the CPU, or None."""

    def parts(self, work: Sequence[Any]) -> Iterator[Path]:
        """Hand out independent parts of the work, wherever there is room, and yield what each has made, in order.

        For a stage of one process that uses no accelerator. Each part is a call of its method
        ``run_part(work: Any, context: PartContext)``, in any process. What a part has made is kept until the stage's result is
        published, so that a stage that was stopped or killed goes on with the parts that are missing.

        Args:
            work: What each part is to do, JSON-able. It must depend on the stage, its corpora and its upstream results alone,
                never on how many workers there are: the same parts then give the same bytes anywhere.

        Yields:
            The directory of each part; it is there until the next one is asked for.

        Raises:
            UserError: Some parts have faults: the faults of all of them together, after all were tried.
            StopRequested: The sweep is being stopped; parts that were running have been finished and are kept.
        """


class Stage(BaseModel):
    """Base of all stages: frozen, typed, no unknown settings.

    Class attributes:
        version: Raise it when the meaning of the code changes: results of older versions are then not reused.
        data_parallel: Whether several workers can share the work.
        accelerated: Whether a GPU speeds it up; a stage that does not care should not hold one.
        provides_encoder: Whether the result holds an encoder (:mod:`trainables.models.weights`).
        shortcuts: Fields with upstream stages that spare work and cannot change the result: no part of the identity.
        later: Settings that are younger than stored results, each with the value that these were computed with: at it, a setting is
            no part of the identity, so that they stay what they are.
        draws: Whether the result has pictures (:mod:`trainables.pictures`).
        label: What the plan and MLflow call it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    __slots__ = ("_hashed",)

    version: ClassVar[int] = 1
    data_parallel: ClassVar[bool] = False
    accelerated: ClassVar[bool] = True
    provides_encoder: ClassVar[bool] = False
    shortcuts: ClassVar[frozenset[str]] = frozenset()
    later: ClassVar[Mapping[str, Any]] = {}
    draws: ClassVar[bool] = False
    label: ClassVar[str] = ""

    def __hash__(self) -> int:
        """Of all settings, upstream stages included; kept, because a big plan looks up the same chains again and again."""
        try:
            return self._hashed
        except AttributeError:
            object.__setattr__(self, "_hashed", hash((type(self), *self.__dict__.values())))
            return self._hashed

    @abstractmethod
    def run(self, context: Context) -> None:
        """Do the work and write the result to ``context.directory`` (rank 0), with a ``metrics.json`` of final numbers."""

    def validate_workers(self, num_workers: int) -> str | None:
        """Why this stage cannot run on so many workers, or None."""
        if num_workers > 1 and not self.data_parallel:
            return f"{type(self).__name__} runs on one worker"
        return None

    def corpus_fault(self, corpus: CorpusSource) -> str | None:
        """Why this stage cannot use a corpus that it names, for the user, or None; asked before anything is computed."""
        return None

    def exposure(self) -> Exposure | None:
        """What the result can know of the units that the stage is given, for the leakage audit; None: not declared, a finding."""
        return None

    def repeated(self) -> dict[str, tuple[Stage, float]]:
        """What this stage would compute again and again, and what to compute once instead; the plan decides where that pays.

        Returns:
            By the name of a shortcut in :meth:`upstream`: the stage whose result spares the work, and how many times this stage
            would do that work without it.
        """
        return {}

    def upstream(self) -> dict[str, Stage]:
        """The stages this one reads, by field name; those of a field that holds several as 'field.0', 'field.1', ..."""
        found: dict[str, Stage] = {}
        for name, value in self.__dict__.items():
            if isinstance(value, Stage):
                found[name] = value
            elif _holds_stages(value):
                found |= {f"{name}.{number}": stage for number, stage in enumerate(value)}
        return found

    def roles(self) -> dict[str, str]:
        """The corpus roles this stage itself reads, by field name."""
        return self._marked(_Role)

    def pretrained(self) -> dict[str, str]:
        """The public pretrained weights this stage itself reads, by field name."""
        return self._marked(_Pretrained)

    def settings(self) -> dict[str, Any]:
        """The fields that are neither upstream stages nor corpus roles nor pretrained weights."""
        named = self.roles().keys() | self.pretrained().keys()
        return {
            name: value for name, value in self if name not in named and not isinstance(value, Stage) and not _holds_stages(value)
        }

    def _marked(self, mark: type) -> dict[str, str]:
        fields = type(self).model_fields
        return {name: getattr(self, name) for name, info in fields.items() if any(isinstance(m, mark) for m in info.metadata)}

    def with_upstream(self, replaced: Mapping[str, Stage], **settings: Any) -> Self:
        """The same stage on other upstream stages and with other settings, validated anew.

        Args:
            replaced: Upstream stages by their name in :meth:`upstream`; all or some.
            settings: Other settings; what is at its default here and not among them stays unset.
        """
        above = self.upstream() | replaced
        chosen = {name: value for name, value in self if name in self.model_fields_set}
        for name, value in self:
            if isinstance(value, Stage):
                chosen[name] = above[name]
            elif _holds_stages(value):
                chosen[name] = tuple(above[f"{name}.{number}"] for number in range(len(value)))
        return type(self)(**{**chosen, **settings})

    def chain(self) -> Iterator[Stage]:
        """This stage and everything upstream of it, each distinct one once, upstream first."""
        seen: set[Stage] = set()

        def walk(stage: Stage) -> Iterator[Stage]:
            if stage not in seen:
                for above in stage.upstream().values():
                    yield from walk(above)
                seen.add(stage)
                yield stage

        return walk(self)


def _holds_stages(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(item, Stage) for item in value)


def to_config(stage: Stage) -> dict[str, Any]:
    """A JSON-able description from which :func:`from_config` rebuilds the stage, upstream stages included."""
    cls = type(stage)
    config: dict[str, Any] = {"stage": f"{cls.__module__}.{cls.__qualname__}"}
    settings = {name for name, value in stage if not isinstance(value, Stage) and not _holds_stages(value)}
    config.update(stage.model_dump(mode="json", include=settings))
    for name, value in stage:
        if isinstance(value, Stage):
            config[name] = to_config(value)
        elif _holds_stages(value):
            config[name] = [to_config(above) for above in value]
    return config


def from_config(config: Mapping[str, Any]) -> Stage:
    """Rebuild a stage from :func:`to_config`'s description.

    Raises:
        UserError: The description names no stage that this installation has.
    """
    settings = {name: _rebuilt(value) for name, value in config.items() if name != "stage"}
    return stage_class(config["stage"])(**settings)


def _rebuilt(value: Any) -> Any:
    if isinstance(value, Mapping) and "stage" in value:
        return from_config(value)
    if isinstance(value, list) and value and all(isinstance(item, Mapping) and "stage" in item for item in value):
        return tuple(from_config(item) for item in value)
    return value


def stage_class(path: str) -> type[Stage]:
    """The class of a stage from its path ``module.Class``, as descriptions have it.

    Raises:
        UserError: This installation has no such stage.
    """
    module_name, _, class_name = path.rpartition(".")
    # A description is data: it may choose among our stages and those the program has loaded, and import nothing else.
    if module_name not in sys.modules and module_name.split(".")[0] != "trainables":
        raise UserError(f"stage {path!r} is not part of this program; import its module first")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise UserError(f"stage {path!r} is unknown to this version of the program ({error})") from error
    if not (isinstance(cls, type) and issubclass(cls, Stage)):
        raise UserError(f"{path!r} is not a stage")
    return cls
