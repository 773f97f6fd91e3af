"""All sweeps of a store as they stand now."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.artifacts import ArtifactStore
from orchestrator.records import command_words
from orchestrator.status_costs import Estimate, Hours, estimate, hours
from orchestrator.status_facts import StoreFacts
from orchestrator.status_trials import Living, SweepState, sweep_state
from orchestrator.sweep_documents import PlanDocument, SweepStatus, read_plans, read_statuses
from trainables.errors import UserError


@dataclass(frozen=True)
class SweepView:
    """A sweep with what it has cost and when it may end; ``in_detail``: not only its line among all is wanted."""

    state: SweepState
    hours: Hours
    estimate: Estimate
    in_detail: bool


class Sweeps:
    """Looks at the sweeps of a store, again and again.

    Args:
        store: Where to look.
        study: Only its sweeps, whatever was asked besides its name (controls, another protocol, a curve), or those recorded under
            this very name; None: all.
    """

    def __init__(self, store: ArtifactStore, study: str | None = None) -> None:
        self._store, self._study = store, study
        self._facts = StoreFacts(store)
        self._plans: dict[str, PlanDocument] = {}  # may be large; that of a search grows, any other never changes

    def look(self, now: datetime | None = None) -> list[SweepView]:
        """The sweeps as they stand, the one that began last first.

        Raises:
            UserError: There is none, the store cannot be read, or a document is damaged.
        """
        now = now or datetime.now(UTC)
        try:
            return self._look(now)
        except OSError as error:
            raise UserError(f"the store {self._store.uri} cannot be read: {error}") from error

    def _look(self, now: datetime) -> list[SweepView]:
        statuses = read_statuses(self._store)
        alive = {key for key, status in statuses.items() if status.lives(now)}
        plans = self._wanted(statuses)
        facts = self._facts.look({name for plan in plans.values() for name in plan.stages})
        living = Living.of(statuses[key] for key in alive)
        found = [sweep_state(plan, statuses.get(key), key in alive, living, facts, now) for key, plan in plans.items()]
        found.sort(key=_begun, reverse=True)
        newest = {state.plan.study: state for state in reversed(found)}
        in_detail = [state.lives or newest[state.plan.study] is state for state in found]
        costs = facts.costs
        return [
            SweepView(state, hours(state, costs), estimate(state, costs), wanted)
            for state, wanted in zip(found, in_detail, strict=True)
        ]

    def _wanted(self, statuses: Mapping[str, SweepStatus]) -> dict[str, PlanDocument]:
        """The plans of the sweeps that are asked for."""
        others = {key for key, status in statuses.items() if not self._asks_for(status.study)}
        known = {key for key, plan in self._plans.items() if not plan.points}
        self._plans |= read_plans(self._store, apart_from=others | known)
        names = {plan.study for plan in self._plans.values()} | {status.study for status in statuses.values()}
        plans = {key: plan for key, plan in self._plans.items() if self._asks_for(plan.study)}
        if plans:
            return plans
        if self._study is None or not names:
            raise UserError(
                f"no sweep is recorded in the store {self._store.uri}; give --results or --store as the sweep has them "
                f"(a sweep by an older version of this program has recorded none until its command is run again)"
            )
        near = difflib.get_close_matches(self._study, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        others = ", ".join(sorted(names))
        raise UserError(f"no sweep of {self._study!r} is recorded in {self._store.uri}; {hint}there are sweeps of {others}")

    def _asks_for(self, study: str) -> bool:
        return self._study in (None, study, command_words(study).split()[0])


def _begun(state: SweepState) -> datetime:
    return state.status.started if state.status else datetime.min.replace(tzinfo=UTC)
