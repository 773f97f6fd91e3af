"""The document of a search, as :mod:`orchestrator.sweep_documents` has one of every sweep; it grows with the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.search.history import SearchTrial
from orchestrator.search.plan import SearchPlan
from orchestrator.sweep_documents import PlanDocument, StageInfo, TrialInfo
from trainables.stage import Stage


@dataclass(frozen=True)
class _Point:
    """A trial of the search as the document has it: a row of its own, with its stages by fingerprint."""

    trial: SearchTrial
    label: str
    info: TrialInfo
    stages: dict[str, StageInfo]


class SearchDocument:
    """Makes the document again and again while the search runs; what a point comes to is worked out when there is news of it."""

    def __init__(self) -> None:
        self._points: dict[int, _Point] = {}
        self._made: PlanDocument | None = None

    def of(self, plan: SearchPlan) -> PlanDocument:
        """The document of the search as it stands; the same object while there is no news."""
        trials = sorted(plan.told + plan.unfinished, key=lambda trial: trial.number)
        if self._made is None or trials != [point.trial for point in self._points.values()]:
            self._points = {trial.number: self._point(plan, trial) for trial in trials}
            self._made = _document(plan, list(self._points.values()))
        return self._made

    def _point(self, plan: SearchPlan, trial: SearchTrial) -> _Point:
        known = self._points.get(trial.number)
        if known is not None and known.trial == trial:
            return known
        last = _last_stages(plan, trial)
        stages = {plan.setting.fingerprint(stage): StageInfo.of(stage, plan.setting) for each in last for stage in each.chain()}
        first, *others = dict.fromkeys(map(plan.setting.fingerprint, last))
        ended = trial.state in ("complete", "pruned")  # of one that failed the store tells why
        info = TrialInfo(row=str(trial.number), seed=0, fingerprint=first, others=others, ended=ended)
        return _Point(trial, _label(plan, trial), info, stages)


def _last_stages(plan: SearchPlan, trial: SearchTrial) -> list[Stage]:
    """What a trial runs, but for what is upstream of it; of one that was stopped early, what it has run."""
    probes = plan.search.probes(trial.point, plan.scale)
    if trial.state == "pruned":
        return [probes[epoch] for epoch in trial.rungs]
    return [*probes.values(), *plan.search.developments(trial.point, plan.scale, plan.seeds)]


def _label(plan: SearchPlan, trial: SearchTrial) -> str:
    """The trial's number, how it has ended, and its point."""
    point = " ".join(f"{name}={value:.3g}" for name, value in trial.point.items())
    how = f"{plan.search.metric} {trial.value:.3f}" if trial.value is not None else ""
    if trial.state == "pruned":
        how = f"stopped early, after epoch {max(trial.rungs)}"
    return " · ".join(filter(None, (str(trial.number), how, point)))


def _document(plan: SearchPlan, points: Sequence[_Point]) -> PlanDocument:
    return PlanDocument(
        key=plan.key,
        study=plan.search.name,
        title=plan.search.title,
        scale=plan.scale.name,
        protocol=plan.record.protocol,
        code=plan.setting.code,
        rows={point.info.row: point.label for point in points},
        seeds=[0],
        stages={name: info for point in points for name, info in point.stages.items()},
        trials=[point.info for point in points],
        points=plan.trials,
    )
