"""Security of the page: no code from data, no third-party content, no foreign frames."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text

from include.gong.page.lists import REPORTS
from include.gong.page.warehouse import Warehouse
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.histories import load_histories
from include.gong.warehouse.runs import RunKey
from tests.page.served import Markup, connection_to, open_page, served, served_from
from tests.warehouse.making import PROPAGATION_DELAY, history, load_page, opened

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></textarea><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "&lt;script&gt; &amp;quot;",
)
SETTING = "<b onclick=alert(1)>"
RUN = RunKey("gong_users_sync", '"><script>alert(2)</script>/../?#')
PATHS = [
    "/",
    "/users",
    "/users.csv",
    "/evidence.json/5",
    "/static/theme.js",
    "/nothing",
    "/users?limit=x",
    "/users/99",
]


def policy_of(response: httpx.Response) -> dict[str, list[str]]:
    parts = [part.split() for part in response.headers["content-security-policy"].split(";")]
    return {name: values for name, *values in parts}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", PATHS)
def test_each_response_has_strict_headers(page: httpx.Client, path: str, method: str) -> None:
    response = page.request(method, path)
    policy = policy_of(response)
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'self'"]
    assert policy["base-uri"] == ["'none'"]
    # Nothing inline, no eval, no host, no scheme.
    assert {value for values in policy.values() for value in values} == {"'self'", "'none'"}
    assert {"script-src", "style-src", "connect-src", "form-action"} <= set(policy)
    assert "x-frame-options" not in response.headers
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    is_file = path.startswith("/static") and method == "GET"
    assert response.headers["cache-control"] == ("private, no-cache" if is_file else "no-store")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("page.css", "text/css"), ("theme.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
def test_files_have_their_type_and_are_sent_once(page: httpx.Client, name: str, media_type: str) -> None:
    response = page.get(f"/static/{name}")
    assert response.headers["content-type"].split(";")[0] == media_type
    again = page.get(f"/static/{name}", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.fixture
def evil(warehouse: Engine) -> Engine:
    """People, settings and runs whose names are programs."""
    people = [
        {"id": f"{n}{name}", "firstName": name, "lastName": name, "emailAddress": name, "title": name,
         "managerId": f"0{EVIL[0]}", "phoneNumber": name, "emailAliases": [name], "active": True,
         "meetingConsentPageUrl": name, "settings": {"webConferencesRecorded": True}}
        for n, name in enumerate(EVIL)
    ]  # fmt: skip
    load_page(warehouse, people, listed=True)
    change = {"settingName": SETTING, "previousValue": EVIL[0], "newValue": EVIL[1],
              "changedAt": "2026-03-05T10:00:00Z", "changedBy": EVIL[2]}  # fmt: skip
    with transaction(warehouse) as connection:
        opened(connection, RUN)
        load_histories(connection, RUN, [history(f"0{EVIL[0]}", [change])], PROPAGATION_DELAY)
        connection.execute(
            text("""
                INSERT INTO check_results VALUES
                    (:dag_id, :run_id, :name, 'warning', false, 2, 0, :name, now())
            """),
            {"dag_id": RUN.dag_id, "run_id": RUN.run_id, "name": EVIL[1]},
        )
    return warehouse


def test_names_that_are_programs_are_never_run(evil: Engine) -> None:
    run = f"/runs/{RUN.dag_id}/{quote(RUN.run_id, safe='')}"
    people = [f"/users/{quote(f'{n}{name}', safe='')}" for n, name in enumerate(EVIL)]
    filtered = [f"/findings?why={quote(each, safe='')}" for each in EVIL]
    lists = [f"/{name}?since=2026-03-01" for name in REPORTS]
    searches = [f"/users?search={quote(each, safe='')}" for each in EVIL]
    unknown = [f"/users/{quote(each, safe='')}x" for each in EVIL]
    seen = ""
    with served_from(evil.url) as client:
        for path in ("/", run, "/data-quality", *people, *lists, *searches, *unknown, *filtered):
            response = client.get(path)
            assert response.status_code == (404 if path in unknown else 200), path
            markup = Markup(response.text)
            assert markup.inline() == [], path
            tags = {tag for tag, _, _ in markup.elements}
            assert not tags & {"img", "b", "textarea", "iframe", "object", "embed", "base"}, path
            assert all(address.startswith(("/", "?", "#")) for address in markup.addresses() if address), path
            seen += " ".join(" ".join(words) for _, _, words in markup.elements)
        followed = [
            address for address in Markup(client.get("/users").text).addresses() if "/users/" in address
        ]
        assert [client.get(address).status_code for address in followed] == [200] * len(followed)
    assert len(followed) >= 2 * len(EVIL) - 1
    for each in (*EVIL, RUN.run_id):
        assert each in seen


@pytest.mark.parametrize("at", ["/gong", "/airflow/gong"])
def test_every_address_stays_below_the_mount_path(company: Engine, at: str) -> None:
    airflow = FastAPI(root_path=at.removesuffix("/gong"))
    airflow.mount("/gong", open_page(Warehouse(connection_to(company.url))))
    found: set[str] = set()
    with served(airflow, at) as client:
        for path in (
            "/",
            "/users?on=2026-03-03",
            "/users/5",
            "/changes?since=2026-02-01",
            "/nothing",
        ):
            addresses = Markup(client.get(path).text).addresses()
            inside = [each for each in addresses if each and not each.startswith(("?", "#"))]
            assert len(inside) > 10
            assert all(each.startswith(f"{at}/") for each in inside), path
            found |= set(inside)
        root = str(client.base_url).removesuffix("/").removesuffix(at)
        lists = {each for each in found if "?on=" not in each}
        assert {each for each in lists if client.get(root + each).status_code != 200} == set()
