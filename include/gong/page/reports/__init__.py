"""The questions of the page by address, and its plots by name."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from include.gong.page.reports import days
from include.gong.page.reports.changes import CHANGES
from include.gong.page.reports.data_quality import CHECKS, CONFLICTS, LEFT, STALE
from include.gong.page.reports.recording import NOT_RECORDED, STILL_IMPORTING, WITHOUT_CONSENT_PAGE
from include.gong.page.reports.syncs import SYNCS
from include.gong.page.reports.users import USERS
from include.gong.page.table import Asked, Plot, Question

QUESTIONS: dict[str, Question] = {
    question.name: question
    for question in (
        SYNCS, USERS, WITHOUT_CONSENT_PAGE, NOT_RECORDED, STILL_IMPORTING, CHANGES, days.SETTINGS, days.CALLS,
        STALE, CONFLICTS, CHECKS, LEFT,
    )
}  # fmt: skip

PLOTS: dict[str, Callable[[Connection, Asked], Plot]] = {
    "coverage": days.coverage_plot,
    "changes": days.changes_plot,
    "calls": days.calls_plot,
}
