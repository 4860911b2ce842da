"""Logs a task's progress every few seconds, also while nothing arrives."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

EVERY_S = 5.0
"""Least seconds between two lines about what arrived."""
SILENCE_S = 10.0
"""Most seconds without a line."""
RECENT_S = 60.0
"""The rate is that of so many seconds."""


class Progress:
    """Logs the progress of a task inside a ``with`` block.

    :param unit: of what is counted, such as "histories".
    :param of: the total, None: unknown.
    :param log: called with each line.
    :param done: how many an earlier try had done.
    :param clock: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        unit: str,
        of: int | None,
        log: Callable[[str], None],
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unit = unit
        self._of = of
        self._log = log
        self._clock = clock
        self._done = done
        self._calls = self._failed = 0
        self._started_at = self._updated_at = clock()
        self._logged_at = self._started_at - EVERY_S  # the first update is logged at once
        self._recent: deque[tuple[float, int, int]] = deque([(self._started_at, 0, done)])
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._log_silence, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        self._watch.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._watch.join()
        if self._calls:
            self._log(self.summary())

    def add(self, done: int, calls: int, *, failed: int = 0, of: int | None = None) -> None:
        """Count so many more as done, with so many calls.

        :param of: the total, if it was not known.
        """
        with self._lock:
            self._done += done
            self._calls += calls
            self._failed += failed
            self._of = of if self._of is None else self._of
            self._updated_at = self._clock()
            self._recent.append((self._updated_at, self._calls, self._done))
            while len(self._recent) > 1 and self._recent[0][0] < self._updated_at - RECENT_S:
                self._recent.popleft()
            if self._updated_at - self._logged_at >= EVERY_S:
                self._write(self.line())

    def line(self) -> str:
        """Return the progress, the recent rate, and the time left."""
        at, calls, done = self._recent[0]
        seconds = self._clock() - at
        parts = [self._counted(), _calls(self._calls)]
        if seconds >= 1 and self._calls > calls:
            parts.append(f"{(self._calls - calls) / seconds:.1f} calls/s")
            remaining = (self._of or 0) - self._done - self._failed
            if remaining > 0 and self._done > done:
                parts.append(f"{duration(remaining * seconds / (self._done - done))} left")
        return " · ".join(parts)

    def summary(self) -> str:
        """Return the totals."""
        return f"{self._counted()} · {_calls(self._calls)} in {duration(self._clock() - self._started_at)}"

    def _counted(self) -> str:
        of = "" if self._of is None else f" of {self._of:,}"
        failed = f" ({self._failed:,} failed or not found)" if self._failed else ""
        return f"{self._unit} {self._done:,}{of}{failed}"

    def _write(self, line: str) -> None:
        self._logged_at = self._clock()
        self._log(line)

    def _log_silence(self) -> None:
        while not self._ended.wait(SILENCE_S / 4):
            with self._lock:
                now = self._clock()
                if now - self._logged_at >= SILENCE_S * 0.75:
                    silence = f" · nothing new for {duration(now - self._updated_at)}"
                    self._write(f"{self.line()}{silence if now - self._updated_at >= EVERY_S else ''}")


def duration(seconds: float) -> str:
    """Format a time span: 2 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"
