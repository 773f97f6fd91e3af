"""A whole search on Ray: Optuna suggests, ASHA stops early, the store keeps the history.

A trial is a class with one step per rung, so that Tune decides between steps alone: a trial that is stopped runs nothing. Every
stage of it takes the way of any other, through the ledger into the store, so what was computed before a kill is there after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ray import tune

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.cluster import current_shape
from orchestrator.execution.job import StageFailed
from orchestrator.execution.ray_drivers import DRIVER_FAILURES, ChainRunner, WhenStopped, driver_resources
from orchestrator.execution.ray_session import RaySession
from orchestrator.execution.resources import ResourceRequest
from orchestrator.search.asha import RefilledAsha
from orchestrator.search.claim import Claim
from orchestrator.search.history import History, SearchTrial
from orchestrator.search.plan import SearchPlan
from orchestrator.search.sampler import ToldOptuna
from search_spaces.scale import Scale
from search_spaces.search import Search
from trainables.stage import Stage, StopRequested


@dataclass(frozen=True)
class SearchTask:
    """What all drivers of a search get."""

    search: Search
    scale: Scale
    seeds: tuple[int, ...]
    runner: ChainRunner


class SearchDriver(tune.Trainable):
    """A trial's driver: one step for each rung, and one for the development score of all seeds.

    Ends without an exception whatever its stages do: only the death of a process is for Tune to retry.
    """

    def setup(self, config: dict[str, Any], task: SearchTask) -> None:
        """Begin with a trial."""
        self._task, self._store = task, ArtifactStore(task.runner.setting.store)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin with another trial."""
        self._point = new_config["point"]
        self._left = list(self._task.search.probes(self._point, self._task.scale).items())
        return True

    def step(self) -> dict[str, Any]:
        """Climb to the next rung, or come to the end; what :class:`~orchestrator.search.sampler.ToldOptuna` understands."""
        try:
            if self._left:
                epoch, probe = self._left.pop(0)
                return {"epoch": epoch, "score": self._score(probe)}
            stages = self._task.search.developments(self._point, self._task.scale, self._task.seeds)
            return {"state": "complete", "score": fmean(map(self._score, stages)), "done": True}
        except StopRequested:
            return {"state": "stopped", "score": math.nan, "done": True}
        except StageFailed as error:
            return {"state": "failed", "score": math.nan, "story": str(error), "done": True}

    def _score(self, stage: Stage) -> float:
        """Run a chain; the score of its last stage."""
        self._task.runner.finish(stage)
        fingerprint = self._task.runner.setting.fingerprint(stage)
        return float(self._store.read_json(fingerprint, "metrics.json")[self._task.search.metric])


class RaySearch(RaySession):
    """The trials that a search still lacks, on the cluster that this process is a driver of.

    Args:
        plan: The search as it stands under the claim (:func:`~orchestrator.search.plan.prepare_search`).
        claim: To its history; if it is lost, the search stops and writes nothing any more.
        request: Resources of the stages.
        tracking_uri: MLflow's store or server.
        artifacts: Where a local MLflow store keeps artifacts.
    """

    def __init__(self, plan: SearchPlan, claim: Claim, request: ResourceRequest, tracking_uri: str, artifacts: Path | None) -> None:
        super().__init__(plan.key, plan.setting.store, tracking_uri, artifacts)
        self._plan, self._claim, self._request = plan, claim, request
        self._trials = {trial.number: trial for trial in plan.told + plan.unfinished}
        self._history = History(ArtifactStore(plan.setting.store), plan.key)

    def run(self) -> str:
        """Run all missing trials; returns how the search ended: FINISHED or KILLED. What became of the trials is the history's to
        tell (:meth:`~orchestrator.search.plan.SearchPlan.refreshed`).

        Raises:
            RuntimeError: A trial's driver failed for good, which is a bug of ours or of Ray's.
        """
        with self.joined():
            self.track("open_search", self._plan.record)
            for trial in self._plan.told:
                self._tell(trial)
            errors = self._run_trials()
        return self.outcome(errors)

    def now(self) -> SearchPlan:
        """The search as far as it has come, without a look at the store."""
        return self._plan.knowing(list(self._trials.values()))

    def _run_trials(self) -> list[str]:
        """Returns when every one has ended, with what went wrong in their drivers (stages apart)."""
        plan, name = self._plan, f"{self._plan.search.name}-{self.name}"
        setting = plan.setting.model_copy(update={"sweep": self.name})
        runner = ChainRunner(setting, self._request, has_gpus=current_shape().grown()["GPU"] > 0)
        task = SearchTask(plan.search, plan.scale, plan.seeds, runner)
        with ArtifactStore(setting.store).ray_folder(name) as storage:
            tuner = tune.Tuner(
                tune.with_resources(tune.with_parameters(SearchDriver, task=task), driver_resources()),
                tune_config=tune.TuneConfig(
                    search_alg=ToldOptuna(plan, self._remember),
                    scheduler=RefilledAsha(plan.rungs, plan.told + plan.unfinished),
                    num_samples=plan.missing,
                    max_concurrent_trials=self._at_once(runner),
                    reuse_actors=True,
                    trial_name_creator=lambda trial: f"trial-{trial.config['number']:04d}",
                    trial_dirname_creator=lambda trial: f"trial-{trial.config['number']:04d}",
                ),
                run_config=tune.RunConfig(
                    name=name,
                    storage_path=storage,
                    failure_config=tune.FailureConfig(max_failures=DRIVER_FAILURES),
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # the store has all there is to keep
                    stop=WhenStopped(self.stopped),
                    verbose=0,
                ),
            )
            return [str(error) for error in tuner.fit().errors]

    def _at_once(self, runner: ChainRunner) -> int:
        """Trials at a time: as many as pretrainings fit. One begun before there is room for it would be chosen knowing less."""
        whole = self._plan.search.ladder(self._plan.search.paper, self._plan.scale)[-1]
        need = self._request.need(whole, runner.has_gpus)
        return max(1, current_shape().room(need) // need.workers)

    def _remember(self, trial: SearchTrial) -> None:
        """The history first: what MLflow lacks can be sent again."""
        if not self._claim.is_ours():  # what is not written here is the other's to decide
            if not self.asked_to_stop:
                self.stop()
            return
        self._history.write(trial)
        self._trials[trial.number] = trial
        self._tell(trial)

    def _tell(self, trial: SearchTrial) -> None:
        self.track("point_told", trial.number, trial.point, trial.rungs, trial.value, trial.state)
