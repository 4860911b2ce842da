"""Runs the check of a connection and returns the report, or raises the reason why there is none."""

from __future__ import annotations

import asyncio

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from gong_provider.client.errors import GongApiError, GongError
from include.gong.check_live.calls import CheckHook
from include.gong.check_live.report import report
from include.gong.check_live.survey import survey
from include.gong.local.connections import GONG, variable
from include.gong.local.settings import LocalError


def check() -> str:
    """Call Gong and return the report.

    :raises LocalError: the connection does not work.
    """
    extras = _connection().extra_dejson
    if extras.get("refresh_token"):
        raise LocalError(
            "This connection uses OAuth. For now the check works with an access key, or with an access_token "
            "alone: set AIRFLOW_CONN_GONG_DEFAULT to such a connection for it."
        )
    credentials = "this access token" if extras.get("access_token") else "this access key"
    hook = CheckHook(GONG)
    try:
        seen = asyncio.run(survey(hook.client, hook.settings.users_filter_path))
    except GongApiError as error:
        # Gong's own messages are left out: they may contain anything.
        advice = f" {error.advice}." if error.advice else ""
        raise LocalError(f"The connection does not work: Gong {error.what}.{advice}") from None
    except GongError as error:
        raise LocalError(f"The connection does not work: {error}.") from None
    except OSError as error:
        raise LocalError(f"The connection's TLS options can't be used: {error.strerror}.") from None
    return report(hook.settings.host, credentials, seen)


def _connection() -> Connection:
    try:
        return BaseHook.get_connection(GONG)
    except AirflowNotFoundException:
        raise LocalError(f"{variable(GONG)} is neither Airflow's JSON nor a gong:// URI.") from None
