"""Ray's asynchronous successive halving, with rungs that can be filled again from a search's history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ray.tune.experiment import Trial
from ray.tune.schedulers import AsyncHyperBandScheduler

from orchestrator.search.history import SearchTrial

REDUCTION = 2
"""A trial goes on from a rung if its score is not below the median of those that came to it. The paper of ASHA (Li et al. 2020) has
4; with a few dozen trials and a noisy probe, stopping the poorer half alone loses fewer good ones."""


class RefilledAsha(AsyncHyperBandScheduler):
    """ASHA over given rungs. Ray keeps what it knows of them in memory alone, so a resumed search tells it everything anew.

    A trial is judged at all rungs but the last: after that one, what is left to do is cheap, and is what the search is for.

    Args:
        rungs: Epochs of the rungs, rising.
        trials: All trials of the search's history, whatever their state.
    """

    def __init__(self, rungs: Sequence[int], trials: Iterable[SearchTrial]) -> None:
        super().__init__(time_attr="epoch", metric="score", mode="max", reduction_factor=REDUCTION, stop_last_trials=False)
        self._max_t = rungs[-1]
        bracket = self._brackets[0]
        bracket._stop_last_trials = False
        # Ray spaces rungs by powers of the reduction factor; ours are given, highest first, each with its scores by trial.
        bracket._rungs = [(epoch, {}) for epoch in reversed(rungs[:-1])]
        for trial in trials:
            for epoch, scores in bracket._rungs:
                if epoch in trial.rungs:
                    scores[_name(trial.number)] = trial.rungs[epoch]

    def on_trial_add(self, tune_controller: object, trial: Trial) -> None:
        """Let a trial that goes on keep its places: Ray gives it another name in every process."""
        super().on_trial_add(tune_controller, trial)
        for _, scores in self._brackets[0]._rungs:
            if (known := _name(trial.config["number"])) in scores:
                scores[trial.trial_id] = scores.pop(known)


def _name(number: int) -> str:
    return f"trial-{number}"
