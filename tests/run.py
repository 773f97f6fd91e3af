"""The whole suite as five processes side by side: tests on a Ray cluster and on several hosts, which mostly wait, of corpora and
whole studies, of stages, and all others: about as long each.

    python tests/run.py [pytest's options]

Each is a plain pytest. What hangs is ended, together with everything that it started, and what it printed until then is shown.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LIMIT = 60 * 60  # seconds
_ROOT = Path(__file__).parent.parent
_OF_CORPORA = ("tests/trainables/corpora", "tests/trainables/leakage")
_OF_STUDIES = "tests/orchestrator/test_every_study.py"
_ON_HOSTS = "tests/cluster"
# To look for them in all files would import everything, which takes half a minute of computing.
_ON_RAY = sorted(str(file.relative_to(_ROOT)) for file in (_ROOT / "tests").rglob("test_*.py") if "mark.ray" in file.read_text())
SHARES = {
    "of stages": ["-m", "not ray and not slow", "tests/trainables", *(f"--ignore={folder}" for folder in _OF_CORPORA)],
    "of corpora and whole studies": ["-m", "not ray and not slow", *_OF_CORPORA, _OF_STUDIES],
    "of sweeps and tables": ["-m", "not ray and not slow", "tests", "--ignore=tests/trainables", f"--ignore={_OF_STUDIES}"],
    "on a Ray cluster": ["-m", "ray and not slow", *(file for file in _ON_RAY if not file.startswith(_ON_HOSTS))],
    "on several hosts": ["-m", "ray and not slow", _ON_HOSTS],
}


def main(options: list[str]) -> int:
    """Run all shares; the exit code is 0 if each is well."""
    begun, codes = time.monotonic(), {}
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(_running([*arguments, *options])) for name, arguments in SHARES.items()}
        for name, (share, output) in running.items():
            codes[name] = _finish(share, begun + LIMIT)
            output.seek(0)
            print(f"tests {name}\n{output.read().decode(errors='replace')}", flush=True)
    for name, code in codes.items():
        print(f"tests {name}: {'passed' if code == 0 else f'FAILED (exit code {code})'}")
    print(f"{time.monotonic() - begun:.0f} s")
    return int(any(codes.values()))  # one that a signal ended has a code below 0


@contextlib.contextmanager
def _running(arguments: list[str]) -> Iterator[tuple[subprocess.Popen, BinaryIO]]:
    """A pytest with these arguments and what it prints; what is left of it at the end, or at control-C, is killed."""
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", "pytest", *arguments]
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        environment = {"OMP_NUM_THREADS": "1", **os.environ}  # processes with a thread per core would wait for each other
        share = subprocess.Popen(command, cwd=_ROOT, env=environment, start_new_session=True, **streams)
        try:
            yield share, output
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(share.pid, signal.SIGKILL)


def _finish(share: subprocess.Popen, limit: float) -> int:
    """The exit code; 124 if there is none at the limit, and then it is killed."""
    try:
        return share.wait(timeout=max(1.0, limit - time.monotonic()))
    except subprocess.TimeoutExpired:
        os.killpg(share.pid, signal.SIGKILL)
        share.wait()
        return 124


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
