"""The last line of a failed task's log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from gong_provider.api.errors import GongCredentialsError
from include.sync.failing import say_that_it_is_tried_again, say_what_to_do


def context(error: BaseException | None) -> dict[str, Any]:
    return {"exception": error, "ti": SimpleNamespace(try_number=2, max_tries=5)}


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (AirflowFailException("check\n failed: why."), "check failed: why. When that is mended"),
        (GongCredentialsError("answered 401"), "Gong answered 401. Check the access key and secret"),
        (KeyError("x"), "KeyError: 'x'. No error of ours: the traceback above says where it comes from"),
        (ValueError(), "ValueError. No error of ours"),
    ],
)  # fmt: skip
def test_it_is_a_sentence_on_what_to_do(
    error: BaseException, begins: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        say_what_to_do(context(error))
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    assert caplog.messages[0] == "::endgroup::", "or the UI folds it away"
    assert caplog.messages[1].startswith(begins)
    assert caplog.messages[1].endswith(
        "clear this task or start a new run: what is loaded stays, and is not asked again"
    )


def test_a_try_that_is_not_the_last_says_so(caplog: pytest.LogCaptureFixture) -> None:
    say_that_it_is_tried_again(context(GongCredentialsError("answered 401")))
    (line,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert line.message.startswith("Try 2 of 6 failed: Gong answered 401.")
    assert line.message.endswith("The next one begins by itself")


def test_a_killed_task_has_no_last_words(caplog: pytest.LogCaptureFixture) -> None:
    say_what_to_do(context(None))
    say_that_it_is_tried_again({"ti": None})
    assert caplog.messages == []
