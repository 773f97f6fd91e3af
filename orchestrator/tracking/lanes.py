"""Work for a few threads, in order where order matters, and again for as long as what it needs is away. Knows nothing of MLflow."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0  # seconds between attempts during an outage; each is twice the one before
_AWAITED_PAUSE = 1.0  # the longest while somebody waits for all
_STUCK_SECONDS = 120.0  # without an answer to anything: a connection that was cut without a word
_IDLE_SECONDS = 2.0  # after which a thread ends; the next piece of work starts another


@dataclass
class _Work:
    lane: Hashable
    do: Callable[[], None]
    size: int
    due: float
    before: int  # pieces of work that must be done first
    after: list[_Work] = field(default_factory=list)  # that wait for this one
    taken: bool = False


class Lanes:
    """Pieces of work, each in a lane: those of a lane are done one after the other, in the order they came.

    A piece that raises what ``is_outage`` knows is tried again, first in its lane as before, with pauses that double: it must be
    able to begin anew. Meanwhile nothing else is begun. Any other exception ends everything.

    Args:
        threads: How many pieces are done at a time.
        room: Sum of the sizes of all pieces that wait.
        is_outage: Whether an exception will pass.
        tell: Called with the exception when an outage begins, and when everything ends; with None when an outage is over.
    """

    def __init__(
        self, threads: int, room: int, is_outage: Callable[[Exception], bool], tell: Callable[[Exception | None], None]
    ) -> None:
        self._threads, self._room, self._is_outage, self._tell = threads, room, is_outage, tell
        self._changed = threading.Condition()
        self._last: dict[Hashable, _Work] = {}  # by lane
        self._ready: list[tuple[float, int, _Work]] = []  # a heap by the time they are due
        self._order = itertools.count()
        self._used = self._busy = self._running = 0
        self._pause, self._failed_at = _FIRST_PAUSE, 0.0
        self._away_since: float | None = None
        self._answered = time.monotonic()
        self._hurry = self._ended = False

    @property
    def away(self) -> bool:
        """Whether there is an outage now."""
        return self._away_since is not None

    @property
    def free(self) -> int:
        """Room that is left."""
        return self._room - self._used

    def put(
        self,
        lane: Hashable,
        do: Callable[[], None],
        *,
        size: int = 0,
        after: Iterable[Hashable] | None = (),
        delay: float = 0.0,
        wait: bool = False,
    ) -> bool:
        """Add a piece of work; returns whether there was room for it. One that is larger than all the room goes in alone.

        Args:
            lane: Its lane.
            do: The work.
            size: How much room it takes until it is done.
            after: Other lanes whose work so far must be done first; None for all of them.
            delay: Seconds until it is begun, unless more work in its lane follows or somebody waits for all.
            wait: Wait for room, but not during an outage.
        """
        with self._changed:
            while wait and not self._fits(size) and not self.away and not self._ended:
                self._changed.wait()
            if self._ended or not self._fits(size):
                return False
            self._add(lane, do, size, after, delay)
            return True

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._room

    def _add(self, lane: Hashable, do: Callable[[], None], size: int, after: Iterable[Hashable] | None, delay: float) -> None:
        if (ahead := self._last.get(lane)) and not ahead.taken and ahead.before == 0:
            heapq.heappush(self._ready, (0.0, next(self._order), ahead))  # its delay is over
        lanes = set(self._last) if after is None else {lane, *after} & self._last.keys()
        work = _Work(lane, do, size, time.monotonic() + delay if delay else 0.0, before=len(lanes))
        for other in lanes:
            self._last[other].after.append(work)
        self._last[lane] = work
        self._used += size
        if not lanes:
            self._make_ready(work)
        while self._running < self._threads:  # daemons: a process that ends does not wait for a server that is away
            self._running += 1
            threading.Thread(target=self._serve, daemon=True).start()

    def _make_ready(self, work: _Work) -> None:
        heapq.heappush(self._ready, (work.due, next(self._order), work))
        self._changed.notify_all()

    def join(self, patience: float) -> bool:
        """Wait until all work is done, whatever its delay; returns whether it is.

        Given up when an outage has lasted ``patience`` seconds of this wait, or when nothing was answered for two minutes. What is
        left then stays, and is done if the outage ends.
        """
        began = time.monotonic()
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            try:
                while self._last and not self._ended:
                    now = time.monotonic()
                    if self.away and now - max(began, self._away_since) >= patience:
                        return False
                    if now - max(began, self._answered) >= _STUCK_SECONDS:
                        return False
                    self._changed.wait(0.1 if self.away else 1.0)
                return not self._ended
            finally:
                self._hurry = False

    def end(self) -> None:
        """Begin nothing more, and forget what is left."""
        with self._changed:
            self._stop()

    def _stop(self) -> None:
        self._ended = True
        self._last.clear()
        self._ready.clear()
        self._changed.notify_all()

    def seen(self, lane: Hashable) -> None:
        """Wait until the work so far of a lane is done, or until it is clear that there is an outage."""
        with self._changed:
            work = self._last.get(lane)
            done = lambda: work is None or self._last.get(lane) is not work or self.away or self._ended  # noqa: E731
            self._changed.wait_for(done, _STUCK_SECONDS)

    def _serve(self) -> None:
        while work := self._take():
            try:
                work.do()
            except Exception as error:
                self._failed(work, error)
            else:
                self._done(work)

    def _take(self) -> _Work | None:
        """The next piece that is due; None when there was none for a while, or everything has ended."""
        with self._changed:
            while not self._ended:
                now = time.monotonic()
                while self._ready and self._ready[0][2].taken:
                    heapq.heappop(self._ready)
                pause = self._wait_seconds(now)
                if pause <= 0:
                    work = heapq.heappop(self._ready)[2]
                    work.taken = True
                    self._busy += 1
                    return work
                if not self._changed.wait(pause) and not self._last:
                    break
            self._running -= 1
            return None

    def _wait_seconds(self, now: float) -> float:
        """Until the first of those that are ready may begin."""
        if not self._ready or (self.away and self._busy):  # in an outage one attempt at a time
            return _IDLE_SECONDS
        if self.away:
            return self._failed_at + (min(self._pause, _AWAITED_PAUSE) if self._hurry else self._pause) - now
        return 0.0 if self._hurry else self._ready[0][0] - now

    def _done(self, work: _Work) -> None:
        with self._changed:
            was_away, self._away_since, self._pause = self.away, None, _FIRST_PAUSE
            self._busy -= 1
            self._used -= work.size
            self._answered = time.monotonic()
            if self._last.get(work.lane) is work:
                del self._last[work.lane]
            for follower in work.after:
                follower.before -= 1
                if follower.before == 0:
                    self._make_ready(follower)
            if was_away:
                self._tell(None)  # before whoever waits for the end of all work learns of it
            self._changed.notify_all()

    def _failed(self, work: _Work, error: Exception) -> None:
        passes = self._is_outage(error)
        with self._changed:
            self._busy -= 1
            now, begins = time.monotonic(), not self.away
            if begins or not passes:
                self._tell(error)
            if passes:
                self._away_since = now if begins else self._away_since
                self._pause = _FIRST_PAUSE if begins else min(self._pause * 2, _LONGEST_PAUSE)
                self._failed_at = now
                work.taken, work.due = False, 0.0
                self._make_ready(work)
            else:
                self._stop()
