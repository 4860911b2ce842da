"""The sandbox's token endpoint behaves like Gong's, and the provider renews tokens there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from gong_provider.client.client import GongClient, HttpOptions
from gong_provider.rate_limit.base import Limits
from gong_provider.rate_limit.in_process import InProcessRateLimiter
from include.gong.sandbox.app import create_app
from include.gong.sandbox.oauth import PATH, OAuth
from include.gong.sandbox.world import World
from tests.support.token_service import TokenService
from tests.support.token_workers import Account, close_databases

WORLD = World(users=5)
APP = (TokenService.client_id, TokenService.client_secret)


def app(life_s: float = 60, first: str = "first") -> Any:
    return create_app(
        WORLD,
        access_key="key",
        access_key_secret="secret",
        access_token="token",
        calls_per_second=0,
        oauth=OAuth(*APP, first, life_s),
    )


def renewed(gong: TestClient, refresh_token: str, app: tuple[str, str] = APP) -> tuple[int, dict[str, Any]]:
    query = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    response = gong.post(PATH, params=query, auth=app)
    return response.status_code, response.json()


def status(gong: TestClient, token: str) -> int:
    return int(gong.get("/v2/users", headers={"Authorization": f"Bearer {token}"}).status_code)


def test_a_refresh_token_is_good_once_and_gives_the_next_pair() -> None:
    gong = TestClient(app())
    _, first = renewed(gong, "first")
    assert first.keys() == {
        "access_token", "refresh_token", "token_type", "expires_in", "scope", "api_base_url_for_customer",
    }  # fmt: skip
    assert status(gong, first["access_token"]) == 200
    assert renewed(gong, first["refresh_token"])[0] == 200
    for used in ("first", first["refresh_token"], "made up", first["access_token"]):
        code, body = renewed(gong, used)
        assert (code, body["error"]) == (400, "invalid_grant")


def test_only_the_app_may_renew_and_only_valid_access_tokens_may_read() -> None:
    gong = TestClient(app(life_s=0))
    code, body = renewed(gong, "first", ("app-id", "wrong"))
    assert (code, body["error"]) == (401, "invalid_client")
    assert gong.post(PATH, auth=APP).json()["error"] == "unsupported_grant_type"
    _, pair = renewed(gong, "first")
    assert [status(gong, token) for token in (pair["access_token"], pair["refresh_token"], "x")] == [401] * 3


@pytest.fixture
def address() -> Iterator[str]:
    """A sandbox on a real port, whose tokens are valid for a second."""
    server = uvicorn.Server(uvicorn.Config(app(life_s=1), port=0, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_the_provider_renews_at_the_sandbox(address: str, database_url: str) -> None:
    account = Account(database_url, f"{address}{PATH}", "first")

    async def work() -> list[int]:
        client = GongClient(
            http_options=HttpOptions(),
            credentials=account.credentials(),
            rate_limiter=InProcessRateLimiter(Limits(0, 0)),
        )
        counts = []
        for _ in range(3):
            counts.append(len((await client.list_users()).users))
            await asyncio.sleep(0.9)
        await client.close()
        return counts

    assert asyncio.run(work()) == [5] * 3
    assert account.row().generation >= 3
    close_databases()
