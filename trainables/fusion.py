"""Stage: late fusion of stored predictions (Climate and Weather, section 3.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from trainables.errors import UserError
from trainables.leakage.exposure import Exposure
from trainables.recombination import Recombination, Stored
from trainables.stage import Context

if TYPE_CHECKING:
    import numpy as np

Combine = Callable[["np.ndarray"], "np.ndarray"]
"""From the members' probabilities ``[members, units, classes]`` to the fused ones ``[units, classes]``."""

_FITTED = ("weighted", "stacking")

_LEAST = 1e-6
"""The least probability whose logarithm is taken: a member that is sure and wrong costs 14 nats and not infinitely many."""


class Fusion(Recombination):
    """Several modalities' predictions made one. All rules work on the probabilities that the members have stored.

    - ``majority_vote``: the paper's 'late fusion based on voting mechanism'; see :func:`majority_vote` for ties, which three votes
      on two classes do not have. 'A pattern can be observed that when facing conflicted votes, accuracy is guaranteed to follow
      the emotion modality' (section 3.4) is taken as an observation and not as a rule: no member has more votes than another.
    - ``mean_probability``: the members' mean.
    - ``weighted``: their weighted mean; the weights, not negative and of sum 1, have the least log-loss on the development set.
    - ``stacking``: logistic regression (scikit-learn's default penalty) on the members' log-odds, fitted on the development set.

    The paper votes; the other rules are ours. The development set of a fitted rule is scored too, because the paper's rule is to
    report it, but cross-fitted: the units of each speaker by weights that were fitted on all other speakers' units. The test
    set is scored by weights fitted on the whole development set.

    Result: ``predictions.parquet``; ``predictions_dev.parquet`` where there is a development set beside the scored one and the
    members have written theirs; ``metrics.json``, with ``weight_0``, ``weight_1``, ... of the rule 'weighted'.
    """

    label: ClassVar[str] = "fusion"

    rule: Literal["majority_vote", "mean_probability", "weighted", "stacking"]

    @model_validator(mode="after")
    def _has_units_to_fit_on(self) -> Fusion:
        if self.rule in _FITTED and not self.has_development_set():
            nested = f" or an inner fold, 0 to {self.protocol.inner_folds - 1}" if self.protocol.inner_folds else ""
            raise UserError(
                f"fusion rule {self.rule!r} is fitted on a development set, and {self.protocol.name!r} has none here; choose a "
                f"protocol that has one{nested}, or the rule 'majority_vote' or 'mean_probability'"
            )
        return self

    def exposure(self) -> Exposure:
        """Its members' predictions; of the rules with weights the classes of the development units."""
        return self.recombining("dev" if self.rule in _FITTED else "nothing")

    def run(self, context: Context) -> None:
        """Fuse what the members have stored.

        Raises:
            UserError: The members have predicted other units, or a rule has no development predictions to be fitted on.
        """
        from trainables.metrics import with_probabilities, write_table

        scored = self.stored(context)
        beside = self.stored(context, "predictions_dev") if self.scored_on == "test" else None
        if self.rule in _FITTED:
            dev = scored if self.scored_on == "dev" else self._required(beside)
            combine, held_out = self._fit(context, dev)
            fused = held_out if dev is scored else combine(scored.probabilities)
        else:
            combine = {"majority_vote": majority_vote, "mean_probability": mean_probability}[self.rule]
            fused, held_out = combine(scored.probabilities), combine(beside.probabilities) if beside else None
        write_table(context.directory, with_probabilities(scored.table, fused))
        if beside:
            write_table(context.directory, with_probabilities(beside.table, held_out), "predictions_dev")

    def _fit(self, context: Context, dev: Stored) -> tuple[Combine, np.ndarray]:
        """The rule fitted on the development units, and what it says of each speaker there when fitted on the others."""
        from trainables.metrics import add_metrics

        truth = self.selecting(dev.table)["truth"].to_numpy()
        if self.rule == "weighted":
            weights = log_loss_weights(dev.probabilities, truth).tolist()
            add_metrics(context.directory, {f"weight_{number}": weight for number, weight in enumerate(weights)})
        held_out = leave_one_speaker_out(self.rule, dev.probabilities, truth, dev.table["speaker"].to_numpy().astype(str))
        return fitted(self.rule, dev.probabilities, truth), held_out

    def _required(self, dev: Stored | None) -> Stored:
        if dev is None:
            raise UserError(
                f"fusion rule {self.rule!r} is fitted on the members' predictions of the development set; none of "
                f"{', '.join(dict.fromkeys(member.label for member in self.members))} has written them: choose other members"
            )
        return dev


def majority_vote(probabilities: np.ndarray) -> np.ndarray:
    """Shares of the votes, the members' mean probability counting as one more voter.

    Votes differ by whole ones and the mean by less than one, so the class with most votes is the most probable one, and of classes
    with equally many votes the one that the members are surer of on average (decision; the paper has no ties).

    Args:
        probabilities: ``[members, units, classes]``.

    Returns:
        ``[units, classes]``.
    """
    import numpy as np

    votes = np.eye(probabilities.shape[2])[probabilities.argmax(axis=2)].sum(axis=0)
    return (votes + mean_probability(probabilities)) / (len(probabilities) + 1)


def mean_probability(probabilities: np.ndarray) -> np.ndarray:
    """The members' mean, from ``[members, units, classes]`` to ``[units, classes]``."""
    return probabilities.mean(axis=0)


def fitted(rule: str, probabilities: np.ndarray, truth: np.ndarray) -> Combine:
    """The rule 'weighted' or 'stacking', fitted.

    Args:
        rule: Which of the two.
        probabilities: Of the development units ``[members, units, classes]``.
        truth: Their classes ``[units]``.

    Raises:
        UserError: 'stacking', and all units are of one class.
    """
    import numpy as np

    if rule == "stacking":
        return _stacked(probabilities, truth)
    weights = log_loss_weights(probabilities, truth)
    return lambda other: np.tensordot(weights, other, axes=1)


def leave_one_speaker_out(rule: str, probabilities: np.ndarray, truth: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Probabilities ``[units, classes]`` by a rule that was fitted, for each speaker, on all other speakers' units.

    Raises:
        UserError: There is one speaker only; or as :func:`fitted` raises it.
    """
    import numpy as np

    names = np.unique(speakers)
    if len(names) < 2:
        raise UserError(f"fusion rule {rule!r}: the development set has {len(names)} speaker; it takes at least 2 to leave one out")
    fused = np.empty(probabilities.shape[1:])
    for name in names:
        own = speakers == name
        fused[own] = fitted(rule, probabilities[:, ~own], truth[~own])(probabilities[:, own])
    return fused


def log_loss_weights(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The weights ``[members]``, not negative and of sum 1, whose mean of probabilities has the least log-loss.

    A convex problem; every member's probabilities are raised to at least 1e-6.

    Args:
        probabilities: ``[members, units, classes]``.
        truth: Class of each unit ``[units]``.
    """
    import numpy as np
    from scipy.optimize import minimize

    of_truth = np.clip(probabilities[:, np.arange(len(truth)), truth], _LEAST, None)
    count = len(of_truth)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = weights @ of_truth
        return -np.log(mixed).mean(), -(of_truth / mixed).mean(axis=1)

    found = minimize(
        loss,
        np.full(count, 1 / count),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * count,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": lambda weights: np.ones(count)},
        options={"ftol": 1e-10, "maxiter": 500},
    )
    weights = np.clip(found.x, 0.0, None)
    return weights / weights.sum()


def _stacked(probabilities: np.ndarray, truth: np.ndarray) -> Combine:
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    known, classes = np.unique(truth), probabilities.shape[2]
    if len(known) < 2:
        raise UserError(
            f"fusion rule 'stacking': {len(truth)} development units that it is fitted on are all of class {known[0]}; it takes at "
            "least 2 speakers of each class: choose the rule 'weighted', or a protocol with a larger development set"
        )
    model = LogisticRegression(max_iter=1000).fit(_log_odds(probabilities), truth)

    def combine(other: np.ndarray) -> np.ndarray:
        fused = np.zeros((other.shape[1], classes))
        fused[:, model.classes_] = model.predict_proba(_log_odds(other))
        return fused

    return combine


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Each member's log-odds of every class against class 0, from ``[members, units, k]`` to ``[units, members * (k - 1)]``."""
    import numpy as np

    logs = np.log(np.clip(probabilities, _LEAST, 1 - _LEAST))
    odds = logs[..., 1:] - logs[..., :1]
    return odds.transpose(1, 0, 2).reshape(odds.shape[1], -1)
