"""The sandbox behaves as Gong does, in both dialects, and agrees with the contract whatever it is asked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from starlette.testclient import TestClient

from include.gong.sandbox.api_variant import DialectName
from include.gong.sandbox.app import create_app
from include.gong.sandbox.gate import SCOPELESS_KEY
from include.gong.sandbox.world import World

ROOT = Path(__file__).parents[2]
CONTRACT = Path(__file__).parent / "gong-users-openapi.yml"
WORLD = World(users=50)
AUTH = ("key", "secret")
FILTER_PATHS = {"contract": "/v2/users/filter", "live": "/v2/users/extensive"}


def sandbox(
    dialect: DialectName, world: World = WORLD, *, calls_per_second: float = 0, cursor_ttl_s: float = 60
) -> TestClient:
    app = create_app(
        world,
        dialect=dialect,
        access_key="key",
        access_key_secret="secret",
        access_token="token",
        calls_per_second=calls_per_second,
        page_size=20,
        cursor_ttl_s=cursor_ttl_s,
    )
    client = TestClient(app, raise_server_exceptions=False)
    client.auth = AUTH
    return client


@pytest.fixture
def gong(dialect: DialectName) -> TestClient:
    return sandbox(dialect)


def pages(gong: TestClient, **query: str) -> Iterator[dict[str, Any]]:
    while True:
        answer = gong.get("/v2/users", params=query).json()
        yield answer
        if "cursor" not in answer["records"]:
            return
        query["cursor"] = answer["records"]["cursor"]


def errors(response: Any, status: int) -> list[str]:
    assert response.status_code == status
    assert response.json().keys() == {"requestId", "errors"}
    said: list[str] = response.json()["errors"]
    return said


def test_paging_reaches_every_user_once(gong: TestClient) -> None:
    answers = list(pages(gong))
    assert [user["id"] for answer in answers for user in answer["users"]] == [u["id"] for u in WORLD.users]
    assert [answer["records"]["currentPageSize"] for answer in answers] == [20, 20, 10]
    assert {answer["records"]["totalRecords"] for answer in answers} == {50}


def test_filtered_paging_reaches_every_user_once(gong: TestClient, dialect: DialectName) -> None:
    body: dict[str, Any] = {"filter": {"createdFromDateTime": "2000-01-01T00:00:00Z"}}
    found = []
    while "cursor" not in body or body["cursor"]:
        answer = gong.post(FILTER_PATHS[dialect], json=body).json()
        found += [user["id"] for user in answer["users"]]
        body["cursor"] = answer["records"].get("cursor")
    assert found == [user["id"] for user in WORLD.users]


def test_created_bounds_are_inclusive_from_and_exclusive_to(gong: TestClient, dialect: DialectName) -> None:
    user = WORLD.users[9]

    def found(**bounds: str) -> list[str]:
        wanted = {"userIds": [user["id"]], **bounds}
        answer = gong.post(FILTER_PATHS[dialect], json={"filter": wanted}).json()
        return [found["id"] for found in answer.get("users", [])]

    assert found(createdFromDateTime=user["created"]) == [user["id"]]
    assert found(createdToDateTime=user["created"]) == []


@pytest.mark.parametrize("cursor_ttl_s", [60, 0])
def test_forged_and_expired_cursors_are_refused(dialect: DialectName, cursor_ttl_s: int) -> None:
    gong = sandbox(dialect, cursor_ttl_s=cursor_ttl_s)
    cursor = gong.get("/v2/users").json()["records"]["cursor"]
    if cursor_ttl_s:
        assert gong.get("/v2/users", params={"cursor": cursor}).status_code == 200
        errors(gong.get("/v2/users", params={"cursor": f"x{cursor}"}), 400)
    else:
        errors(gong.get("/v2/users", params={"cursor": cursor}), 400)


def test_a_cursor_fits_only_the_question_it_came_from(gong: TestClient) -> None:
    cursor = gong.get("/v2/users").json()["records"]["cursor"]
    errors(gong.get("/v2/users", params={"cursor": cursor, "includeAvatars": "true"}), 400)


def test_half_a_surrogate_pair_is_nobodys_id_and_no_cursor(gong: TestClient, dialect: DialectName) -> None:
    def asked(body: bytes) -> Any:
        json_type = {"Content-Type": "application/json"}
        return gong.post(FILTER_PATHS[dialect], content=body, headers=json_type)

    nobody = asked(rb'{"filter": {"userIds": ["\ud800"]}}')
    assert nobody.status_code == (200 if dialect == "contract" else 404)
    errors(asked(rb'{"filter": {}, "cursor": "\ud800"}'), 400)


def test_what_is_over_the_limit_is_told_when_to_come_back(dialect: DialectName) -> None:
    gong = sandbox(dialect, calls_per_second=3)
    answers = [gong.get("/v2/users/1") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    errors(answers[-1], 429)
    assert answers[-1].headers["Retry-After"] == "1"


def test_the_three_kinds_of_404_differ(gong: TestClient, dialect: DialectName) -> None:
    assert errors(gong.get("/v2/users/1"), 404) == ["User not found"]
    assert errors(gong.get("/v2/users/1/settings-history"), 404) == ["User not found"]
    assert errors(gong.get("/v3/users"), 404) == ["Not Found"]
    nobody = gong.post(FILTER_PATHS[dialect], json={"filter": {"userIds": ["1"]}})
    if dialect == "live":
        assert errors(nobody, 404) == ["No users found corresponding to the provided filters"]
    else:
        assert nobody.json()["users"] == []


def test_an_empty_account_is_an_empty_list(dialect: DialectName) -> None:
    answer = sandbox(dialect, World(users=0)).get("/v2/users")
    assert (answer.status_code, answer.json()["users"]) == (200, [])


def test_every_refusal_has_gongs_error_body(gong: TestClient, dialect: DialectName) -> None:
    path = FILTER_PATHS[dialect]
    errors(gong.delete("/v2/users"), 405)
    errors(gong.get("/v2/users", params={"includeAvatars": "perhaps"}), 400)
    errors(gong.post(path, content=b"{", headers={"Content-Type": "application/json"}), 400)
    errors(gong.post(path, json={"filter": {"createdFromDateTime": "yesterday"}}), 400)
    errors(gong.post(path, json={"filter": {"userIds": "1"}}), 400)


def test_who_may_come_in(gong: TestClient) -> None:
    assert gong.get("/v2/users", auth=None, headers={"Authorization": "Bearer token"}).status_code == 200
    gong.auth = None
    errors(gong.get("/v2/users"), 401)
    errors(gong.get("/v2/users", auth=("key", "wrong")), 401)
    errors(gong.get("/v2/users", auth=("wrong", "secret")), 401)
    errors(gong.get("/v2/users", headers={"Authorization": "Bearer wrong"}), 401)
    errors(gong.get("/v2/users", auth=(SCOPELESS_KEY, "secret")), 403)


def test_histories_end_in_todays_settings(gong: TestClient, dialect: DialectName) -> None:
    names = ("settingName", "newValue") if dialect == "contract" else ("setting", "value")
    for user in WORLD.users:
        shown = gong.get(f"/v2/users/{user['id']}").json()["user"]
        history = gong.get(f"/v2/users/{user['id']}/settings-history").json()["userSettingsHistory"]
        today = shown["settings"] | {"active": shown["active"]}
        today["callsImported"] = today["telephonyCallsImported"]
        for name, value in ((change[names[0]], change[names[1]]) for change in history):
            last = [change for change in history if change[names[0]] == name][-1]
            assert last[names[1]] in (today[name], str(today[name]).lower()), (name, value)


def test_each_change_starts_from_what_the_one_before_left() -> None:
    for user in WORLD.users:
        left: dict[str, str] = {}
        for change in WORLD.history(user["id"]):
            name = change["settingName"]
            assert change["previousValue"] == left.get(name, change["previousValue"]) != change["newValue"]
            left[name] = change["newValue"]


def test_the_contract_adds_avatar_urls_on_demand() -> None:
    gong = sandbox("contract")
    assert not any("avatarUrl" in user for page in pages(gong) for user in page["users"])
    assert all("avatarUrl" in user for page in pages(gong, includeAvatars="true") for user in page["users"])


def test_the_live_service_adds_synthetic_users_on_demand() -> None:
    answers = list(pages(sandbox("live"), includeAvatars="true"))
    ids = [user["id"] for answer in answers for user in answer["users"]]
    assert ids == [user["id"] for user in [*WORLD.users, *WORLD.avatars]]
    assert not any("avatarUrl" in user for answer in answers for user in answer["users"])


def test_the_live_service_requires_a_filter() -> None:
    errors(sandbox("live").post("/v2/users/extensive", json={}), 400)
    errors(sandbox("live").post("/v2/users/filter", json={"filter": {}}), 405)


def test_the_same_seed_is_the_same_world() -> None:
    again, other = World(users=50), World(seed=8, users=50)
    assert (again.users, again.avatars) == (WORLD.users, WORLD.avatars)
    assert [again.history(u["id"]) for u in again.users] == [WORLD.history(u["id"]) for u in WORLD.users]
    assert other.users != WORLD.users


def test_the_command_says_when_it_listens_and_stops_at_once() -> None:
    command = [sys.executable, "-m", "include.gong.sandbox", "--users", "3", "--dialect", "live"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        url = line.split()[2]
        assert line == f"sandbox ready {url} dialect=live users=3\n"
        request = urllib.request.Request(f"{url}/v2/users", headers={"Authorization": "Bearer sandbox-token"})
        with urllib.request.urlopen(request) as answer:
            assert "Date" in answer.headers
            assert len(json.load(answer)["users"]) == 3
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def _contract() -> dict[str, Any]:
    """The contract, with two things that it leaves out.

    Any endpoint may answer 400 (Gong's public reference says so), and a cursor can't be made up:
    without an answer that held one there is only the empty one.
    """
    contract: dict[str, Any] = yaml.safe_load(CONTRACT.read_text())
    no_cursor = {"type": "string", "enum": [""]}
    contract["components"]["schemas"]["UsersFilterRequest"]["properties"]["cursor"] = no_cursor
    contract["paths"]["/users"]["get"]["parameters"][0]["schema"] = no_cursor
    bad_request = contract["paths"]["/users/filter"]["post"]["responses"]["400"]
    for operations in contract["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("400", bad_request)
    return contract


schema = schemathesis.openapi.from_dict(_contract())
schema.app = sandbox("contract").app
schema.config.update(base_url="http://sandbox/v2")


thoroughly = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


# Each by itself: schemathesis gives all operations of one function the same node id, of which xdist runs one.
@schema.include(method="GET", path="/users").parametrize()
@thoroughly
def test_a_page_of_users_agrees_with_the_contract(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(auth=AUTH)


@schema.include(method="GET", path="/users/{id}").parametrize()
@thoroughly
def test_a_user_agrees_with_the_contract(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(auth=AUTH)


@schema.include(method="GET", path="/users/{id}/settings-history").parametrize()
@thoroughly
def test_a_history_agrees_with_the_contract(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(auth=AUTH)


@schema.include(method="POST", path="/users/filter").parametrize()
@thoroughly
def test_a_page_by_filter_agrees_with_the_contract(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(auth=AUTH)


@pytest.mark.parametrize("path", ["/users/{id}", "/users/{id}/settings-history"])
def test_every_user_of_the_world_agrees_with_the_contract(path: str) -> None:
    for user in WORLD.users:
        case = schema[path]["GET"].Case(path_parameters={"id": user["id"]})
        answer = case.call_and_validate(auth=AUTH)
        assert answer.status_code == 200
