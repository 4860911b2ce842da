"""`make check-live`: the report on each kind of account, its number of calls, and no personal data in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from include.gong.check_live import wire
from include.gong.check_live.calls import MAX_CALLS, HttpExchange
from include.gong.check_live.check import check
from include.gong.check_live.finding import order
from include.gong.check_live.survey import Survey
from include.gong.local.settings import LocalError
from include.gong.sandbox.__main__ import DEMO_KEY, DEMO_SECRET
from include.gong.sandbox.api_variant import ApiVariantName
from include.gong.sandbox.world import World
from tests.support.gong_faults import Faults
from tests.support.gong_service import GongService
from tests.support.hooks import Connect
from tests.support.ports import closed_port

ROOT = Path(__file__).parents[2]

ALIKE = {
    "order of a history": "oldest first",
    "a history's first entry": "a change, in all 5 sampled",
    "no such path": "405 with errors in JSON",
    "order of the list": "neither by id nor by creation",
    "cursor": "no JWT with exp",
    "Date header": "with each response",
    "Gong's clock": "within 2 s of ours",
    "unknown fields": "none",
}
ANSWERS: dict[ApiVariantName, dict[str, str]] = {
    "contract": {
        "API variant of histories": "contract",
        "filter path": "/users/filter",
        "a filter without match": "200 []",
        "pages": "of 100 users; the first is number 1",
        "totalRecords": "the same with and without avatars",
    },
    "live": {
        "API variant of histories": "live",
        "filter path": "/users/extensive",
        "a filter without match": '404 "No users found"',
        "pages": "of 100 users; the first is number 0",
        "totalRecords": "3 more when avatars are requested",
    },
}


def run(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as `make check-live` does."""
    environment = {**os.environ, "GONG_LOCAL_DIR": str(directory), "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"}
    command = [sys.executable, "-m", "include.gong.check_live"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def answers(printed: str) -> dict[str, str]:
    """Return the observations by topic."""
    rows = [line[2:].split(" | ") for line in printed.splitlines() if " | " in line]
    return {question.strip(): seen for question, _, seen in rows[1:]}


def differing(printed: str) -> set[str]:
    return {line[2:].split(" | ")[0].strip() for line in printed.splitlines() if line.startswith("! ")}


def assert_holds_nothing_of(value: Any, printed: str) -> None:
    """Check that no text of the data is in the report."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            assert_holds_nothing_of(item, printed)
    elif isinstance(value, str) and value:
        assert not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", printed), "something of a person is printed"


def user(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"90000000000000{number:06d}",
        "emailAddress": f"xanthippe.{number}@corp.example",
        "firstName": f"Xanthippe{number}",
        "created": f"2024-01-01T00:{number // 60:02d}:{number % 60:02d}Z",
        **fields,
    }


def test_a_sandbox_of_each_variant_is_as_assumed(
    variant: ApiVariantName, connect: Connect, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "include.gong.sandbox", "--variant", variant]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        sandbox = process.stdout.readline().split()[2] if process.stdout else ""
        connect(sandbox, login=DEMO_KEY, password=DEMO_SECRET)
        done = run(tmp_path)
        process.terminate()
    assert (done.returncode, done.stderr) == (0, "")
    seen = answers(done.stdout)
    assert sandbox.removeprefix("http://") in seen.pop("connection")
    assert re.fullmatch(r"median \d\.\d\d s, worst \d\.\d\d s", seen.pop("latency"))
    assert seen == ALIKE | ANSWERS[variant]
    assert differing(done.stdout) == {"cursor"}  # the sandbox's are opaque
    assert " 12 calls " in done.stdout
    world = World()
    histories = [world.history(user["id"]) for user in world.users]
    assert_holds_nothing_of([world.users, world.avatars, histories], done.stdout)


def test_a_token_in_a_uri_works_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with GongService() as service:
        address = service.base_url.removeprefix("http://")
        monkeypatch.setenv(
            "AIRFLOW_CONN_GONG_DEFAULT", f"gong://http://{address}?access_token={service.token}"
        )
        assert address in answers(check())["connection"]
        assert service.calls


def test_a_wrong_key_is_one_call_and_a_sentence(connect: Connect, tmp_path: Path) -> None:
    with GongService() as service:
        connect(service, login="wrong")
        done = run(tmp_path)
        assert len(service.calls) == 1
    assert (done.returncode, done.stdout) == (1, "")
    assert "401" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_connection_it_asks_for_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", "")
    done = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "AIRFLOW_CONN_GONG_DEFAULT" in done.stderr


@pytest.mark.parametrize(
    "given",
    [
        "{secret",
        '{"conn_type": "gong"}',
        '{"extra": {"refresh_token": "secret"}}',
        "gong://key:secret@127.0.0.1:{port}/http",
    ],
)
def test_a_connection_that_cant_be_used_is_one_line_without_secrets(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closed_port() as port:
        monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", given.replace("{port}", str(port)))
        with pytest.raises(LocalError) as caught:
            check()
    message = str(caught.value)
    assert "\n" not in message
    assert "secret" not in message.replace("access key secret", "").replace("client_secret", "")


def test_an_account_without_users(connect: Connect, variant: ApiVariantName) -> None:
    with GongService(variant=variant) as service:
        connect(service)
        printed = check()
    seen = answers(printed)
    assert seen["filter path"] == ANSWERS[variant]["filter path"]
    assert seen["a filter without match"] == ANSWERS[variant]["a filter without match"]
    assert seen["no such path"].startswith("404")
    assert differing(printed) == set()
    assert sum(line.startswith("? ") for line in printed.splitlines()) == 5
    assert " 5 calls " in printed.splitlines()[-1]


def test_differences_are_marked_and_explained(connect: Connect, variant: ApiVariantName) -> None:
    users = [user(n, favouriteColour="mauve", **{"jane@corp.example": 1}) for n in range(30)]
    is_live = variant == "live"
    names = ("setting", "value", "time") if is_live else ("settingName", "newValue", "changedAt")
    histories = {
        each["id"]: [
            dict(zip(names, ("active", False, "2025-01-01T00:00:00Z"), strict=True), previousValue="true"),
            dict(zip(names, ("active", True, each["created"]), strict=True)),
        ]
        for each in users
    }
    faults = Faults(total_records=33)
    with GongService(users, histories, variant=variant, page_size=20, faults=faults) as service:
        connect(service)
        printed = check()
    seen = answers(printed)
    assert seen["unknown fields"].startswith("user: favouriteColour,")
    assert differing(printed) == {
        "a history's first entry",
        "pages",
        "totalRecords",
        "cursor",
        "unknown fields",
    }
    assert printed.count("\n- ") == 5
    assert "jane" not in printed
    assert_holds_nothing_of([users, histories], printed)


def test_the_21st_call_is_never_made(connect: Connect) -> None:
    every_other = dict.fromkeys(range(2, 100, 2), 0.0)
    with GongService([user(n) for n in range(250)], faults=Faults(rate_limited_at=every_other)) as service:
        connect(service)
        printed = check()
        assert len(service.calls) == MAX_CALLS
    assert_holds_nothing_of(service.users, printed)


def test_an_exhausted_quota_ends_the_check(connect: Connect) -> None:
    with GongService([user(1)], faults=Faults(rate_limited_at={4: 9000.0})) as service:
        connect(service)
        printed = check()
        assert len(service.calls) == 4
    assert " 9000 s" in printed
    assert answers(printed)["API variant of histories"].startswith("unknown")


def test_users_whose_history_fails_are_not_named(connect: Connect) -> None:
    users = [user(n) for n in range(4)]
    faults = Faults(not_found=[users[0]["id"]], bad_history={each["id"]: 403 for each in users[1:]})
    with GongService(users, faults=faults) as service:
        connect(service)
        printed = check()
    assert re.findall(r"\d+", answers(printed)["order of a history"]) == ["403", "404"]
    assert_holds_nothing_of(users, printed)


def test_clocks_far_apart_differ() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    exchanges = [
        HttpExchange(200, format_datetime(now + timedelta(minutes=10)), now, now + timedelta(seconds=1))
    ]
    date, clock, *_ = wire.findings(Survey(exchanges=exchanges))
    assert not date.differs
    assert clock.differs
    assert clock.seen.startswith("600 s")
    exchanges += [
        HttpExchange(200, none, now, now) for none in (None, "Mon, 01 Jan 99999999999 00:00:00 GMT")
    ]
    date, clock, *_ = wire.findings(Survey(exchanges=exchanges))
    assert date.differs
    assert "1 of 3" in date.seen


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ("abc", "ascending"),
        ("cba", "descending"),
        ("aab", "ascending"),
        ("aba", "neither"),
        ("aa", ""),
        ("", ""),
    ],
)
def test_order(values: str, found: str) -> None:
    assert order(values) == found
