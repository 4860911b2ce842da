"""The benchmark's Gong responds like the sandbox, counts its calls, and enforces its rate limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests
from fastapi.testclient import TestClient

from benchmarks.company import Company
from benchmarks.harness import Account, service
from include.gong.sandbox.app import create_app
from include.gong.sandbox.world import Json, World

USERS = 130


@pytest.fixture(scope="module")
def fast() -> Iterator[str]:
    with service(Account(USERS)) as address:
        yield address


class SameCompany:
    """The benchmark's company with the interface of the sandbox's ``World``: in the contract's form."""

    def __init__(self, company: Company) -> None:
        self.users = [company.user(number) for number in range(company.users)]
        self.avatars = company.avatars
        self._histories = {
            user["id"]: [_contract_change(change) for change in company.kind(number).changes]
            for number, user in enumerate(self.users)
        }

    def user(self, user_id: str) -> Json | None:
        return next((user for user in self.users if user["id"] == user_id), None)

    def history(self, user_id: str) -> list[Json]:
        return self._histories[user_id]


def _contract_change(change: Json) -> Json:
    name = change["setting"].replace("callsImported", "telephonyCallsImported")
    return {"settingName": name, "newValue": str(change["value"]).lower(), "changedAt": change["time"]}


@pytest.fixture(scope="module")
def sandbox() -> TestClient:
    app = create_app(
        cast("World", SameCompany(Company(USERS))),
        variant="live",
        access_key="key",
        access_key_secret="secret",
        access_token="token",
        calls_per_second=0,
    )
    return TestClient(app, headers={"Authorization": "Bearer token"}, raise_server_exceptions=False)


def send(address: str, path: str, body: Any = None) -> requests.Response:
    method = "GET" if body is None else "POST"
    return requests.request(method, f"{address}/v2{path}", json=body, auth=("any", "key"), timeout=10)


def comparable(response: Any) -> Any:
    """Return a response without the parts that differ each time: ids, cursors and error texts."""
    body = {name: value for name, value in response.json().items() if name != "requestId"}
    if "records" in body and "cursor" in body["records"]:
        body["records"]["cursor"] = "a cursor"
    if response.status_code == 400:
        body["errors"] = len(body["errors"])
    return response.status_code, body, response.headers["content-type"]


ID = Company(USERS).user_id(17)
REQUESTS: list[tuple[str, Any]] = [
    ("/users", None),
    ("/users?includeAvatars=true", None),
    (f"/users/{ID}", None),
    (f"/users/{ID}/settings-history", None),
    ("/users/extensive", {"filter": {"userIds": [Company(USERS).user_id(50), ID]}}),
    ("/users/extensive", {"filter": {"userIds": [ID], "includeAvatars": True}}),
    ("/users/extensive", {"filter": {"includeAvatars": True}}),
    ("/users/extensive", {"filter": {"createdFromDateTime": "2022-01-01T00:00:00Z"}}),
    ("/users/extensive", {"filter": {"createdToDateTime": "2022-01-01T00:00:00Z"}}),
    ("/users/extensive", {"filter": {"userIds": ["1"]}}),
    ("/users/extensive", {}),
    ("/users/1", None),
    ("/users/1/settings-history", None),
    ("/users?cursor=forged", None),
]


@pytest.mark.parametrize(("path", "body"), REQUESTS, ids=str)
def test_it_responds_like_the_sandbox(
    fast: str, sandbox: TestClient, path: str, body: dict[str, Any] | None
) -> None:
    theirs = sandbox.request("GET" if body is None else "POST", f"/v2{path}", json=body)
    ours = send(fast, path, body)
    assert comparable(ours) == comparable(theirs)
    assert "date" in ours.headers


def test_the_last_page_is_like_the_sandboxs(fast: str, sandbox: TestClient) -> None:
    first, theirs = send(fast, "/users"), sandbox.get("/v2/users")
    pages = [
        send(fast, f"/users?cursor={first.json()['records']['cursor']}"),
        sandbox.get("/v2/users", params={"cursor": theirs.json()["records"]["cursor"]}),
    ]
    assert comparable(pages[0]) == comparable(pages[1])
    assert len(pages[0].json()["users"]) == USERS - 100


def test_pages_have_each_expected_user_once(fast: str) -> None:
    pages = [send(fast, "/users").json()]
    while cursor := pages[-1]["records"].get("cursor"):
        pages.append(send(fast, f"/users?cursor={cursor}").json())
    users = [user for page in pages for user in page["users"]]
    assert [len(page["users"]) for page in pages] == [100, 30]
    assert [(user["id"], user["emailAddress"]) for user in users] == list(Company(USERS).user_rows())
    assert {user["managerId"] for user in users[1:]} <= {user["id"] for user in users}


def test_histories_lead_to_the_current_settings(fast: str) -> None:
    company = Company(USERS)
    for number in range(USERS):
        user, state = company.user(number), dict[str, bool]()
        for change in send(fast, f"/users/{user['id']}/settings-history").json()["userSettingsHistory"]:
            name = change["setting"].replace("callsImported", "telephonyCallsImported")
            assert state.get(name) is not change["value"], "a change changes something"
            state[name] = change["value"]
        now = user["settings"] | {"active": user["active"]}
        assert {name: now[name] for name in state} == state


def test_a_company_has_the_documented_number_of_rows() -> None:
    assert 10_000 + sum(1 for _ in Company(10_000).change_rows()) == 55_730
    rows = list(Company(300).change_rows())
    assert len(set(rows)) == len(rows)
    assert sum(1 for _ in Company(3, changes_each=5000).change_rows()) == 15_000


def test_it_counts_and_never_exceeds_its_rate() -> None:
    with service(Account(3, rate=5)) as address:
        responses = [send(address, "/users") for _ in range(12)]
        counts = requests.get(f"{address}/bench/counts", timeout=10).json()
    assert [response.status_code for response in responses].count(200) == 5
    assert {response.headers.get("Retry-After") for response in responses[5:]} == {"1"}
    assert (counts["calls"], counts["users"], counts["refused"]) == (12, 12, 7)


def test_it_requires_credentials(fast: str) -> None:
    assert requests.get(f"{fast}/v2/users", timeout=10).status_code == 401


def test_it_responds_after_its_latency() -> None:
    with service(Account(3, latency_s=0.2)) as address:
        assert send(address, "/users").elapsed.total_seconds() >= 0.2
