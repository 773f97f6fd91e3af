"""What holds for all tests: git is out of sight, and only one process at a time has a test on a Ray cluster.

They say the same whether or not the checkout that they run in has uncommitted files.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import filelock
import pytest

os.environ["GIT_DIR"] = os.devnull
_ONE_CLUSTER = filelock.FileLock(Path(tempfile.gettempdir()) / f"speech-orchestrator-tests-{os.getuid()}.lock")


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before the clock of pytest-timeout starts
def pytest_runtest_protocol(item):
    """With ``-n 2`` two tests would each start a cluster with all CPUs, and wait for each other's work."""
    with _ONE_CLUSTER if item.get_closest_marker("ray") else contextlib.nullcontext():
        return (yield)
