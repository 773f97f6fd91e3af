"""A cluster of several hosts, each with an address of its own: data-parallel pretraining across them, and one of them lost.

python -m pytest -m slow tests/cluster/test_multi_node.py
"""

import contextlib
import json
import secrets
import subprocess
import sys
import time

import pytest

from tests.cluster.hosts import ROOT, head_answers, network, why_not
from tests.tiny_corpora import write_tiny_corpora

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(story := why_not()), reason=f"hosts are network namespaces: {story}"),
]


def until(condition, seconds, story):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, story()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    return write_tiny_corpora(tmp_path_factory.mktemp("corpora"))


@pytest.fixture(scope="module")
def lost_one(corpora, tmp_path_factory):
    """The results of a row whose pretraining has two workers on two hosts, one of which is cut off and killed on the way."""
    folder = tmp_path_factory.mktemp("lost")
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "eth0",  # all hosts have this machine's name, which is the address of none of them
    }
    with network() as net:
        head, other = net.host("head"), net.host("other")
        head.join_ray(head, environment, 1, folder / "head.log")
        until(lambda: head_answers(head, environment), 90, (folder / "head.log").read_text)
        other.join_ray(head, environment, 1, folder / "other.log")
        log, results = folder / "sweep.log", folder / "results"
        command = [sys.executable, "-m", "tests.cluster.two_hosts", str(corpora), str(results), "2", f"{head.address}:6379"]
        sweep = head.start(command, environment, log)

        checkpoints = results / "store" / "checkpoints" / "ContrastivePretraining"
        until(lambda: any(checkpoints.rglob("checkpoint.pt")) or sweep.poll() is not None, 240, log.read_text)
        assert sweep.poll() is None, log.read_text()
        other.cut_off()
        time.sleep(1)
        other.kill()
        net.host("third").join_ray(head, environment, 1, folder / "third.log")
        with contextlib.suppress(subprocess.TimeoutExpired):
            sweep.wait(timeout=300)
        assert "FINISHED" in log.read_text(), log.read_text()
    return results


def pretrained(results):
    (encoder,) = (results / "store" / "results").glob("ContrastivePretraining/*/encoder.safetensors")
    return encoder


def test_pretraining_on_two_hosts_of_which_one_is_lost_gives_what_one_process_gives(lost_one, corpora, tmp_path):
    """Rounding apart: sums over two halves are not the sum over the whole to the last bit."""
    from numpy.testing import assert_allclose
    from safetensors.numpy import load_file

    command = [sys.executable, "-m", "tests.cluster.two_hosts", str(corpora), str(tmp_path), "1", "local"]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    one, two = pretrained(tmp_path), pretrained(lost_one)
    assert json.loads((two.parent / "provenance.json").read_text())["workers"] == 2
    for name, weights in load_file(two).items():
        assert_allclose(weights, load_file(one)[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_its_curves_have_every_epoch_once(lost_one):
    from tests.cluster.two_hosts import EPOCHS

    history = json.loads((pretrained(lost_one).parent / "history.json").read_text())
    steps = [step for name, _, step, _ in history if name == "loss"]
    assert steps == sorted(set(steps))
    assert len(steps) == EPOCHS


def test_nothing_is_left_of_what_was_not_finished(lost_one):
    assert not any((lost_one / "store" / "checkpoints").rglob("*.pt"))
    assert not any((lost_one / "store" / "failures").rglob("*.json"))
