"""Captures all log records at DEBUG, also asyncio's, and warnings."""

from __future__ import annotations

import asyncio
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

_LOUD = ("", "asyncio", "aiohttp", "urllib3", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "airflow")


class _Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts += [f"{record.name}: {self.format(record)}", repr(record.args)]


@contextmanager
def captured_output() -> Iterator[list[str]]:
    """Yield a list that gets each log record, and each warning at the end."""
    listener = _Listener()
    before = {name: logging.getLogger(name).level for name in _LOUD}
    logging.getLogger().addHandler(listener)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        with (
            warnings.catch_warnings(record=True) as warned,
            mock.patch.object(asyncio, "new_event_loop", _talkative_loop),
        ):
            warnings.simplefilter("always")
            yield listener.texts
        listener.texts += [str(warning) for warning in warned]
    finally:
        logging.getLogger().removeHandler(listener)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _talkative_loop() -> asyncio.AbstractEventLoop:
    """Return a loop that logs each of its steps, as each counts as slow."""
    loop = asyncio.events.new_event_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    return loop


def error_texts(error: BaseException) -> str:
    """Return all texts of an error that could be shown, with its causes and contexts, suppressed or not."""
    texts, pending, seen = [], [error], set[int]()
    while pending:
        link = pending.pop()
        if id(link) not in seen:
            seen.add(id(link))
            texts += [str(link), repr(link), repr(vars(link)), *traceback.format_exception(link)]
            pending += [other for other in (link.__cause__, link.__context__) if other is not None]
    return "\n".join(texts)
