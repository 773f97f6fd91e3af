"""Other resources for one class of stages, from the command line: understood and kept to, or refused with all faults at once."""

from types import SimpleNamespace

import pytest

from orchestrator.checks import Options
from orchestrator.execution.per_stage import read_per_stage
from orchestrator.execution.resources import Need, ResourceRequest, StageRequest
from tests.planned import plan_for
from tests.toys import Number, toy_setting
from trainables.contrastive_pretraining import ContrastivePretraining
from trainables.errors import UserError


def test_settings_of_one_stage_are_taken_together_and_the_last_of_two_alike_counts():
    found, faults = read_per_stage(["Number.cpus=2", "Number.gpus=0.25", "Sum.workers=3", "Number.cpus=4"])
    assert found == {"Number": StageRequest(cpus=4, gpus=0.25), "Sum": StageRequest(workers=3)}
    assert faults == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Number", "expected a stage, a setting and a number"),
        ("workers=4", "expected a stage, a setting and a number"),
        ("Number.worker=4", "did you mean 'workers'?"),
        ("Number.workers=0", "a whole number of at least 1, not '0'"),
        ("Number.cpus=1.5", "a whole number"),
        ("Number.gpus=nan", "a number of at least 0"),
        ("Number.gpus=-1", "a number of at least 0"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_text_and_what_was_expected(text, told):
    found, (fault,) = read_per_stage([text])
    assert found == {}
    assert repr(text) in fault
    assert told in fault


def test_a_stage_named_by_itself_gets_its_own_resources_and_all_others_the_common_ones():
    request = ResourceRequest(1, 1, 1.0, {"Number": StageRequest(cpus=4, gpus=0.5)})
    assert request.need(Number(), has_gpus=True) == Need(1, 4, 0.5)
    assert ResourceRequest(2, 1, 1.0, {"Sum": StageRequest(cpus=4)}).need(Number(), has_gpus=True) == Need(1, 1, 1.0)


def test_a_stage_computes_with_as_many_threads_as_it_was_given_cpus_and_keeps_its_name(monkeypatch, tmp_path):
    from orchestrator.execution import ray_drivers

    jobs = []
    monkeypatch.setattr(ray_drivers, "run_stage", lambda job, need, widen: jobs.append(job))
    monkeypatch.setattr(ray_drivers, "caller", lambda sweep: lambda *told: None)
    monkeypatch.setattr(ray_drivers, "deliver_stage", lambda *told: None)
    request = ResourceRequest(stages={"Number": StageRequest(cpus=8)})
    runner = ray_drivers.ChainRunner(toy_setting(tmp_path, threads=1), request, has_gpus=False)
    name = runner.setting.fingerprint(Number())
    right = SimpleNamespace(need=request.need(Number(), has_gpus=False), widen=None)
    runner._run_and_track(Number(), name, None, right, SimpleNamespace(id=""))
    assert [(job.setting.threads, job.fingerprint) for job in jobs] == [(8, name)]
    assert Need(cpus=0.5).threads == 1


def test_all_that_is_wrong_with_it_is_told_at_once_with_the_other_faults_of_the_command(tmp_path):
    texts = ["ContrastivPretraining.workers=2", "LogMelFeatures.workers=2", "LogMelFeatures.gpus=1", "SessionClassifier.gpu=1"]
    request = ResourceRequest(1, 1, None, *read_per_stage([*texts, "ContrastivePretraining.cpus=64"]))
    options = Options("reclr_lambda", results=tmp_path, request=request, scale="dem", machine={"CPU": 2.0, "GPU": 0.0})
    with pytest.raises(UserError) as caught:
        plan_for(options)
    for part in (
        "did you mean 'ContrastivePretraining'?",
        "LogMelFeatures runs on one worker",
        "LogMelFeatures makes no use of a GPU",
        "did you mean 'gpus'?",
        "64 CPU, but there are 2 in all",
        "(for ContrastivePretraining)",
        "did you mean 'demo'",
    ):
        assert part in str(caught.value)


def test_workers_of_one_stage_are_checked_as_those_of_all_are(tmp_path):
    request = ResourceRequest(1, 1, None, {"ContrastivePretraining": StageRequest(workers=3)})
    options = Options("reclr_lambda", results=tmp_path, request=request, machine={"CPU": 8.0, "GPU": 0.0})
    with pytest.raises(UserError, match="cannot be divided among 3 workers"):
        plan_for(options)
    assert ContrastivePretraining.data_parallel
