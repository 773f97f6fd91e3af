"""The documents of sweeps: whole, readable by other versions, and honest about whether a sweep lives."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from orchestrator.artifacts import ArtifactStore
from orchestrator.checks import Options
from orchestrator.processes import process_space
from orchestrator.sweep_documents import PlanDocument, read_plans, read_statuses, write_plan, write_status
from tests.orchestrator.told_sweeps import CLASSIFIER, NOW, PRETRAINING, plan_of, status_of
from tests.planned import plan_for
from trainables.errors import UserError


def test_documents_come_back_as_they_were_written(tmp_path):
    store = ArtifactStore(tmp_path)
    for key in ("k1", "k2"):
        write_plan(store, plan_of(key=key))
        write_status(store, status_of(key=key))
    assert read_plans(store) == {key: plan_of(key=key) for key in ("k1", "k2")}
    assert read_plans(store, apart_from={"k1"}).keys() == {"k2"}
    assert read_statuses(store) == {key: status_of(key=key) for key in ("k1", "k2")}


def test_a_store_without_sweeps_has_no_documents(tmp_path):
    assert read_plans(ArtifactStore(tmp_path / "none")) == {}


def test_the_document_of_a_plan_has_every_trial_with_its_whole_chain(tmp_path):
    plan = plan_for(Options("reclr_lambda", results=tmp_path))
    document = PlanDocument.of(plan)
    assert [(t.row, t.seed, t.fingerprint) for t in document.trials] == [
        (t.record.row, t.record.seed, t.record.fingerprint) for t in plan.trials
    ]
    for trial, info in zip(plan.trials, document.trials, strict=True):
        assert sorted(document.chain(info)) == sorted(trial.record.stages)
    assert document.rows.keys() == {trial.record.row for trial in plan.trials}


def test_a_finished_stage_hides_what_only_it_was_made_from():
    plan = plan_of()
    last, above = CLASSIFIER.format(0, 0), PRETRAINING.format(0)
    assert list(plan.walk(last, set())) == [last, above]
    assert list(plan.walk(last, {above})) == [last]
    assert list(plan.walk(last, {last})) == []


def test_what_a_newer_version_writes_besides_is_left_out(tmp_path):
    store = ArtifactStore(tmp_path)
    store.write_document("sweeps/k1/status.json", json.dumps({**json.loads(status_of().model_dump_json()), "mood": "fine"}))
    assert read_statuses(store)["k1"] == status_of()


def test_a_damaged_document_is_told_by_name_and_none_is_left_out_silently(tmp_path):
    store = ArtifactStore(tmp_path)
    write_plan(store, plan_of())
    store.write_document("sweeps/k2/plan.json", '{"key": "k2"')
    with pytest.raises(UserError, match=r"sweeps/k2/plan\.json"):
        read_plans(store)


def test_a_sweep_lives_as_long_as_it_is_heard_of():
    assert status_of(silent=59).lives(NOW)
    assert not status_of(silent=61).lives(NOW)
    assert not status_of(silent=1, state="stopped").lives(NOW)
    assert status_of(silent=-30).silent_seconds(NOW) == 0  # its clock is ahead


def test_of_this_machines_processes_it_is_known_at_once_whether_they_died():
    died = subprocess.Popen([sys.executable, "-c", ""])
    died.wait()
    now = datetime.now(UTC)
    here = {"seen": now, "space": process_space()}
    assert status_of(pid=os.getpid(), **here).lives(now)
    assert not status_of(pid=died.pid, **here).lives(now)
    assert status_of(pid=died.pid, seen=now, space="another").lives(now)
