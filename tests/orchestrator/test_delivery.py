"""What a finished trial says of the code that computed it."""

from types import SimpleNamespace

import pytest

from orchestrator import delivery
from orchestrator.artifacts import ArtifactStore
from orchestrator.delivery import deliver_statistics, deliver_trial
from orchestrator.execution.local import LocalExecutor
from orchestrator.records import RecordedSweep, TrialRecord, TrialResult
from tests.recorded import sweep
from tests.toys import Number, toy_setting
from trainables.errors import UserError

FILE = "trainables/crnn.py"


@pytest.fixture
def delivered(tmp_path, monkeypatch):
    """Computes a trial with uncommitted files in the checkout, or without; then delivers it; returns the files it tells."""

    def run(when_computed, when_delivered, code=None):
        monkeypatch.setattr("orchestrator.provenance.dirty_files", lambda: when_computed)
        monkeypatch.setattr(delivery, "dirty_files", lambda: when_delivered)
        if code:
            monkeypatch.setattr(delivery, "stage_code", lambda stage: code)
        setting = toy_setting(tmp_path / "store")
        LocalExecutor(setting, lambda *call: None).finish_chain(Number())
        name = setting.fingerprint(Number())
        calls = []
        record = TrialRecord(key="t", row="r", seed=0, fingerprint=name, stages=(name,))
        deliver_trial(lambda *call: calls.append(call), record, ArtifactStore(setting.store))
        ((_, trial, _, _),) = calls
        return trial.dirty

    return run


def test_a_result_of_committed_code_is_clean(delivered):
    assert delivered((), ()) == ()


def test_a_result_of_code_that_no_commit_holds_names_the_files(delivered):
    assert delivered((FILE,), (FILE,)) == (FILE,)


def test_a_result_is_clean_as_soon_as_the_very_code_that_computed_it_is_committed(delivered):
    assert delivered((FILE,), ()) == ()


def test_a_result_of_other_code_than_was_committed_later_stays_dirty(delivered):
    assert delivered((FILE,), (), code="another") == (FILE,)


def test_a_result_made_with_edited_code_of_the_orchestrator_stays_dirty(delivered):
    assert delivered(("orchestrator/execution/context.py",), ()) == ("orchestrator/execution/context.py",)


@pytest.mark.parametrize(("metric", "file"), [("f1_macro", "predictions.parquet"), ("dev_f1_macro", "predictions_dev.parquet")])
def test_a_damaged_file_of_predictions_is_told_with_its_name(tmp_path, metric, file):
    (tmp_path / file).write_bytes(b"PAR1 and no more")
    store = SimpleNamespace(path=lambda fingerprint: tmp_path)
    trial = TrialResult(
        row="a",
        seed=0,
        fingerprint="X/1",
        status="FINISHED",
        metrics={metric: 0.5},
        scale="demo",
        protocol="",
        code={},
        corpora={},
    )
    spec = sweep().table
    column = spec.columns[0].model_copy(update={"metric": metric})
    record = sweep(table=spec.model_copy(update={"columns": (column,), "headline": metric}))
    with pytest.raises(UserError, match=rf"{file} cannot be read .* --redo force"):
        deliver_statistics(lambda *call: None, RecordedSweep(sweep=record, trials=(trial,), cells={}), store)
