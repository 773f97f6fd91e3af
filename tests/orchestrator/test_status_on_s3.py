"""The same of a store that is reached over the network alone, by a machine that has nothing of it."""

from orchestrator.artifacts import ArtifactStore
from orchestrator.status_sweeps import Sweeps
from orchestrator.sweep_documents import write_plan, write_status
from tests.orchestrator.s3_server import s3_server
from tests.orchestrator.told_sweeps import CLASSIFIER, NOW, PRETRAINING, finish, plan_of, running, status_of


def test_a_sweep_on_an_object_store_is_told_as_on_a_disk(tmp_path):
    told = []
    with s3_server() as server:
        server.make_bucket("lab")
        for place, root in enumerate((tmp_path / "disk", "s3://lab/store")):
            store = ArtifactStore(root)
            write_plan(store, plan_of())
            write_status(store, status_of(running={CLASSIFIER.format(0, 1): running()}))
            finish(store, PRETRAINING.format(0), tmp_path / f"a{place}", gpu=3600.0)
            finish(store, CLASSIFIER.format(0, 0), tmp_path / f"b{place}")
            store.mark_failed(PRETRAINING.format(1), "Traceback ...\nZeroDivisionError: x")
            told += Sweeps(ArtifactStore(root)).look(NOW)
    assert told[0].state.counts == {"done": 1, "running": 1, "waiting": 1, "failed": 3}
    assert told[0].hours.gpu == 1.0
    assert told[0] == told[1]
