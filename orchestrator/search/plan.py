"""From a search to what is left of it to do: its trials told and untold, its best point, and the one look at the test split."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from orchestrator.artifacts import ArtifactStore
from orchestrator.audit import Audit
from orchestrator.execution.setting import Setting
from orchestrator.plan import Redo
from orchestrator.provenance import stage_code
from orchestrator.records import SearchRecord
from orchestrator.search.history import History, SearchTrial, TestOpened
from search_spaces.scale import Scale
from search_spaces.search import Search
from search_spaces.study import Study
from trainables.errors import UserError
from trainables.stage import Stage


@dataclass(frozen=True)
class SearchPlan:
    """A search as it stands.

    Attributes:
        search: What is searched.
        scale: How large.
        seeds: Over which the development score is averaged, and later the test score.
        setting: What all its jobs have in common.
        trials: How many trials are asked for in all.
        search_seed: Decides which points are drawn.
        redo: With ``retry``, failed trials count as unfinished.
        told: The trials that have come to an end.
        unfinished: Those that were begun; they go first.
        opened: Whether and with what the test split was opened.
        audit: What the leakage audit found; nothing until it was made.
    """

    search: Search
    scale: Scale
    seeds: tuple[int, ...]
    setting: Setting
    trials: int
    search_seed: int = 0
    redo: Redo = Redo.cached
    told: tuple[SearchTrial, ...] = ()
    unfinished: tuple[SearchTrial, ...] = ()
    opened: TestOpened | None = None
    audit: Audit = field(default_factory=Audit)

    @cached_property
    def key(self) -> str:
        """Identity of what is searched, 12 hexadecimal digits: the space, the rungs, the seeds, and every stage at the paper's
        point with its corpora. The number of trials is no part of it, so that a search can be made longer.
        """
        stages = self.search.stages(self.search.paper, self.scale, self.seeds)
        question = {
            "search": self.search.name,
            "space": {name: repr(kind) for name, kind in self.search.space.items()},
            "metric": self.search.metric,
            "rungs": self.rungs,
            "seeds": self.seeds,
            "search_seed": self.search_seed,
            "stages": [self.setting.fingerprint(stage) for stage in stages],
        }
        return hashlib.sha256(json.dumps(question).encode()).hexdigest()[:12]

    @cached_property
    def code(self) -> dict[str, str]:
        """Digest of the present code of each class of stage that a trial can run."""
        kinds = {type(stage) for stage in self.search.stages(self.search.paper, self.scale, self.seeds)}
        return {kind.__name__: stage_code(kind) for kind in sorted(kinds, key=lambda kind: kind.__name__)}

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which a trial is probed."""
        return self.search.rung_epochs(self.scale)

    @property
    def missing(self) -> int:
        """How many trials are still to be told."""
        return 0 if self.opened else max(0, self.trials - len(self.told))

    @property
    def best(self) -> SearchTrial:
        """The complete trial of highest value; the first of equals.

        Raises:
            UserError: No trial is complete.
        """
        complete = [trial for trial in self.told if trial.state == "complete"]
        if not complete:
            failed = next((trial for trial in self.told if trial.state == "failed"), None)
            why = f"; trial {failed.number} failed:\n{failed.story}" if failed else ""
            raise UserError(f"none of the {len(self.told)} trials of search {self.search.name!r} came to its end{why}")
        return max(complete, key=lambda trial: (trial.value, -trial.number))

    @property
    def targets(self) -> list[Stage]:
        """The last stages of the paper's point and of the table that would be made of it, for the leakage audit. Other points
        differ in settings that decide neither who is heard nor who is scored.
        """
        search, study = self.search, self.search.study(self.search.paper)
        rows = [self.scale.apply(chain(seed)) for seed in self.seeds for chain in study.chains.values()]
        return [*search.developments(search.paper, self.scale, self.seeds), *rows]

    @property
    def record(self) -> SearchRecord:
        """What MLflow keeps of the search."""
        return SearchRecord(
            study=self.search.name,
            key=self.key,
            title=self.search.title,
            source=self.search.source,
            scale=self.scale.name,
            seeds=self.seeds,
            trials=self.trials,
            protocol=self.search.study(self.search.paper).divided_by(),
            leaks=self.audit.leaks,
            stated=self.audit.stated,
        )

    def refreshed(self) -> SearchPlan:
        """The same search as the store's history has it now."""
        history = History(ArtifactStore(self.setting.store), self.key)
        trials, opened = history.trials(), history.opened()
        if self.redo is Redo.retry and not opened:
            again = {"state": "running", "story": None}
            trials = tuple(trial.model_copy(update=again) if trial.state == "failed" else trial for trial in trials)
        return self.knowing(trials, opened)

    def knowing(self, trials: Iterable[SearchTrial], opened: TestOpened | None = None) -> SearchPlan:
        """The same search with these trials."""
        trials = sorted(trials, key=lambda trial: trial.number)
        told, unfinished = (tuple(trial for trial in trials if trial.told is ended) for ended in (True, False))
        return replace(self, told=told, unfinished=unfinished, opened=opened)

    def open_test(self) -> Study:
        """Write down that the test split is opened now, with the best point, and give the table to be made on it.

        Whoever opens it again gets the same table: the best point is that of the first time. The table's protocol says so if other
        searches had opened it before. For whoever has the claim alone (:mod:`orchestrator.search.claim`).

        Raises:
            UserError: Trials are still to be told, or none is complete.
        """
        if self.opened:
            return self._table(self.opened)
        if self.missing:
            raise UserError(f"{self.missing} of {self.trials} trials are not told yet; the test split stays closed until they are")
        history = History(ArtifactStore(self.setting.store), self.key)
        opened = TestOpened(
            search=self.search.name,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            trials=len(self.told),
            best=self.best,
            earlier=history.opened_by_others(self.search.name),
        )
        history.write_opened(opened)
        return self._table(opened)

    def _table(self, opened: TestOpened) -> Study:
        study = self.search.study(opened.best.point)
        return replace(study, protocol=f"{study.protocol}; {opened.caveat}") if opened.earlier else study


def plan_search(
    search: Search,
    scale: Scale,
    seeds: tuple[int, ...],
    setting: Setting,
    trials: int | None = None,
    search_seed: int = 0,
    redo: Redo = Redo.cached,
) -> SearchPlan:
    """See where a search stands. Changes nothing.

    Args:
        search: What is searched.
        scale: How large.
        seeds: Over which scores are averaged.
        setting: What all its jobs have in common.
        trials: How many trials are wanted in all; None: the scale's number.
        search_seed: Decides which points are drawn.
        redo: ``retry`` counts failed trials as unfinished. Once the test split is open, all that is left is a table, whose matter
            ``force`` and ``read-only`` are; before, they are refused.

    Raises:
        UserError: More trials are wanted after the test split was opened; or it is closed and results are to be forced, may not be
            computed, or are of other code.
    """
    wanted = trials or search.trials[scale.name]
    plan = SearchPlan(search, scale, seeds, setting, wanted, search_seed, redo).refreshed()
    if plan.opened and trials is not None and trials > plan.opened.trials:
        raise UserError(
            f"--trials {trials}: the test split was opened at {plan.opened.time} after {plan.opened.trials} trials of this search; "
            f"further ones would be chosen knowing it. Leave --trials out for its table. Another search is possible "
            f"(--search-seed); its record will say that the test split had been opened before"
        )
    if not plan.opened:
        _check_redo(plan)
        _check_code(plan)
    return plan


def prepare_search(plan: SearchPlan) -> SearchPlan:
    """The search as it stands now that nobody else writes its history, to be run: with ``retry``, the failures of the trials that
    go again are forgotten. For whoever has the claim alone (:mod:`orchestrator.search.claim`).

    Raises:
        UserError: Since the plan was made, trials were scored by other code.
    """
    plan = plan.refreshed()
    if plan.opened:
        return plan
    _check_code(plan)
    if plan.redo is Redo.retry:
        store = ArtifactStore(plan.setting.store)
        for trial in plan.unfinished:
            for stage in plan.search.stages(trial.point, plan.scale, plan.seeds):
                store.clear_failure(plan.setting.fingerprint(stage))
            History(store, plan.key).write(trial)
    return replace(plan, redo=Redo.cached)  # a trial that fails from now on has failed


def _check_redo(plan: SearchPlan) -> None:
    """Refuse what cannot be asked of a search whose test split is closed."""
    if plan.redo is Redo.force:
        raise UserError(
            f"--redo force: each trial of search {plan.search.name!r} was chosen by the results of those before; begin another one "
            f"with --search-seed, or leave --redo out"
        )
    if plan.redo is Redo.read_only:
        left = f"{plan.missing} of {plan.trials} trials are not told yet" if plan.missing else "opening it is for good"
        raise UserError(
            f"--redo read-only computes nothing and opens nothing: the test split of search {plan.search.name!r} is closed and "
            f"{left}; leave --redo out, or look with --dry-run"
        )


def _check_code(plan: SearchPlan) -> None:
    """Refuse to go on with trials whose scores are of other code: those to come could not be compared with them."""
    stale = {}
    for trial in plan.told + plan.unfinished if plan.missing else ():
        if trial.scored and (changed := [kind for kind, digest in plan.code.items() if trial.code.get(kind) != digest]):
            stale[trial.number] = changed
    if stale:
        kinds = sorted({kind for changed in stale.values() for kind in changed})
        raise UserError(
            f"search {plan.search.name!r}: the code of {', '.join(kinds)} has changed since trials {', '.join(map(str, stale))} "
            f"were scored, and the {plan.missing} trials still to run could not be compared with them; go back to that code, or "
            f"begin another search with --search-seed"
        )


def search_sentence(plan: SearchPlan) -> str:
    """What the search comes to, and where it stands."""
    states = Counter(trial.state for trial in plan.told)
    done = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none"
    rungs = ", ".join(map(str, plan.rungs))
    sentence = (
        f"{plan.trials} trials over {len(plan.search.space)} settings, probed after epochs {rungs}, valued by the mean of "
        f"{plan.search.metric} over {len(plan.seeds)} seeds on the development split. Told: {done}; unfinished: "
        f"{len(plan.unfinished)}; to run: {plan.missing}."
    )
    if plan.opened:
        return f"{sentence} The test split was opened at {plan.opened.summary}."
    return f"{sentence} The test split is closed until all are told."
