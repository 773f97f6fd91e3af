"""The plan: what a study comes to, and what is done again."""

import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.execution.local import LocalExecutor
from orchestrator.plan import Redo, State, make_plan, prepare_store
from search_spaces.scale import Scale
from search_spaces.study import Study
from search_spaces.table import Column, Row, TableSpec
from tests.toys import Broken, Number, Sum, toy_setting
from trainables.errors import UserError

SCALE = Scale("toy", seeds=2)


def toy_study(**chains):
    chains = chains or {
        "a": lambda seed: Sum(left=Number(), right=Number(value=2.0), seed=seed),
        "b": lambda seed: Sum(left=Number(), right=Number(value=3.0), seed=seed),
    }
    rows = tuple(Row(key=key, label=(key,)) for key in chains)
    column = Column(metric="f1_macro", title="F1", percent=False, higher_is_better=True)
    table = TableSpec(
        study="toy", title="Toy", source="nowhere", row_titles=("row",), rows=rows, columns=(column,), headline="f1_macro"
    )
    return Study(table, chains, "none")


@pytest.fixture
def setting(tmp_path):
    return toy_setting(tmp_path / "store")


@pytest.fixture
def store(setting):
    return ArtifactStore(setting.store)


def plan(setting, store, study=None, seeds=(0, 1)):
    return make_plan(study or toy_study(), SCALE, seeds, setting, store)


def execute(planned):
    LocalExecutor(planned.setting, lambda *call: None).run(planned.trials)


def test_distinct_stages_are_counted_once_and_sharing_is_told(setting, store):
    planned = plan(setting, store)
    assert (len(planned.trials), planned.unshared, len(planned.stages)) == (4, 12, 7)
    assert {stage.trials for stage in planned.stages if stage.stage == Number()} == {4}


def test_upstream_stages_stand_before_those_that_read_them(setting, store):
    names = [stage.fingerprint for stage in plan(setting, store).stages]
    for trial in plan(setting, store).trials:
        positions = [names.index(name) for name in trial.record.stages]
        assert positions[-1] == max(positions)


def test_what_is_finished_is_done_and_what_failed_is_said(setting, store):
    study = toy_study(good=lambda seed: Number(), bad=lambda seed: Broken())
    execute(plan(setting, store, study))
    assert {type(s.stage).__name__: s.state for s in plan(setting, store, study).stages} == {
        "Number": State.done,
        "Broken": State.failed,
    }


def test_retry_clears_failures_alone_force_clears_everything(setting, store):
    study = toy_study(good=lambda seed: Number(), bad=lambda seed: Broken())
    execute(plan(setting, store, study))

    def states_after(redo):
        before = make_plan(study, SCALE, (0, 1), setting, store, redo)
        prepare_store(before, redo, store)
        after = plan(setting, store, study)
        assert [s.state for s in after.stages] == [s.state for s in before.stages], "the plan said so before"
        return [s.state for s in after.stages]

    assert states_after(Redo.cached) == [State.done, State.failed]
    assert states_after(Redo.retry) == [State.done, State.missing]
    assert states_after(Redo.force) == [State.missing, State.missing]


def test_planning_changes_nothing(setting, store):
    study = toy_study(good=lambda seed: Number(), bad=lambda seed: Broken())
    execute(plan(setting, store, study))
    make_plan(study, SCALE, (0, 1), setting, store, Redo.force)
    assert [s.state for s in plan(setting, store, study).stages] == [State.done, State.failed]


def test_a_missing_result_that_nobody_will_read_is_not_computed(setting, store):
    execute(plan(setting, store))
    store.remove(setting.fingerprint(Number()))
    states = {s.stage: s.state for s in plan(setting, store).stages}
    assert states.pop(Number()) is State.unneeded
    assert set(states.values()) == {State.done}
    prepare_store(plan(setting, store), Redo.read_only, store)


def test_read_only_refuses_to_compute_and_names_what_is_missing(setting, store):
    planned = plan(setting, store)
    with pytest.raises(UserError, match=r"7 of 7 results are missing[\s\S]*Number/"):
        prepare_store(planned, Redo.read_only, store)
    execute(planned)
    prepare_store(plan(setting, store), Redo.read_only, store)


def test_a_result_changed_by_hand_is_refused_before_any_compute(setting, store):
    execute(plan(setting, store))
    name = setting.fingerprint(Number())
    (store.path(name) / "identity.json").write_text("{}")
    with pytest.raises(UserError, match="--redo force"):
        prepare_store(plan(setting, store), Redo.cached, store)


def test_the_same_command_has_the_same_key_and_another_question_another(setting, store):
    key = plan(setting, store).sweep.key
    assert plan(setting, store).sweep.key == key
    assert plan(setting, store, seeds=(0, 1, 2)).sweep.key != key
