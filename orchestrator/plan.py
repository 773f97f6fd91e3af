"""From a study to the distinct stages behind it: what is done, what will run, what sharing saves. Knows no Ray."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from orchestrator.artifacts import ArtifactStore
from orchestrator.audit import Audit
from orchestrator.execution.failures import Failure, failure_of
from orchestrator.execution.setting import Setting
from orchestrator.precomputing import Precomputed, precompute
from orchestrator.records import CorpusRecord, SweepRecord, TrialRecord
from search_spaces.scale import Scale
from search_spaces.study import Study
from trainables.errors import UserError
from trainables.stage import Stage

_AT_ONCE = 16  # questions to a store, which may be far away


class Redo(StrEnum):
    """What to do about results and failures that are there already.

    cached: use results, leave failed stages failed.
    retry: use results, run failed stages again.
    force: compute everything again.
    read_only: compute nothing; a missing result is an error.
    """

    cached = "cached"
    retry = "retry"
    force = "force"
    read_only = "read-only"


class State(StrEnum):
    """Where a stage stands before the sweep."""

    done = "done"
    missing = "to run"
    failed = "failed before"
    unneeded = "not needed"  # its result is gone, but everything that would read it is done


@dataclass(frozen=True)
class PlannedStage:
    """A distinct stage of the plan, and how many trials need its result."""

    stage: Stage
    fingerprint: str
    state: State
    trials: int


@dataclass(frozen=True)
class PlannedTrial:
    """A point of the search space and the last stage of its chain."""

    record: TrialRecord
    target: Stage


@dataclass(frozen=True)
class Plan:
    """All trials of a sweep and the distinct stages behind them, upstream first; ``audit`` is empty until there is one.

    ``precomputed`` tells which of the stages are there because they spare others work.
    """

    study: Study
    scale: Scale
    seeds: tuple[int, ...]
    setting: Setting
    trials: tuple[PlannedTrial, ...]
    stages: tuple[PlannedStage, ...]
    audit: Audit = field(default_factory=Audit)
    precomputed: tuple[Precomputed, ...] = ()

    def in_state(self, state: State) -> list[PlannedStage]:
        """The stages that stand there."""
        return [stage for stage in self.stages if stage.state == state]

    @property
    def unshared(self) -> int:
        """Stage executions if every trial ran its whole chain by itself."""
        return sum(len(trial.record.stages) for trial in self.trials)

    @property
    def protocol(self) -> str:
        """The protocols by name, digest and sentence, with the study's own remarks, for runs and captions."""
        return self.study.divided_by()

    @cached_property
    def sweep(self) -> SweepRecord:
        """What MLflow keeps of the sweep. Its key depends on what is computed, so the same command finds the same runs."""
        fingerprints = [trial.record.fingerprint for trial in self.trials]
        content = json.dumps([self.study.table.model_dump(mode="json"), self.scale.name, self.protocol, fingerprints])
        corpora = {
            role: CorpusRecord(name=corpus.name, digest=corpus.digest, twin=corpus.is_twin)
            for role, corpus in sorted(self.setting.corpora.items())
        }
        return SweepRecord(
            study=self.study.name,
            key=hashlib.sha256(content.encode()).hexdigest()[:12],
            table=self.study.table,
            seeds=self.seeds,
            scale=self.scale.name,
            corpora=corpora,
            protocol=self.protocol,
            code=self.setting.code,
            leaks=self.audit.leaks,
            stated=self.audit.stated,
        )


def make_plan(
    study: Study, scale: Scale, seeds: tuple[int, ...], setting: Setting, store: ArtifactStore, redo: Redo = Redo.cached
) -> Plan:
    """Expand the study into trials, collect their distinct stages, and see where each stands. Changes nothing."""
    trials, stages, uses = [], {}, Counter()
    places = [(seed, row) for seed in seeds for row in study.chains]
    targets, precomputed = precompute([scale.apply(study.chains[row](seed)) for seed, row in places])
    for (seed, row), target in zip(places, targets, strict=True):
        names = {setting.fingerprint(stage): stage for stage in target.chain()}
        stages |= names
        uses.update(names.keys())
        last = setting.fingerprint(target)
        record = TrialRecord(key=f"{row}-seed{seed}", row=row, seed=seed, fingerprint=last, stages=tuple(names))
        trials.append(PlannedTrial(record, target))
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        states = dict(zip(stages, threads.map(lambda name: _state(name, store, redo), stages), strict=True))
    needed = _needed({trial.target for trial in trials}, states, setting)
    planned = []
    for name, stage in stages.items():
        state = states[name] if states[name] is State.done or name in needed else State.unneeded
        planned.append(PlannedStage(stage, name, state, uses[name]))
    return Plan(study, scale, seeds, setting, tuple(trials), tuple(planned), precomputed=tuple(precomputed))


def prepare_store(plan: Plan, redo: Redo, store: ArtifactStore) -> None:
    """Make the store what the plan says it is.

    Raises:
        UserError: Results are missing and nothing may be computed, or a result is not what its name says.
    """
    missing = plan.in_state(State.missing) + plan.in_state(State.failed)
    if redo is Redo.read_only and missing:
        listing = "\n".join(f"  - {stage.fingerprint}" for stage in missing[:10])
        count = f"{len(missing)} of {len(plan.stages)}"
        raise UserError(f"{count} results are missing and --redo read-only computes nothing:\n{listing}")
    for stage in plan.in_state(State.done):
        store.check_identity(stage.fingerprint, plan.setting.identity(stage.stage))
    for stage in plan.stages:
        if redo is Redo.retry or (redo is Redo.cached and stage.state is State.missing):
            store.clear_failure(stage.fingerprint)
        elif redo is Redo.force:
            store.remove(stage.fingerprint)


def failed_stages(plan: Plan, store: ArtifactStore) -> list[tuple[PlannedStage, Failure]]:
    """The stages of a plan that failed, and why."""
    found = [(stage, failure_of(store, stage.fingerprint)) for stage in plan.stages if store.failure(stage.fingerprint)]
    return [(stage, failure) for stage, failure in found if failure is not None]


def _state(fingerprint: str, store: ArtifactStore, redo: Redo) -> State:
    if redo is Redo.force:
        return State.missing
    if store.is_done(fingerprint):
        return State.done
    if redo is Redo.retry or not store.failure(fingerprint):
        return State.missing
    failed = failure_of(store, fingerprint)  # what may have passed is tried again without being asked
    return State.failed if failed is not None and failed.lasts else State.missing


def _needed(targets: Iterable[Stage], states: Mapping[str, State], setting: Setting) -> set[str]:
    """Unfinished stages that some unfinished chain leads through; a finished result hides everything upstream of it."""
    needed: set[str] = set()

    def visit(stage: Stage) -> None:
        name = setting.fingerprint(stage)
        if name not in needed and states[name] is not State.done:
            needed.add(name)
            for above in stage.upstream().values():
                visit(above)

    for target in targets:
        visit(target)
    return needed
