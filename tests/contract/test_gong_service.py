"""The tests' own Gong answers as the sandbox does, and agrees with the contract; it adds only faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from starlette.testclient import TestClient

from include.gong.sandbox.api_variant import API_VARIANTS, ApiVariantName
from include.gong.sandbox.app import create_app
from include.gong.sandbox.world import World
from tests.contract.test_sandbox import FILTER_PATHS, contract
from tests.support import GongService

WORLD = World(users=30)
USER = WORLD.users[9]
ID = USER["id"]
SIZE = 20


@pytest.fixture(scope="module", params=["contract", "live"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[str, GongService, TestClient]]:
    """The service and the sandbox, of one variant and with the same users."""
    name: ApiVariantName = request.param
    variant = API_VARIANTS[name]
    app = create_app(
        WORLD, variant=name, access_key="k", access_key_secret="s", access_token=GongService.token,
        calls_per_second=0, page_size=SIZE,
    )  # fmt: skip
    sandbox = TestClient(app, headers={"Authorization": f"Bearer {GongService.token}"})
    users = [variant.render_user(user, True) for user in WORLD.users]
    avatars = [variant.render_user(user, True) for user in WORLD.avatars] if name == "live" else []
    histories = {
        user["id"]: list(map(variant.render_change, WORLD.history(user["id"]))) for user in WORLD.users
    }
    with GongService(users, histories, variant=name, page_size=SIZE, avatars=avatars) as service:
        yield FILTER_PATHS[name], service, sandbox


def comparable(response: Any) -> Any:
    """Return a response without what differs each time (ids, cursors) and without the words of a refusal."""
    body = {name: value for name, value in response.json().items() if name not in ("requestId", "errors")}
    if "cursor" in body.get("records", {}):
        body["records"]["cursor"] = "a cursor"
    return response.status_code, body, "errors" in response.json()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users", None),
        ("/users?includeAvatars=true", None),
        ("/users?cursor=forged", None),
        (f"/users/{ID}", None),
        (f"/users/{ID}/settings-history", None),
        ("/users/1", None),
        ("/no/such/path", None),
        ("FILTER", {}),
        ("FILTER", {"filter": {}}),
        ("FILTER", {"filter": {"userIds": [ID, "1"]}}),
        ("FILTER", {"filter": {"userIds": ["1"]}}),
        ("FILTER", {"filter": {"includeAvatars": True}}),
        ("FILTER", {"filter": {"createdFromDateTime": USER["created"]}}),
        ("FILTER", {"filter": {"createdToDateTime": USER["created"]}}),
        ("FILTER", {"filter": {"createdFromDateTime": "yesterday"}}),
        ("FILTER", {"filter": {}, "cursor": "forged"}),
    ],
    ids=json.dumps,
)
def test_it_answers_like_the_sandbox(both: Any, path: str, body: dict[str, Any] | None) -> None:
    filter_path, service, sandbox = both
    path = filter_path if path == "FILTER" else f"/v2{path}"
    method = "GET" if body is None else "POST"
    ours = requests.request(
        method, f"{service.base_url}{path}", json=body, timeout=10,
        headers={"Authorization": f"Bearer {service.token}"},
    )  # fmt: skip
    assert comparable(ours) == comparable(sandbox.request(method, path, json=body))


def test_its_second_page_is_the_sandboxs(both: Any) -> None:
    _, service, sandbox = both
    auth = {"Authorization": f"Bearer {service.token}"}

    def second(get: Any, address: str) -> Any:
        first = get(address, headers=auth).json()
        return comparable(get(address, headers=auth, params={"cursor": first["records"]["cursor"]}))

    assert second(requests.get, f"{service.base_url}/v2/users") == second(sandbox.get, "/v2/users")


def test_without_credentials_both_refuse(both: Any) -> None:
    _, service, sandbox = both
    assert requests.get(f"{service.base_url}/v2/users", timeout=10).status_code == 401
    assert sandbox.get("/v2/users", headers={"Authorization": ""}).status_code == 401


def test_each_of_its_responses_agrees_with_the_contract() -> None:
    users = [API_VARIANTS["contract"].render_user(user, True) for user in WORLD.users]
    histories = {user["id"]: WORLD.history(user["id"]) for user in users}
    schema = schemathesis.openapi.from_dict(contract())
    calls: list[tuple[str, dict[str, Any]]] = [("/users", {}), ("/users/{id}", {"id": "1"})]
    for path in ("/users/{id}", "/users/{id}/settings-history"):
        calls += [(path, {"id": user["id"]}) for user in users]
    with GongService(users, histories) as service:
        for path, parameters in calls:
            case = schema[path]["GET"].Case(path_parameters=parameters)
            case.call_and_validate(base_url=f"{service.base_url}/v2", auth=(service.key, service.secret))
