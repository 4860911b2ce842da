"""The page's reports by URL name, and its plots by name."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from include.gong.page.reports import days
from include.gong.page.reports.changes import CHANGES
from include.gong.page.reports.data_quality import CHECKS, CONFLICTS, DELETED, NOT_SEEN_RECENTLY
from include.gong.page.reports.recording import NOT_RECORDED, STILL_IMPORTING, WITHOUT_CONSENT_PAGE
from include.gong.page.reports.syncs import SYNCS
from include.gong.page.reports.users import USERS
from include.gong.page.table import PageQuery, Plot, Report

REPORTS: dict[str, Report] = {
    report.name: report
    for report in (
        SYNCS, USERS, WITHOUT_CONSENT_PAGE, NOT_RECORDED, STILL_IMPORTING, CHANGES, days.SETTINGS, days.CALLS,
        NOT_SEEN_RECENTLY, CONFLICTS, CHECKS, DELETED,
    )
}  # fmt: skip

PLOTS: dict[str, Callable[[Connection, PageQuery], Plot]] = {
    "coverage": days.coverage_plot,
    "changes": days.changes_plot,
    "calls": days.calls_plot,
}
