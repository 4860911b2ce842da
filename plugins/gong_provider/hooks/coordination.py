"""Shared state of all workers: the database, rate limiter and OAuth tokens of an Airflow connection."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.sdk import BaseHook
from airflow.sdk.crypto import get_fernet
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from gong_provider.client.client import HttpOptions
from gong_provider.client.errors import GongConfigError, GongCoordinationError
from gong_provider.hooks.connection import GongSettings
from gong_provider.oauth.token_endpoint import OAuthSettings
from gong_provider.rate_limit.base import CallsRemaining
from gong_provider.rate_limit.in_process import InProcessRateLimiter, in_process_rate_limiter

if TYPE_CHECKING:  # at run time only where a database is used: the extra "postgres" installs its driver
    from gong_provider.db.engine import Database
    from gong_provider.oauth.credentials import RenewedCredentials
    from gong_provider.oauth.token_store import Cipher
    from gong_provider.rate_limit.postgres import PostgresRateLimiter

log: logging.Logger = logging.getLogger(__name__)

DEFAULT_CONN_ID = "gong_postgres"
"""Used when the Gong connection names no other: the warehouse's connection."""
NOTHING_SHARED = ("", "none")
"""Instead of a connection's id: each process counts its own calls."""


_USAGE = """
SELECT used,
       (SELECT to_json(max(until)) FROM unnest(ARRAY[paused_until, exhausted_until]) AS until
        WHERE until > clock_timestamp()) AS paused_until,
       (SELECT coalesce(json_agg(usage ORDER BY hour DESC, endpoint), '[]')
        FROM (SELECT hour, endpoint, calls FROM api_usage
              WHERE account = %(account)s AND calls > 0
                AND hour > clock_timestamp() - interval '25 hours') AS usage) AS by_hour
FROM api_quota, LATERAL (
    SELECT coalesce(sum(calls), 0) AS used FROM api_calls
    WHERE account = %(account)s AND minute > clock_timestamp() - interval '24 hours 1 minute') AS day
WHERE account = %(account)s
"""


class HourUsage(NamedTuple):
    """Calls of one endpoint in one hour, which is ISO 8601."""

    hour: str
    endpoint: str
    calls: int


class Usage(NamedTuple):
    """An account's calls of the last 24 hours.

    :ivar used: calls of ours, for all workers.
    :ivar paused_until: when calls may start again, as ISO 8601, if Gong asked for a pause; else None.
    :ivar by_hour: the newest hour first.
    """

    remaining: CallsRemaining
    used: int
    paused_until: str | None
    by_hour: list[HourUsage]


class Coordination:
    """The shared state of one account.

    :param settings: the Gong connection.
    :param clock: of the rate limiter; None: the database's.
    """

    def __init__(self, settings: GongSettings, clock: Callable[[], datetime] | None) -> None:
        self._settings = settings
        self._clock = clock

    @cached_property
    def database(self) -> Database | None:
        """The database of the shared state; None: nothing is shared, as the connection asks.

        :raises GongCoordinationError: Airflow has no such connection, or could not read it.
        :raises GongConfigError: it is not a Postgres, or its driver is not installed.
        """
        named = self._settings.coordination_conn_id
        if named in NOTHING_SHARED:
            return None
        try:
            connection = BaseHook.get_connection(named or DEFAULT_CONN_ID)
        except AirflowNotFoundException:
            # Also where Airflow's API or a secrets backend did not answer: counting in each process then
            # would exceed the account's limits.
            raise GongCoordinationError(
                f"Airflow has no connection {named or DEFAULT_CONN_ID}, or could not read it: through this "
                "Postgres all workers share the limits of calls. Make it, or name another in the Gong "
                "connection's extra coordination_conn_id; with none there, each process counts its own calls"
            ) from None
        try:
            from gong_provider.db.engine import AddressError, Database, address_of, engine_for
        except ModuleNotFoundError as error:
            raise GongConfigError(
                f"The Postgres that all workers share needs the package {error.name}: "
                "pip install 'airflow-provider-gong[postgres]'"
            ) from None
        try:
            return Database(engine_for(address_of(connection)))
        except AddressError as error:
            raise GongConfigError(f"The connection {connection.conn_id} {error}") from None

    @cached_property
    def rate_limiter(self) -> PostgresRateLimiter | InProcessRateLimiter:
        """The account's rate limiter."""
        limits, account = self._settings.limits, self._settings.quota_account
        if self.database is not None and limits.exist:
            from gong_provider.rate_limit.postgres import PostgresRateLimiter

            return PostgresRateLimiter(self.database, account, limits, self._clock)
        if limits.exist:
            log.warning(
                "Calls are counted in this process only: run one task at a time, or name a Postgres "
                "connection in the extra coordination_conn_id"
            )
        return in_process_rate_limiter(account, limits)

    async def usage(self) -> Usage:
        """Return the calls that all workers made in the last 24 hours, and those that remain.

        :raises GongConfigError: the workers share no database, or count no calls.
        """
        if self.database is None:
            raise GongConfigError(
                "Calls are known to the process only that makes them: name a Postgres connection in the "
                "extra coordination_conn_id"
            )
        if not self._settings.limits.exist:
            raise GongConfigError(
                "Calls are not counted: the connection has neither calls_per_second nor calls_per_day"
            )
        remaining = await self.rate_limiter.calls_remaining()  # makes the account's row if it is missing
        row: Any = await self.database.run(_USAGE, {"account": self._settings.quota_account})
        by_hour = [HourUsage(**usage) for usage in row.by_hour]
        return Usage(remaining, int(row.used), row.paused_until, by_hour)

    def credentials(self, oauth: OAuthSettings, http_options: HttpOptions) -> RenewedCredentials:
        """Return the account's OAuth credentials, renewed by one worker for all.

        :raises GongConfigError: there is no database to store them in, or no key to encrypt them with.
        """
        if self.database is None:
            raise GongConfigError(
                "OAuth's refresh tokens need a database that all workers share: name its Postgres connection "
                "in the extra coordination_conn_id"
            )
        from gong_provider.oauth.credentials import RenewedCredentials

        settings = self._settings
        account = f"account {settings.account}" if settings.account else settings.base_url
        return RenewedCredentials(
            self.database,
            airflow_cipher(),
            f"{account} {settings.key_hash}",
            oauth,
            settings.base_url,
            http_options,
        )

    def close(self) -> None:
        """Release the database connection."""
        if "database" in vars(self) and self.database is not None:
            self.database.close()


def airflow_cipher() -> Cipher:
    """Return Airflow's Fernet key as a cipher; Airflow rotates keys by a list of them.

    :raises GongConfigError: Airflow has no key, or an invalid one.
    """
    what = "Airflow has no [core] fernet_key"
    try:
        fernet = get_fernet()
        if fernet.is_encrypted:
            return fernet
    except AirflowException:
        what = "Airflow's [core] fernet_key is not a Fernet key"
    raise GongConfigError(
        f"{what}, and OAuth tokens are never stored as plain text: set one (AIRFLOW__CORE__FERNET_KEY), "
        "the same for all workers"
    )
