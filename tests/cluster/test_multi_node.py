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

from tests.cluster.hosts import head_answers, network, why_not
from tests.tiny_corpora import write_tiny_corpora

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.timeout(900),
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
def both(corpora, tmp_path_factory):
    """The results of a row whose pretraining has two workers on two hosts, one of which is cut off and killed on the way; and of
    the same in peace.
    """
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

        def begin(name):
            command = [
                sys.executable,
                "-m",
                "tests.cluster.two_hosts",
                str(corpora),
                str(folder / name),
                "2",
                f"{head.address}:6379",
            ]
            return head.start(command, environment, folder / f"{name}.log")

        def end(sweep, name):
            with contextlib.suppress(subprocess.TimeoutExpired):
                sweep.wait(timeout=300)
            assert "FINISHED" in (told := (folder / f"{name}.log").read_text()), told

        disturbed, log = begin("disturbed"), folder / "disturbed.log"
        checkpoints = folder / "disturbed" / "store" / "checkpoints" / "ContrastivePretraining"
        until(lambda: any(checkpoints.rglob("checkpoint.pt")) or disturbed.poll() is not None, 240, log.read_text)
        assert disturbed.poll() is None, log.read_text()
        other.cut_off()
        time.sleep(1)
        other.kill()
        net.host("third").join_ray(head, environment, 1, folder / "third.log")
        end(disturbed, "disturbed")
        end(begin("peaceful"), "peaceful")
    return folder / "disturbed", folder / "peaceful"


@pytest.fixture(scope="module")
def lost_one(both):
    return both[0]


def pretrained(results):
    (encoder,) = (results / "store" / "results").glob("ContrastivePretraining/*/encoder.safetensors")
    return encoder


def test_pretraining_on_two_hosts_of_which_one_is_lost_gives_what_it_gives_in_peace(both):
    """To the last bit."""
    lost, peaceful = map(pretrained, both)
    assert json.loads((lost.parent / "provenance.json").read_text())["workers"] == 2
    assert lost.read_bytes() == peaceful.read_bytes()


def test_its_curves_have_every_epoch_once(lost_one):
    from tests.cluster.two_hosts import EPOCHS

    history = json.loads((pretrained(lost_one).parent / "history.json").read_text())
    steps = [step for name, _, step, _ in history if name == "loss"]
    assert steps == sorted(set(steps))
    assert len(steps) == EPOCHS


def test_nothing_is_left_of_what_was_not_finished(lost_one):
    assert not any((lost_one / "store" / "checkpoints").rglob("*.pt"))
    assert not any((lost_one / "store" / "failures").rglob("*.json"))
