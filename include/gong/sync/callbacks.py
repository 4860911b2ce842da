"""The last line of a failed task's log: what to do, in a sentence below Airflow's traceback."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

_THEN = (
    "When that is mended, clear this task or start a new run: what is loaded stays, and is not asked again"
)


def say_what_to_do(context: Any) -> None:
    """For ``on_failure_callback`` of a task."""
    error = context.get("exception")
    if error is not None:  # a task that was killed has none, and no log to write to
        _last_line(logging.ERROR, f"{_sentence(error)}. {_THEN}")


def say_that_it_is_tried_again(context: Any) -> None:
    """For ``on_retry_callback`` of a task."""
    error, ti = context.get("exception"), context["ti"]
    if error is not None:
        _last_line(
            logging.WARNING,
            f"Try {ti.try_number} of {ti.max_tries + 1} failed: {_sentence(error)}. "
            "The next one begins by itself",
        )


def _last_line(level: int, sentence: str) -> None:
    log.info("::endgroup::")  # of Airflow's "Post Execute", which the UI folds away
    log.log(level, sentence)


def _sentence(error: BaseException) -> str:
    """Our errors are sentences; Python's own say little without their names."""
    said = " ".join(str(error).split()).rstrip(".")
    if said and type(error).__module__ != "builtins":
        return said
    name = f"{type(error).__name__}: {said}".rstrip(": ")
    return f"{name}. No error of ours: the traceback above says where it comes from"
