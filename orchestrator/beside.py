"""A function that is called now and then, from a thread of its own, while a block runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def beside(call: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call a function every so many seconds while the block runs; the block ends when a call that is under way has.

    Args:
        call: Not called before the first ``seconds`` are over. What it raises ends the calls, and nothing else.
        seconds: Between the end of a call and the next one.
    """
    ended = threading.Event()

    def keep_calling() -> None:
        while not ended.wait(seconds):
            call()

    thread = threading.Thread(target=keep_calling, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
