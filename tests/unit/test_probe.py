"""A probe that fails, hangs or prints nothing is a sentence, never a traceback."""

from __future__ import annotations

import sys

import pytest

from include.gong.local import probe
from include.gong.local.settings import LocalError


def test_its_last_line_is_the_reason() -> None:
    with pytest.raises(LocalError, match="`gong_default`"):
        probe.ask({}, "users", "gong_default")


def test_one_that_prints_nothing_failed_without_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(LocalError, match="without a reason"):
        probe.ask({}, "users", "gong_default")


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_SECONDS", 0.001)
    with pytest.raises(LocalError, match="did not end"):
        probe.ask({}, "users", "gong_default")
