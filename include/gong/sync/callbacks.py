"""Writes the last line of a failed task's log: a sentence below Airflow's traceback that says what to do."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

_ADVICE = (
    "When that is fixed, clear this task or start a new run: loaded data stays, and is not fetched again"
)


def log_what_to_do(context: Any) -> None:
    """Log how to repair a failed task: its ``on_failure_callback``."""
    error = context.get("exception")
    if error is not None:  # a task that was killed has none, and no log to write to
        _last_line(logging.ERROR, f"{_sentence(error)}. {_ADVICE}")


def log_retry(context: Any) -> None:
    """Log that a task is tried again: its ``on_retry_callback``."""
    error, ti = context.get("exception"), context["ti"]
    if error is not None:
        _last_line(
            logging.WARNING,
            f"Try {ti.try_number} of {ti.max_tries + 1} failed: {_sentence(error)}. "
            "The next one begins by itself",
        )


def _last_line(level: int, sentence: str) -> None:
    log.info("::endgroup::")  # ends Airflow's "Post Execute", which the UI folds away
    log.log(level, sentence)


def _sentence(error: BaseException) -> str:
    """The error's message; Python's own errors say little without their names."""
    message = " ".join(str(error).split()).rstrip(".")
    if message and type(error).__module__ != "builtins":
        return message
    name = f"{type(error).__name__}: {message}".rstrip(": ")
    return f"{name}. It was not expected: the traceback above shows where it comes from"
