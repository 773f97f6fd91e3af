"""Whether a process lives, asked from another one of its machine."""

from __future__ import annotations

import os
import socket


def process_space() -> str:
    """What process ids are counted in here: two containers may have their host's name, and each its own process 7."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def process_runs(pid: int) -> bool:
    """Whether a process of this machine runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True
