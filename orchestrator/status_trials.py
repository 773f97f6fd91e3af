"""Where every trial of a sweep stands, and why each that is not finished is not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from orchestrator.execution.failures import POLICY
from orchestrator.status_facts import Facts
from orchestrator.sweep_documents import PlanDocument, RunningInfo, SweepStatus, TrialInfo


class Stand(StrEnum):
    """Where a trial stands."""

    done = "done"
    running = "running"
    waiting = "waiting"
    failed = "failed"


@dataclass(frozen=True)
class Reason:
    """Why trials are not finished; those with the same reason share it.

    Attributes:
        words: For people.
        story: What a failed stage said; it may name recordings and files.
    """

    words: str
    story: str = ""


@dataclass(frozen=True)
class TrialState:
    """A trial, where it stands, and why it is not finished (None if it is); of a running one, what is being computed for it."""

    trial: TrialInfo
    stand: Stand
    reason: Reason | None = None


@dataclass(frozen=True)
class SweepState:
    """A sweep at the moment of asking.

    Attributes:
        plan: What it comes to.
        status: What its process wrote last; None if nothing is there.
        lives: Whether that process gives signs of life.
        trials: Of the plan, in its order.
        needed: Stages that are still to be computed for trials that have not failed.
        running: Those of them that are being computed, whoever does it.
        done: Its finished stages.
        now: The moment.
    """

    plan: PlanDocument
    status: SweepStatus | None
    lives: bool
    trials: tuple[TrialState, ...]
    needed: frozenset[str]
    running: Mapping[str, RunningInfo]
    done: frozenset[str]
    now: datetime

    @cached_property
    def counts(self) -> Counter[Stand]:
        """Trials by where they stand."""
        return Counter(state.stand for state in self.trials)

    @cached_property
    def reasons(self) -> dict[Reason, list[TrialInfo]]:
        """The trials that failed or wait, by reason: failures first, then what most wait for."""
        found: dict[tuple[bool, Reason], list[TrialInfo]] = {}
        for state in self.trials:
            if state.stand in (Stand.waiting, Stand.failed):
                found.setdefault((state.stand is Stand.waiting, state.reason), []).append(state.trial)
        ordered = sorted(found.items(), key=lambda item: (item[0][0], -len(item[1])))
        return {reason: trials for (_, reason), trials in ordered}

    @cached_property
    def rows(self) -> dict[str, list[TrialState]]:
        """The trials of every row, by seed."""
        found: dict[str, list[TrialState]] = {row: [] for row in self.plan.rows}
        for state in self.trials:
            found[state.trial.row].append(state)
        return {row: sorted(states, key=lambda state: state.trial.seed) for row, states in found.items()}

    @property
    def is_complete(self) -> bool:
        """Whether all trials are finished; a search is over when its failed points are all that is not."""
        over = self.counts[Stand.done] + (self.counts[Stand.failed] if self.plan.points else 0)
        return over == self.total

    @property
    def total(self) -> int:
        """Trials in all, with the points that a search has not drawn yet."""
        return max(self.plan.points, len(self.trials))

    @property
    def undrawn(self) -> int:
        """Points that a search has not drawn yet."""
        return self.total - len(self.trials)

    @property
    def own_running(self) -> int:
        """Stages that the sweep's own process has running."""
        own = (info for info in self.running.values() if not info.sweep or info.sweep.startswith(self.plan.key))
        return sum(1 for _ in own) if self.lives else 0


@dataclass(frozen=True)
class Living:
    """What all living sweeps on a store say together.

    Attributes:
        running: What is being computed, by fingerprint.
        queued: Why what could begin has not, by fingerprint.
    """

    running: Mapping[str, RunningInfo] = field(default_factory=dict)
    queued: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, statuses: Iterable[SweepStatus]) -> Living:
        """Of the living among them; the latest word counts."""
        running: dict[str, RunningInfo] = {}
        queued: dict[str, str] = {}
        for status in sorted(statuses, key=lambda status: status.seen):
            running |= status.running
            queued |= status.queued
        return cls(running, queued)


def sweep_state(
    plan: PlanDocument, status: SweepStatus | None, lives: bool, living: Living, facts: Facts, now: datetime
) -> SweepState:
    """Where a sweep stands.

    Args:
        plan: Of the sweep.
        status: Its own last word.
        lives: Whether that sweep lives.
        living: What all living sweeps say, it included.
        facts: What the store holds of its stages, at the least.
        now: The moment.
    """
    judge = _Judge(plan, status, lives, living, facts, now)
    trials = tuple(judge.stand(trial) for trial in plan.trials)
    done = facts.done & plan.stages.keys()
    running = {name: info for name, info in living.running.items() if name in judge.needed}
    return SweepState(plan, status, lives, trials, frozenset(judge.needed), running, done, now)


def stage_title(plan: PlanDocument, fingerprint: str) -> str:
    """What people call a stage, with the settings that tell it apart."""
    return f"{plan.stages[fingerprint].label} {fingerprint.partition('/')[2]}"


class _Judge:
    """Judges the trials of one sweep, in the plan's order.

    Attributes:
        needed: What the trials that it has judged still need, apart from those that failed.
    """

    def __init__(
        self, plan: PlanDocument, status: SweepStatus | None, lives: bool, living: Living, facts: Facts, now: datetime
    ) -> None:
        self.needed: set[str] = set()
        self._plan, self._living, self._facts = plan, living, facts
        self._idle = _idle(status, lives, now)
        self._failed = facts.failures.keys() - living.running.keys()  # one that runs again is tried again
        self._taken: set[str] = set()  # running stages that an earlier trial counts as running for

    def stand(self, trial: TrialInfo) -> TrialState:
        """Where a trial stands. Of several that wait for one running stage, the first counts as running."""
        if trial.ended or self._facts.done.issuperset(trial.last):
            return TrialState(trial, Stand.done)
        lacking = self._plan.chain(trial, self._facts.done)
        failed = [name for name in lacking if name in self._failed]
        if failed:  # nothing more is computed for it
            return TrialState(trial, Stand.failed, self._failure(failed[-1], failed[-1] in trial.last))
        self.needed.update(lacking)
        computed = [name for name in lacking if name in self._living.running]
        if computed and (free := [name for name in computed if name not in self._taken]):
            self._taken.add(free[0])
            return TrialState(trial, Stand.running, self._computed(free[0]))
        return TrialState(trial, Stand.waiting, self._computed(computed[0]) if computed else self._waits(lacking))

    def _failure(self, name: str, is_last: bool) -> Reason:
        stage, failure = stage_title(self._plan, name), self._facts.failures[name]
        tried = f", tried {failure.attempts} times" if failure.attempts > 1 else ""
        what = f"its own {stage} failed" if is_last else f"upstream, {stage} failed"
        return Reason(f"{what} ({POLICY[failure.kind].words}{tried})", failure.error)

    def _computed(self, name: str) -> Reason:
        info = self._living.running[name]
        where = f" on {info.where}" if info.where else ""
        other = f", by sweep {info.sweep}" if info.sweep and not info.sweep.startswith(self._plan.key) else ""
        progress = f"{info.fraction:.0%} after {duration(info.seconds)}"
        return Reason(f"{stage_title(self._plan, name)} is being computed: {progress}{where}{other}")

    def _waits(self, lacking: list[str]) -> Reason:
        """Why nothing of what a trial lacks is being computed."""
        for name in lacking:
            if name in self._living.queued:
                return Reason(f"{stage_title(self._plan, name)} waits for room: {self._living.queued[name]}")
        for name in lacking:
            if name in self._facts.leases:
                return Reason(f"{stage_title(self._plan, name)}: {self._facts.leases[name]}")
        return self._idle


def _idle(status: SweepStatus | None, lives: bool, now: datetime) -> Reason:
    """Why a trial waits of which no stage is anybody's business at the moment."""
    again = "the same command goes on"
    if lives:
        return Reason("not begun: trials begin in the plan's order, as those before them end")
    if status is None:
        return Reason(f"its sweep has not given any sign of life; {again}")
    if status.state == "running":
        silent = duration(status.silent_seconds(now))
        return Reason(f"its sweep (process {status.pid} on {status.host}) has given no sign of life for {silent}; {again}")
    if status.state == "stopped":
        return Reason(f"its sweep was stopped; {again}")
    return Reason(f"its sweep has ended without it; {again}", status.error)


def duration(seconds: float) -> str:
    """Seconds as people say them: 42 s, 12 min, 3 h 05 min, 2 d 4 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
