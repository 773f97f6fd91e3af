"""Optuna as Ray Tune's searcher, told the history of a search when it starts and keeping it while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from ray.tune.search.optuna import OptunaSearch

from orchestrator.search.history import SearchTrial
from orchestrator.search.plan import SearchPlan
from search_spaces.search import Range, Real
from trainables.numerics import seeded


class ToldOptuna(OptunaSearch):
    """Suggests the points of a search: unfinished trials first with the points they had, then the paper's own, then TPE's.

    Every change of a trial is passed on before anything else is decided, so that what was passed on is a history from which another
    process goes on: it gives Optuna the same finished and pruned trials, and the sampler of trial n is seeded by (search seed, n),
    so that it draws what this process would have drawn and no point twice.

    The results it understands: ``{"epoch", "score"}`` at a rung, ``{"state": "complete", "score"}`` and
    ``{"state": "failed", "story"}`` at the end.

    Args:
        plan: The search with its history.
        tell: Called with a trial whenever there is news of it.
    """

    def __init__(self, plan: SearchPlan, tell: Callable[[SearchTrial], None]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # its progress is shown and kept elsewhere
        super().__init__(space=distributions(plan.search.space), metric="score", mode="max", sampler=_sampler(plan, 0))
        self._plan, self._tell = plan, tell
        self._waiting = list(plan.unfinished)
        self._next = 1 + max((trial.number for trial in plan.told + plan.unfinished), default=-1)
        self._live: dict[str, SearchTrial] = {}
        for trial in plan.told:
            self.add_evaluated_point(
                dict(trial.point),
                trial.value,
                error=trial.state == "failed",
                pruned=trial.state == "pruned",
                intermediate_values=list(trial.rungs.values()),
            )

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The next trial: its number and its point."""
        trial = self._waiting.pop(0) if self._waiting else None
        number = trial.number if trial else self._next
        if known := trial.point if trial else self._plan.search.paper if number == 0 else None:
            self._ot_study.enqueue_trial(dict(known))
        self._ot_study.sampler = _sampler(self._plan, number)
        point = super().suggest(trial_id)
        if trial is None:
            trial, self._next = SearchTrial(number=number, point=point), number + 1
        if not trial.scored:
            trial = trial.model_copy(update={"code": self._plan.code})
        for step, score in enumerate(trial.rungs.values()):
            self._ot_trials[trial_id].report(score, step)
        self._keep(trial_id, trial)
        return {"number": number, "point": dict(trial.point)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """A trial has come to a rung and goes on."""
        self._keep(trial_id, self._at_rung(trial_id, result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial has ended; one whose driver died or was stopped has not, and goes first next time."""
        if error or not result or result.get("state") == "stopped":
            return
        state = result.get("state", "pruned")  # ended without an end of its own: ASHA stopped it at a rung
        trial = self._at_rung(trial_id, result)
        super().on_trial_complete(trial_id, result if state == "complete" else None, error=state == "failed")
        ended = {"state": state, "value": result["score"] if state == "complete" else None, "story": result.get("story")}
        # In one document with the rung: a trial that was at a rung and is not pruned has been let through.
        self._keep(trial_id, trial.model_copy(update=ended))

    def _at_rung(self, trial_id: str, result: dict[str, Any]) -> SearchTrial:
        """The trial with the rung that it has come to, if it has come to one for the first time."""
        trial = self._live[trial_id]
        if result.get("epoch") is None or result["epoch"] in trial.rungs:
            return trial
        self._ot_trials[trial_id].report(result["score"], len(trial.rungs))
        return trial.model_copy(update={"rungs": {**trial.rungs, result["epoch"]: result["score"]}})

    def _keep(self, trial_id: str, trial: SearchTrial) -> None:
        if trial != self._live.get(trial_id):
            self._live[trial_id] = trial
            self._tell(trial)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: Tune would pickle the searcher, for a way of resuming that we do not use."""
        Path(checkpoint_path).touch()

    def __getstate__(self) -> dict[str, Any]:
        return {}


def distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """The ranges in Optuna's words."""

    def distribution(kind: Range) -> BaseDistribution:
        if isinstance(kind, Real):
            return FloatDistribution(kind.low, kind.high, log=kind.log)
        return IntDistribution(kind.low, kind.high)

    return {name: distribution(kind) for name, kind in space.items()}


def _sampler(plan: SearchPlan, number: int) -> TPESampler:
    """Optuna's tree-structured Parzen estimator over all settings jointly; ten random points first. Running trials count as poor,
    so that trials at the same time do not crowd around one point."""
    seed = seeded(plan.search_seed, "search", number) % 2**32
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)
