"""One stack for all tests; without redis-server, they are skipped with a hint how to install it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.celery.celery_stack import CeleryStack, celery_stack
from tests.support import GongService, odd_world

HOW_TO_INSTALL = "The tests with Celery need redis-server. Debian: apt-get install redis-server."


@pytest.fixture(scope="session")
def stack() -> Iterator[CeleryStack]:
    """The stack, after the scheduler's own run."""
    if shutil.which("redis-server") is None:
        refuse = pytest.fail if os.environ.get("GONG_CELERY") == "required" else pytest.skip
        refuse(HOW_TO_INSTALL)
    with celery_stack() as running:
        odd = odd_world(3)
        with GongService(odd.users, odd.histories) as service:
            assert running.finished(running.begin(service)) == "success"
        yield running
