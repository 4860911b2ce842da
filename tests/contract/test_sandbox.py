"""The sandbox behaves like Gong in both API variants, and every response agrees with the contract."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from starlette.testclient import TestClient

from include.gong.sandbox.api_variant import ApiVariantName
from include.gong.sandbox.app import create_app
from include.gong.sandbox.gate import SCOPELESS_KEY
from include.gong.sandbox.world import World

ROOT = Path(__file__).parents[2]
CONTRACT = Path(__file__).parent / "gong-users-openapi.yml"
WORLD = World(users=50)
AUTH = ("key", "secret")
FILTER_PATHS = {"contract": "/v2/users/filter", "live": "/v2/users/extensive"}


def sandbox(
    variant: ApiVariantName, world: World = WORLD, *, calls_per_second: float = 0, cursor_ttl_s: float = 60
) -> TestClient:
    app = create_app(
        world,
        variant=variant,
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
def gong(variant: ApiVariantName) -> TestClient:
    return sandbox(variant)


def pages(gong: TestClient, **query: str) -> Iterator[dict[str, Any]]:
    while True:
        response = gong.get("/v2/users", params=query).json()
        yield response
        if "cursor" not in response["records"]:
            return
        query["cursor"] = response["records"]["cursor"]


def errors(response: Any, status: int) -> list[str]:
    assert response.status_code == status
    assert response.json().keys() == {"requestId", "errors"}
    texts: list[str] = response.json()["errors"]
    return texts


def test_paging_reaches_every_user_once(gong: TestClient) -> None:
    responses = list(pages(gong))
    assert [user["id"] for response in responses for user in response["users"]] == [
        u["id"] for u in WORLD.users
    ]
    assert [response["records"]["currentPageSize"] for response in responses] == [20, 20, 10]
    assert {response["records"]["totalRecords"] for response in responses} == {50}


def test_filtered_paging_reaches_every_user_once(gong: TestClient, variant: ApiVariantName) -> None:
    body: dict[str, Any] = {"filter": {"createdFromDateTime": "2000-01-01T00:00:00Z"}}
    found = []
    while "cursor" not in body or body["cursor"]:
        response = gong.post(FILTER_PATHS[variant], json=body).json()
        found += [user["id"] for user in response["users"]]
        body["cursor"] = response["records"].get("cursor")
    assert found == [user["id"] for user in WORLD.users]


def test_created_bounds_are_inclusive_from_and_exclusive_to(
    gong: TestClient, variant: ApiVariantName
) -> None:
    user = WORLD.users[9]

    def found(**bounds: str) -> list[str]:
        filters = {"userIds": [user["id"]], **bounds}
        response = gong.post(FILTER_PATHS[variant], json={"filter": filters}).json()
        return [found["id"] for found in response.get("users", [])]

    assert found(createdFromDateTime=user["created"]) == [user["id"]]
    assert found(createdToDateTime=user["created"]) == []


@pytest.mark.parametrize("cursor_ttl_s", [60, 0])
def test_forged_and_expired_cursors_are_refused(variant: ApiVariantName, cursor_ttl_s: int) -> None:
    gong = sandbox(variant, cursor_ttl_s=cursor_ttl_s)
    cursor = gong.get("/v2/users").json()["records"]["cursor"]
    if cursor_ttl_s:
        assert gong.get("/v2/users", params={"cursor": cursor}).status_code == 200
        errors(gong.get("/v2/users", params={"cursor": f"x{cursor}"}), 400)
    else:
        errors(gong.get("/v2/users", params={"cursor": cursor}), 400)


def test_a_cursor_is_valid_only_for_its_own_query(gong: TestClient) -> None:
    cursor = gong.get("/v2/users").json()["records"]["cursor"]
    errors(gong.get("/v2/users", params={"cursor": cursor, "includeAvatars": "true"}), 400)


def test_a_lone_surrogate_is_no_id_and_no_cursor(gong: TestClient, variant: ApiVariantName) -> None:
    def post(body: bytes) -> Any:
        json_type = {"Content-Type": "application/json"}
        return gong.post(FILTER_PATHS[variant], content=body, headers=json_type)

    none_found = post(rb'{"filter": {"userIds": ["\ud800"]}}')
    assert none_found.status_code == (200 if variant == "contract" else 404)
    errors(post(rb'{"filter": {}, "cursor": "\ud800"}'), 400)


def test_a_call_over_the_limit_gets_a_retry_after(variant: ApiVariantName) -> None:
    gong = sandbox(variant, calls_per_second=3)
    responses = [gong.get("/v2/users/1") for _ in range(4)]
    assert [response.status_code for response in responses] == [404, 404, 404, 429]
    errors(responses[-1], 429)
    assert responses[-1].headers["Retry-After"] == "1"


def test_the_three_kinds_of_404_differ(gong: TestClient, variant: ApiVariantName) -> None:
    assert errors(gong.get("/v2/users/1"), 404) == ["User not found"]
    assert errors(gong.get("/v2/users/1/settings-history"), 404) == ["User not found"]
    assert errors(gong.get("/v3/users"), 404) == ["Not Found"]
    none_found = gong.post(FILTER_PATHS[variant], json={"filter": {"userIds": ["1"]}})
    if variant == "live":
        assert errors(none_found, 404) == ["No users found corresponding to the provided filters"]
    else:
        assert none_found.json()["users"] == []


def test_an_empty_account_is_an_empty_list(variant: ApiVariantName) -> None:
    response = sandbox(variant, World(users=0)).get("/v2/users")
    assert (response.status_code, response.json()["users"]) == (200, [])


def test_every_refusal_has_gongs_error_body(gong: TestClient, variant: ApiVariantName) -> None:
    path = FILTER_PATHS[variant]
    errors(gong.delete("/v2/users"), 405)
    errors(gong.get("/v2/users", params={"includeAvatars": "perhaps"}), 400)
    errors(gong.post(path, content=b"{", headers={"Content-Type": "application/json"}), 400)
    errors(gong.post(path, json={"filter": {"createdFromDateTime": "yesterday"}}), 400)
    errors(gong.post(path, json={"filter": {"userIds": "1"}}), 400)


def test_access(gong: TestClient) -> None:
    assert gong.get("/v2/users", auth=None, headers={"Authorization": "Bearer token"}).status_code == 200
    gong.auth = None
    errors(gong.get("/v2/users"), 401)
    errors(gong.get("/v2/users", auth=("key", "wrong")), 401)
    errors(gong.get("/v2/users", auth=("wrong", "secret")), 401)
    errors(gong.get("/v2/users", headers={"Authorization": "Bearer wrong"}), 401)
    errors(gong.get("/v2/users", auth=(SCOPELESS_KEY, "secret")), 403)


def test_histories_end_in_todays_settings(gong: TestClient, variant: ApiVariantName) -> None:
    names = ("settingName", "newValue") if variant == "contract" else ("setting", "value")
    for user in WORLD.users:
        shown = gong.get(f"/v2/users/{user['id']}").json()["user"]
        history = gong.get(f"/v2/users/{user['id']}/settings-history").json()["userSettingsHistory"]
        today = shown["settings"] | {"active": shown["active"]}
        today["callsImported"] = today["telephonyCallsImported"]
        for name, value in ((change[names[0]], change[names[1]]) for change in history):
            last = [change for change in history if change[names[0]] == name][-1]
            assert last[names[1]] in (today[name], str(today[name]).lower()), (name, value)


def test_each_change_starts_from_the_value_of_the_one_before() -> None:
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
    responses = list(pages(sandbox("live"), includeAvatars="true"))
    ids = [user["id"] for response in responses for user in response["users"]]
    assert ids == [user["id"] for user in [*WORLD.users, *WORLD.avatars]]
    assert not any("avatarUrl" in user for response in responses for user in response["users"])


def test_the_live_service_requires_a_filter() -> None:
    errors(sandbox("live").post("/v2/users/extensive", json={}), 400)
    errors(sandbox("live").post("/v2/users/filter", json={"filter": {}}), 405)


def test_the_same_seed_is_the_same_world() -> None:
    again, other = World(users=50), World(seed=8, users=50)
    assert (again.users, again.avatars) == (WORLD.users, WORLD.avatars)
    assert [again.history(u["id"]) for u in again.users] == [WORLD.history(u["id"]) for u in WORLD.users]
    assert other.users != WORLD.users


def test_each_day_adds_a_change_and_leaves_the_past_as_it_was() -> None:
    def on(day: int) -> World:
        return World(clock=lambda: datetime(2026, 12, day, 12, tzinfo=UTC))

    first, later = on(1), on(20)
    assert len(first.users) == len(later.users) == 250
    stayed = {user["id"] for user in first.users} & {user["id"] for user in later.users}
    assert 250 - 3 <= len(stayed) < 250, "some leave, and others join"
    for user_id in stayed:
        known = first.history(user_id)
        assert later.history(user_id)[: len(known)] == known
    days = {change["changedAt"][:10] for user in later.users for change in later.history(user["id"])}
    assert {f"2026-12-{day:02}" for day in range(15, 20)} <= days
    assert "2026-12-20" not in days, "changes end yesterday"


def test_every_kind_of_finding_is_in_the_company() -> None:
    world = World(clock=lambda: datetime(2026, 12, 1, 12, tzinfo=UTC))
    recorded, importing, conflicts = [], [], []
    for user in world.users:
        settings = user["settings"]
        is_recorded = settings["webConferencesRecorded"] and not settings["preventWebConferenceRecording"]
        recorded.append((user["active"], is_recorded, "meetingConsentPageUrl" in user))
        importing.append(not user["active"] and settings["telephonyCallsImported"])
        ends = {change["settingName"]: change["newValue"] == "true" for change in world.history(user["id"])}
        shown = settings | {"active": user["active"]}
        conflicts += [name for name, value in ends.items() if shown[name] != value]
    assert {(True, True, False), (True, False, True)} <= set(recorded)
    assert any(importing)
    assert conflicts == ["telephonyCallsImported"]


def test_the_command_prints_when_it_listens_and_stops_at_once() -> None:
    command = [sys.executable, "-m", "include.gong.sandbox", "--users", "3", "--variant", "live"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if process.stdout else ""
        url = line.split()[2]
        assert line == f"sandbox ready {url} variant=live users=3\n"
        request = urllib.request.Request(f"{url}/v2/users", headers={"Authorization": "Bearer sandbox-token"})
        with urllib.request.urlopen(request) as response:
            assert "Date" in response.headers
            assert len(json.load(response)["users"]) == 3
        process.send_signal(signal.SIGTERM)
        process.wait(5)


def contract() -> dict[str, Any]:
    """The contract, with two things that it leaves out.

    Any endpoint may respond with 400 (Gong's public reference says so), and cursors can't be generated:
    without one from a response there is only the empty one.
    """
    found: dict[str, Any] = yaml.safe_load(CONTRACT.read_text())
    no_cursor = {"type": "string", "enum": [""]}
    found["components"]["schemas"]["UsersFilterRequest"]["properties"]["cursor"] = no_cursor
    found["paths"]["/users"]["get"]["parameters"][0]["schema"] = no_cursor
    bad_request = found["paths"]["/users/filter"]["post"]["responses"]["400"]
    for operations in found["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("400", bad_request)
    return found


schema = schemathesis.openapi.from_dict(contract())
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
        response = case.call_and_validate(auth=AUTH)
        assert response.status_code == 200
