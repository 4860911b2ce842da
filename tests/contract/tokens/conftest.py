"""A token endpoint, and an account that renews its tokens there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gong_provider.db.engine import engine_for
from tests.support.token_service import TokenService
from tests.support.token_workers import Account, close_databases


@pytest.fixture
def tokens() -> Iterator[TokenService]:
    with TokenService() as service:
        yield service


@pytest.fixture
def account(database_url: str, tokens: TokenService) -> Iterator[Account]:
    yield Account(database_url, tokens.url, tokens.consent_token)
    close_databases()
    engine_for(database_url).dispose()
