"""Shared state of all workers: the database, rate limiter and OAuth tokens of an Airflow connection."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from airflow.sdk import BaseHook
from airflow.sdk.crypto import get_fernet
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from cryptography.fernet import InvalidToken

from gong_provider.client.client import HttpOptions
from gong_provider.client.errors import GongConfigError
from gong_provider.db.database import Database
from gong_provider.db.engine import AddressError, address_of, engine_for
from gong_provider.hooks.connection import GongSettings
from gong_provider.hooks.oauth import OAuthSettings
from gong_provider.oauth.credentials import RenewedCredentials
from gong_provider.rate_limit.in_process import InProcessRateLimiter, in_process_rate_limiter
from gong_provider.rate_limit.postgres import PostgresRateLimiter

log = logging.getLogger(__name__)

DEFAULT_CONN_ID = "gong_postgres"
"""Used when the Gong connection names no other: the warehouse's connection."""


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
        """The database of the shared state; None: nothing is shared.

        :raises GongConfigError: the named connection does not exist, or is not a Postgres.
        """
        named = self._settings.coordination_conn_id
        if named == "":
            return None
        try:
            connection = BaseHook.get_connection(named or DEFAULT_CONN_ID)
        except AirflowNotFoundException:
            if named is None:
                return None
            raise GongConfigError(
                f"The Gong connection's extra coordination_conn_id names {named}: there is no such connection"
            ) from None
        try:
            return Database(engine_for(address_of(connection)))
        except AddressError as error:
            raise GongConfigError(f"The connection {connection.conn_id} {error}") from None

    @cached_property
    def rate_limiter(self) -> PostgresRateLimiter | InProcessRateLimiter:
        """The account's rate limiter."""
        limits, account = self._settings.limits, self._settings.quota_account
        if self.database is not None:
            return PostgresRateLimiter(self.database, account, limits, self._clock)
        if limits.calls_per_second or limits.calls_per_day:
            log.warning(
                "Calls are counted in this process only: run one task at a time, or make the Postgres "
                "connection %s (or name another in the extra coordination_conn_id)",
                DEFAULT_CONN_ID,
            )
        return in_process_rate_limiter(account, limits)

    def credentials(self, oauth: OAuthSettings, http_options: HttpOptions) -> RenewedCredentials:
        """Return the account's OAuth credentials, renewed by one worker for all.

        :raises GongConfigError: there is no database to store them in, or no key to encrypt them with.
        """
        if self.database is None:
            raise GongConfigError(
                "OAuth's refresh tokens need a database that all workers share: make the Postgres "
                f"connection {DEFAULT_CONN_ID}, or name another in the extra coordination_conn_id"
            )
        settings = self._settings
        account = f"account {settings.account}" if settings.account else settings.base_url
        return RenewedCredentials(
            database=self.database,
            cipher=FernetCipher(),
            account=f"{account} {settings.key_hash}",
            client_id=oauth.client_id,
            client_secret=oauth.client_secret,
            refresh_token=oauth.refresh_token,
            oauth_endpoint=oauth.oauth_endpoint,
            base_url=settings.base_url,
            http_options=http_options,
        )

    def close(self) -> None:
        """Release the database connection."""
        if "database" in vars(self) and self.database is not None:
            self.database.close()


class FernetCipher:
    """Encrypts with Airflow's Fernet key; Airflow rotates keys by a list of them.

    :raises GongConfigError: Airflow has no key, or an invalid one.
    """

    def __init__(self) -> None:
        try:
            self._fernet = get_fernet()
        except AirflowException:
            raise GongConfigError(_no_key("Airflow's [core] fernet_key is not a Fernet key")) from None
        if not self._fernet.is_encrypted:
            raise GongConfigError(_no_key("Airflow has no [core] fernet_key"))

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str:
        """:raises ValueError: it was encrypted with another key."""
        try:
            return self._fernet.decrypt(text).decode()
        except InvalidToken:
            raise ValueError("encrypted with another key") from None


def _no_key(what: str) -> str:
    return (
        f"{what}, and OAuth tokens are never stored as plain text: set one (AIRFLOW__CORE__FERNET_KEY), "
        "the same for all workers"
    )
