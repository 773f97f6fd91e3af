"""Infeasible requests are refused before any compute, with the missing resource named."""

import json
from typing import ClassVar

from orchestrator.execution.cluster_shape import ClusterShape, NodeGroup
from orchestrator.execution.resources import Need, ResourceRequest, StageRequest, request_faults, this_machine
from tests.toys import Number
from trainables.stage import Context, Stage


class Wide(Stage):
    """A data-parallel stage."""

    data_parallel: ClassVar[bool] = True

    def run(self, context: Context) -> None:
        (context.directory / "metrics.json").write_text(json.dumps({}))


LAPTOP = ClusterShape(({"CPU": 2.0},))
CLUSTER = ClusterShape(({"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}))


def faults(shape, *stages, **request):
    return request_faults(ResourceRequest(**request), stages or [Wide()], shape)


def test_a_request_that_fits_has_no_faults():
    assert faults(LAPTOP, workers=2) == []
    assert faults(CLUSTER, workers=4, gpus_per_worker=1.0) == []
    assert faults(CLUSTER, workers=1, gpus_per_worker=0.25) == []


def test_too_many_workers_name_what_is_needed_and_what_there_is():
    (message,) = faults(LAPTOP, workers=8)
    assert "8 workers x 1 CPU = 8 CPU, but there are 2 in all" in message


def test_gpus_that_do_not_exist_are_named():
    (message,) = faults(LAPTOP, gpus_per_worker=1.0)
    assert "1 GPU, but there are 0 in all" in message


def test_a_worker_larger_than_the_largest_node_is_refused_though_the_sum_would_do():
    (message,) = faults(CLUSTER, cpus_per_worker=12)
    assert "needs 12 CPU, but the largest node has 8" in message


def test_fractions_of_gpus_are_for_single_workers_and_at_most_one():
    assert any("NCCL" in message for message in faults(CLUSTER, workers=2, gpus_per_worker=0.5))
    assert any("whole numbers" in message for message in faults(CLUSTER, gpus_per_worker=1.5))


def test_all_faults_are_told_at_once():
    assert len(faults(LAPTOP, workers=4, gpus_per_worker=1.0)) == 2


def test_only_data_parallel_stages_get_several_workers_and_only_accelerated_ones_a_gpu():
    request = ResourceRequest(workers=4, cpus_per_worker=2)
    assert request.need(Wide(), has_gpus=True) == Need(workers=4, cpus=2, gpus=1.0)
    assert request.need(Number(), has_gpus=False) == Need(workers=1, cpus=2, gpus=0.0)


def test_this_machine_has_a_cpu_and_honours_cuda_visible_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine = this_machine()
    assert machine["CPU"] >= 1
    assert machine["GPU"] == 0


def test_workers_that_fit_by_their_sums_but_not_on_single_nodes_are_refused_with_what_does_fit():
    (message,) = faults(CLUSTER, workers=3, cpus_per_worker=5)
    assert "3 workers with 5 CPU and 1 GPU each" in message
    assert "the nodes hold 2 such workers at a time" in message


def test_what_the_autoscaler_may_add_counts_as_there():
    growing = ClusterShape(({"CPU": 2.0},), (NodeGroup("gpu", {"CPU": 8.0, "GPU": 1.0}, 4),))
    assert faults(growing, workers=4, gpus_per_worker=1.0) == []
    (message,) = faults(growing, workers=5, gpus_per_worker=1.0)
    assert "5 GPU, but there are 4 in all, those included that the autoscaler may add" in message


def test_a_fault_names_the_stages_that_it_is_about():
    request = ResourceRequest(stages={"Wide": StageRequest(workers=8)})
    (message,) = request_faults(request, [Number(), Wide()], LAPTOP)
    assert "8 workers x 1 CPU" in message
    assert message.endswith("(for Wide)")
