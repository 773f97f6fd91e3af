"""What is done beside a block is done again and again, and no longer than the block runs."""

import contextlib
import threading
import time

import pytest

from orchestrator.beside import beside


def test_it_is_called_again_and_again_while_the_block_runs():
    calls = threading.Semaphore(0)
    with beside(calls.release, 0.001):
        assert all(calls.acquire(timeout=20) for _ in range(3))


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_however_the_block_ends_a_call_under_way_comes_to_its_end_and_none_follows(error):
    begun, calls = threading.Event(), []

    def call():
        begun.set()
        time.sleep(0.05)
        calls.append("ended")

    with pytest.raises(error) if error else contextlib.nullcontext(), beside(call, 0.001):
        assert begun.wait(20)
        if error:
            raise error
    assert (before := len(calls)) >= 1
    time.sleep(0.1)
    assert len(calls) == before
