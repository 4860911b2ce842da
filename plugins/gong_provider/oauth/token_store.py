"""An account's row of oauth_tokens: encrypted at rest, each change one guarded statement."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography.fernet import InvalidToken

from gong_provider.client.errors import GongCredentialsError
from gong_provider.db.engine import Database
from gong_provider.oauth.token_endpoint import CONNECT_AGAIN, RefreshTokenState, Tokens

SOON_S = 300.0
SOON_SHARE = 0.1
"""A token is renewed this many seconds before it expires, or this share of its lifetime if that is less."""


class Cipher(Protocol):
    """Encrypts what is stored: Fernet."""

    def encrypt(self, data: bytes, /) -> bytes: ...

    def decrypt(self, token: str, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class TokenRow:
    """The stored row, still encrypted; the seconds are counted by the database.

    :ivar fresh_s: until the access token should be renewed; ``valid_s`` until it expires. May be negative.
    :ivar asked_at: when a renewal was sent whose response was not stored.
    """

    generation: int
    access_token: str | None = field(repr=False)
    refresh_token: str = field(repr=False)
    base_url: str | None
    fresh_s: float
    valid_s: float
    asked_at: datetime | None
    is_dead: bool
    accepted_generation: int
    refused_in_a_row: int


# A refresh token that is new in the connection wins over the stored pair; one seen before does nothing.
_READ = """
    INSERT INTO oauth_tokens AS stored (account, generation, refresh_token, seeds)
    VALUES (%(account)s, 0, %(configured)s, ARRAY[%(fingerprint)s])
    ON CONFLICT (account) DO UPDATE SET
        generation = stored.generation + 1, refresh_token = excluded.refresh_token,
        seeds = stored.seeds || excluded.seeds, access_token = NULL, expires_at = NULL, renew_at = NULL,
        base_url = NULL, lease_holder = NULL, lease_until = NULL, asked_at = NULL, dead_since = NULL,
        refused_in_a_row = 0
    WHERE NOT excluded.seeds <@ stored.seeds;
    SELECT generation, access_token, refresh_token, base_url,
        coalesce(extract(epoch FROM renew_at - clock_timestamp()), 0)::float8,
        coalesce(extract(epoch FROM expires_at - clock_timestamp()), 0)::float8,
        asked_at, dead_since IS NOT NULL, accepted_generation, refused_in_a_row
    FROM oauth_tokens WHERE account = %(account)s
"""
# The right to renew one generation, with the note that its refresh token is being sent.
_LEASE = """
    UPDATE oauth_tokens SET lease_holder = %(holder)s, asked_at = coalesce(asked_at, now()),
        lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE account = %(account)s AND generation = %(generation)s AND dead_since IS NULL
        AND (lease_until IS NULL OR lease_until < clock_timestamp() OR lease_holder = %(holder)s)
    RETURNING now()
"""
# Without a check of the lease: the pair that Gong gave is the account's only one.
_STORE = """
    UPDATE oauth_tokens SET
        generation = generation + 1, access_token = %(access)s, refresh_token = %(refresh)s,
        expires_at = %(sent_at)s + make_interval(secs => %(lifetime_s)s),
        renew_at = %(sent_at)s + make_interval(secs => %(lifetime_s)s - %(soon_s)s),
        base_url = coalesce(%(base_url)s, base_url), renewed_at = clock_timestamp(),
        lease_holder = NULL, lease_until = NULL, asked_at = NULL, dead_since = NULL,
        refused_in_a_row = CASE WHEN accepted_generation >= generation THEN 0
            ELSE refused_in_a_row + %(refused)s END
    WHERE account = %(account)s AND generation = %(generation)s
"""
# The note of an earlier renewal stays: its response never came.
_RELEASE = """
    UPDATE oauth_tokens SET lease_holder = NULL, lease_until = NULL,
        asked_at = CASE WHEN %(state)s = 'UNKNOWN' OR asked_at < %(sent_at)s THEN asked_at END,
        dead_since = CASE WHEN %(state)s = 'DEAD' THEN clock_timestamp() END
    WHERE account = %(account)s AND generation = %(generation)s AND lease_holder = %(holder)s
"""
# The note may come late, after the next pair: then that pair was not refused twice in a row.
_ACCEPT = """
    UPDATE oauth_tokens SET accepted_generation = %(generation)s,
        refused_in_a_row = CASE WHEN %(generation)s >= generation - 1 THEN 0 ELSE refused_in_a_row END
    WHERE account = %(account)s AND accepted_generation < %(generation)s
"""


class TokenRows:
    """The row of one account.

    :param configured_token: the refresh token in the connection.
    """

    def __init__(self, database: Database, cipher: Cipher, account: str, configured_token: str) -> None:
        self._database = database
        self._cipher = cipher
        self._row = {
            "account": account,
            "holder": f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:12]}",
        }
        self._configured = {
            "configured": self._encrypted(configured_token),
            "fingerprint": hashlib.sha256(configured_token.encode()).hexdigest(),
        }

    async def read(self) -> TokenRow:
        """Return the row, made from the connection's refresh token if it is missing or the token is new."""
        return TokenRow(*await self._run(_READ, **self._configured))

    async def lease(self, generation: int, seconds: float) -> datetime | None:
        """Take the right to renew this generation, and note that its refresh token is being sent.

        :return: when that was noted; None: another worker has the right, or there is a newer generation.
        """
        row = await self._run(_LEASE, generation=generation, lease_s=seconds)
        return row[0] if row is not None else None

    async def store(self, generation: int, tokens: Tokens, sent_at: datetime, *, was_refused: bool) -> None:
        """Store the pair that replaces this generation, unless that has happened."""
        await self._run(
            _STORE,
            generation=generation,
            access=self._encrypted(tokens.access_token),
            refresh=self._encrypted(tokens.refresh_token),
            sent_at=sent_at,
            lifetime_s=tokens.lifetime_s,
            soon_s=min(SOON_S, SOON_SHARE * tokens.lifetime_s),
            base_url=tokens.base_url,
            refused=int(was_refused),
        )

    async def release(self, generation: int, sent_at: datetime, state: RefreshTokenState) -> None:
        """Release the lease without a new pair, and store what became of the refresh token."""
        await self._run(_RELEASE, generation=generation, sent_at=sent_at, state=state.name)

    async def accept(self, generation: int) -> None:
        """Note that Gong accepted this generation's access token."""
        await self._run(_ACCEPT, generation=generation)

    def plain(self, encrypted: str) -> str:
        """Decrypt a stored token.

        :raises GongCredentialsError: this key can't decrypt it.
        """
        try:
            return self._cipher.decrypt(encrypted).decode()
        except InvalidToken:
            pass  # raised below, without the cipher's own error
        raise GongCredentialsError(
            "tokens of this account can't be read with Airflow's present Fernet key: they were stored with "
            "another (give all workers the same [core] fernet_key, the old key after the new one)",
            calls=0,
            advice=CONNECT_AGAIN,
        )

    def _encrypted(self, text: str) -> str:
        return self._cipher.encrypt(text.encode()).decode()

    async def _run(self, statement: str, **parameters: Any) -> Any:
        return await self._database.run(statement, self._row | parameters)
