"""How far a task is, for its log: every few seconds while something comes, and while nothing does."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

EVERY_S = 5.0
"""So often, at most, what has come is said."""
SILENCE_S = 10.0
"""So long, at most, nothing is said."""
RECENT_S = 60.0
"""The rate is that of so long."""


class Progress:
    """Says how far a task is, while it is in use (``with``).

    :param what: what is counted, such as "histories".
    :param of: how many there are to be, None: unknown.
    :param say: takes a line.
    :param done: how many an earlier try had done.
    :param clock: seconds that only grow.
    """

    def __init__(
        self,
        what: str,
        of: int | None,
        say: Callable[[str], None],
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._of = of
        self._say = say
        self._clock = clock
        self._done = done
        self._calls = self._failed = 0
        self._begin = self._news_at = clock()
        self._said_at = self._begin - EVERY_S  # the first news is said at once
        self._recent: deque[tuple[float, int, int]] = deque([(self._begin, 0, done)])
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._say_silence, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._watch.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._watch.join()
        if self._calls:
            self._say(self.summary())

    def add(self, done: int, calls: int, *, failed: int = 0, of: int | None = None) -> None:
        """So many more are done, with so many calls.

        :param of: how many there are to be, where that was not known.
        """
        with self._lock:
            self._done += done
            self._calls += calls
            self._failed += failed
            self._of = of if self._of is None else self._of
            self._news_at = self._clock()
            self._recent.append((self._news_at, self._calls, self._done))
            while len(self._recent) > 1 and self._recent[0][0] < self._news_at - RECENT_S:
                self._recent.popleft()
            if self._news_at - self._said_at >= EVERY_S:
                self._tell(self.line())

    def line(self) -> str:
        """How far it is, how fast lately, and how long still."""
        at, calls, done = self._recent[0]
        seconds = self._clock() - at
        parts = [self._counted(), _calls(self._calls)]
        if seconds >= 1 and self._calls > calls:
            parts.append(f"{(self._calls - calls) / seconds:.1f} calls/s")
            left = (self._of or 0) - self._done - self._failed
            if left > 0 and self._done > done:
                parts.append(f"{duration(left * seconds / (self._done - done))} left")
        return " · ".join(parts)

    def summary(self) -> str:
        """What came of it in all."""
        return f"{self._counted()} · {_calls(self._calls)} in {duration(self._clock() - self._begin)}"

    def _counted(self) -> str:
        of = "" if self._of is None else f" of {self._of:,}"
        failed = f" ({self._failed:,} failed or gone)" if self._failed else ""
        return f"{self._what} {self._done:,}{of}{failed}"

    def _tell(self, line: str) -> None:
        self._said_at = self._clock()
        self._say(line)

    def _say_silence(self) -> None:
        while not self._ended.wait(SILENCE_S / 4):
            with self._lock:
                now = self._clock()
                if now - self._said_at >= SILENCE_S * 0.75:
                    silence = f" · nothing new for {duration(now - self._news_at)}"
                    self._tell(f"{self.line()}{silence if now - self._news_at >= EVERY_S else ''}")


def duration(seconds: float) -> str:
    """A time span for people: 2 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"
