"""`airflow gong`: what each command prints for each kind of account, its calls, and no personal data."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.sdk.crypto import get_fernet
from cryptography.fernet import Fernet

from gong_provider import doctor
from gong_provider.client.models import UsersPage
from gong_provider.doctor import MAX_CALLS, Exchange, Result, Survey
from gong_provider.hooks.gong import GongHook
from include.gong.sandbox.__main__ import DEMO_KEY, DEMO_SECRET
from include.gong.sandbox.api_variant import ApiVariantName
from include.gong.sandbox.world import World
from tests.support.gong_faults import Faults
from tests.support.gong_service import GongService
from tests.support.hooks import Connect, ids_of, world
from tests.support.ports import closed_port
from tests.support.token_service import TokenService
from tests.support.wire_faults import instead

ROOT = Path(__file__).parents[2]

ALIKE = {
    "pages and histories": "all can be read",
    "a history's first entry": "a change, in all 5 sampled",
    "limits that all workers share": "not seen: counted in this process only",
    "no such path": "405 with errors in JSON",
    "cursor": "opaque",
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


class Ended(NamedTuple):
    """What a command printed, and its exit code or the error that it ends with."""

    out: str
    code: Any

    def seen(self) -> dict[str, str]:
        """The observations by topic, of ``doctor --json``."""
        return {finding["topic"]: finding["text"] for finding in json.loads(self.out)["findings"]}

    def differing(self) -> set[str]:
        return {finding["topic"] for finding in json.loads(self.out)["findings"] if finding["differs"]}


Gong = Callable[..., Ended]


@pytest.fixture
def gong(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Gong:
    """Runs a command as Airflow's parser does."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # the commands set it

    def run(*words: str) -> Ended:
        try:
            args = get_parser().parse_args(["gong", *words])
            args.func(args)
        except SystemExit as ended:
            return Ended(capsys.readouterr().out, ended.code)
        return Ended(capsys.readouterr().out, 0)

    return run


def assert_holds_nothing_of(value: Any, printed: str) -> None:
    """Check that no text of the data is in the output."""
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
    variant: ApiVariantName, connect: Connect, gong: Gong
) -> None:
    command = [sys.executable, "-m", "include.gong.sandbox", "--variant", variant]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        sandbox = process.stdout.readline().split()[2] if process.stdout else ""
        connect(sandbox, login=DEMO_KEY, password=DEMO_SECRET)
        ended, as_table = gong("doctor", "--json", "--strict"), gong("doctor")
        process.terminate()
    assert ended.code == as_table.code == 0
    seen = ended.seen()
    assert sandbox.removeprefix("http://") in seen.pop("connection")
    assert re.fullmatch(r"median \d\.\d\d s, worst \d\.\d\d s", seen.pop("latency"))
    assert seen == ALIKE | ANSWERS[variant]
    assert json.loads(ended.out)["calls"] == 12
    assert [topic for topic in seen if topic not in as_table.out] == []
    world = World(clock=lambda: datetime.now(UTC))
    histories = [world.history(user["id"]) for user in world.users]
    assert_holds_nothing_of([world.users, world.avatars, histories], as_table.out)


def test_a_token_in_a_uri_works_too(gong: Gong, monkeypatch: pytest.MonkeyPatch) -> None:
    with GongService() as service:
        address = service.base_url.removeprefix("http://")
        uri = f"gong://http://{address}?access_token={service.token}&coordination_conn_id=none"
        monkeypatch.setenv("AIRFLOW_CONN_ANOTHER", uri)
        assert address in gong("doctor", "--conn-id", "another", "--json").seen()["connection"]
        assert service.calls


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The Postgres that workers share, and Airflow's key."""
    monkeypatch.setenv("AIRFLOW_CONN_SHARED", database_url.replace("postgresql+psycopg2", "postgres"))
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", Fernet.generate_key().decode())
    get_fernet.cache_clear()
    yield
    get_fernet.cache_clear()


@pytest.mark.usefixtures("database")
def test_oauth_is_checked_with_the_tokens_that_all_workers_share(connect: Connect, gong: Gong) -> None:
    with TokenService() as tokens, GongService([user(1)], tokens=tokens) as service:
        app = {"client_id": tokens.client_id, "client_secret": tokens.client_secret}
        extra = {**app, "refresh_token": tokens.consent_token, "oauth_endpoint": tokens.url}
        connect(service, login="", password="", calls_per_day=99, coordination_conn_id="shared", **extra)
        for _ in range(2):
            ended = gong("doctor", "--json")
            assert ended.code == 0
            assert ended.seen()["limits that all workers share"] == "through Postgres"
        assert tokens.issued == 1
        assert json.loads(gong("quota", "--json").out)["used"] == len(service.calls) > 0


@pytest.mark.parametrize("words", [("doctor",), ("users", "get", "1"), ("users", "history", "1")])
def test_a_wrong_key_is_one_call_and_a_sentence(connect: Connect, gong: Gong, words: tuple[str, ...]) -> None:
    with GongService() as service:
        connect(service, login="wrong")
        ended = gong(*words)
        assert len(service.calls) == 1
    assert ended.out == ""
    assert "401" in ended.code
    assert "\n" not in ended.code


@pytest.mark.parametrize(
    "given",
    [
        "",
        "{secret",
        '{"conn_type": "gong"}',
        '{"extra": {"refresh_token": "secret"}}',
        "gong://key:secret@127.0.0.1:{port}/http",
        "gong://key:secret@http%3A%2F%2F127.0.0.1:{port}?coordination_conn_id=none",
    ],
)
def test_a_connection_that_cant_be_used_is_one_line_without_secrets(
    given: str, gong: Gong, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closed_port() as port:
        monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", given.replace("{port}", str(port)))
        for words in (("doctor",), ("quota",), ("users", "get", "1")):
            ended = gong(*words)
            assert ended.out == ""
            assert len(ended.code) > 10
            assert "\n" not in ended.code
            assert "secret" not in ended.code.replace("access key secret", "").replace("client_secret", "")


def test_without_the_shared_database_the_doctor_makes_no_call_either(connect: Connect, gong: Gong) -> None:
    with GongService([user(1)]) as service:
        connect(service, coordination_conn_id=None)
        assert "gong_postgres" in gong("doctor").code
        assert service.calls == []


def test_an_account_without_users(connect: Connect, variant: ApiVariantName, gong: Gong) -> None:
    with GongService(variant=variant) as service:
        connect(service)
        ended = gong("doctor", "--json", "--strict")
    seen = ended.seen()
    assert seen["filter path"] == ANSWERS[variant]["filter path"]
    assert seen["a filter without match"] == ANSWERS[variant]["a filter without match"]
    assert seen["no such path"].startswith("404")
    assert ended.code == 0
    assert json.loads(ended.out)["calls"] == 5


def test_differences_are_marked_and_explained(connect: Connect, variant: ApiVariantName, gong: Gong) -> None:
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
        ended, as_table = gong("doctor", "--json", "--strict"), gong("doctor")
    assert ended.seen()["unknown fields"].startswith("user: favouriteColour,")
    different = {"a history's first entry", "pages", "totalRecords", "unknown fields"}
    assert ended.differing() == different
    assert (ended.code, as_table.code) == (1, 0)
    assert as_table.out.count("\n- ") == as_table.out.count("\n! ") == len(different)
    assert "jane" not in ended.out + as_table.out
    assert_holds_nothing_of([users, histories], as_table.out)


def test_the_21st_call_is_never_made(connect: Connect, gong: Gong) -> None:
    every_other = dict.fromkeys(range(2, 100, 2), 0.0)
    with GongService([user(n) for n in range(250)], faults=Faults(rate_limited_at=every_other)) as service:
        connect(service)
        printed = gong("doctor").out
        assert len(service.calls) == MAX_CALLS
    assert "ended early" in printed
    assert_holds_nothing_of(service.users, printed)


def test_no_redirect_is_followed(connect: Connect, gong: Gong) -> None:
    away = instead(302, Location="/v2/users?again")
    with GongService([user(1)], faults=Faults(wire=away)) as service:
        connect(service, allow_redirects=True)
        assert "302" in gong("doctor").code
        assert len(service.calls) == 1


def test_an_exhausted_quota_ends_the_check(connect: Connect, gong: Gong) -> None:
    with GongService([user(1)], faults=Faults(rate_limited_at={4: 9000.0})) as service:
        connect(service)
        ended = gong("doctor", "--json", "--strict")
        assert len(service.calls) == 4
    assert (ended.differing(), ended.code) == (set(), 1)
    assert " 9000 s" in json.loads(ended.out)["ended_early"]
    assert ended.seen()["API variant of histories"].startswith("unknown")


def test_users_whose_history_fails_are_not_named(connect: Connect, gong: Gong) -> None:
    users = [user(n) for n in range(4)]
    faults = Faults(not_found=[users[0]["id"]], bad_history={each["id"]: 403 for each in users[1:]})
    with GongService(users, faults=faults) as service:
        connect(service)
        ended = gong("doctor", "--json")
    assert re.findall(r"\d+", ended.seen()["a history's first entry"]) == ["403", "404"]
    assert_holds_nothing_of(users, ended.out)


MANY = [user(n) for n in range(250)]
BAD: dict[str, bytes] = {each["id"]: b'{"userSettingsHistory": [1, "x", null]}' for each in MANY}


@pytest.mark.parametrize(
    ("users", "faults", "says"),
    [
        (MANY, Faults(wire={2: instead(403, b"{}"), 3: instead(403, b"{}")}), "403"),
        (MANY, Faults(wire=dict.fromkeys((2, 3), instead(200, b"<html>", "text/html"))), "HTML"),
        (MANY, Faults(repeat_cursor=True), "cursor"),
        (MANY, Faults(bad_history=dict.fromkeys(BAD, 403)), "403"),
        (MANY, Faults(bad_history=BAD), "30 records"),
        ([{"firstName": "Xanthippe"}, b"7"], Faults(), "2 records"),
    ],
    ids=["page 403", "page HTML", "cursor twice", "histories 403", "bad histories", "bad users"],
)
def test_what_a_sync_could_not_load_differs(
    connect: Connect, gong: Gong, users: list[Any], faults: Faults, says: str
) -> None:
    with GongService(users, faults=faults) as service:
        connect(service)
        ended = gong("doctor", "--json", "--strict")
    assert "pages and histories" in ended.differing()
    assert says in ended.seen()["pages and histories"]
    assert ended.code == 1
    assert_holds_nothing_of([each for each in users if isinstance(each, dict)], ended.out)


def test_a_history_whose_times_cant_be_read_is_not_called_empty(connect: Connect, gong: Gong) -> None:
    change = {"settingName": "active", "newValue": "true", "changedAt": 1_750_000_000}
    with GongService([user(1)], {user(1)["id"]: [change]}) as service:
        connect(service)
        assert gong("doctor", "--json").seen()["a history's first entry"] == "not seen: no readable time"


def test_clocks_far_apart_differ() -> None:
    now, survey = datetime(2026, 11, 1, tzinfo=UTC), Survey()
    late = format_datetime(now + timedelta(minutes=10))
    survey.exchanges = [Exchange(200, late, now, now + timedelta(seconds=1))]
    checks = {topic: look for topic, _, look in doctor.CHECKS}
    assert not checks["Date header"](survey).differs
    clock = checks["Gong's clock"](survey)
    assert clock.differs
    assert clock.text.startswith("600 s")
    survey.exchanges += [
        Exchange(200, date, now, now) for date in (None, "Mon, 01 Jan 99999999999 00:00:00 GMT")
    ]
    header = checks["Date header"](survey)
    assert header.differs
    assert "1 of 3" in header.text


def test_a_count_that_is_absent_with_avatars_is_not_called_fewer() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    plain, with_avatars = (
        UsersPage(requested_at=now, server_time=now, users=[], rejected=[], cursor="next",
                  total_records=count, with_avatars=count is None)
        for count in (250, None)
    )  # fmt: skip
    survey = Survey(pages=[Result(None, value=plain)], with_avatars=Result(None, value=with_avatars))
    checks = {topic: look for topic, _, look in doctor.CHECKS}
    seen = checks["totalRecords"](survey)
    assert (seen.text, seen.differs) == ("with avatars: not seen", False)


@pytest.mark.usefixtures("database")
def test_the_quota_is_that_of_all_workers_by_hour_and_endpoint(connect: Connect, gong: Gong) -> None:
    limits = {"calls_per_day": 100, "calls_reserve": 10, "coordination_conn_id": "shared"}
    with world(3, faults=Faults(rate_limited_at={4: 30})) as service:
        hook: GongHook = connect(service, attempts=1, **limits)
        nothing = json.loads(gong("quota", "--json").out)
        with hook:
            hook.list_users()
            for user_id in ids_of(service)[:2]:
                hook.get_user(user_id)
            before = datetime.now(UTC)
            with pytest.raises(Exception, match="429"):
                hook.get_user("1")
        ended, as_table = json.loads(gong("quota", "--json").out), gong("quota").out
        assert len(service.calls) == 4
    assert (nothing["used"], nothing["remaining"], nothing["by_hour"]) == (0, 90, [])
    assert nothing["paused_until"] is None
    paused_s = (datetime.fromisoformat(ended["paused_until"]) - before).total_seconds()
    assert 25 < paused_s < 40
    assert (ended["limit"], ended["reserved"], ended["used"], ended["remaining"]) == (90, 10, 4, 86)
    calls: dict[str, int] = {}
    for row in ended["by_hour"]:  # two hours, if one ended meanwhile
        assert datetime.fromisoformat(row["hour"]).tzinfo
        calls[row["endpoint"]] = calls.get(row["endpoint"], 0) + row["calls"]
    assert calls == {"list_users": 1, "get_user": 3}
    assert "get_user" in as_table


def test_without_a_shared_database_the_quota_is_unknown(connect: Connect, gong: Gong) -> None:
    connect("http://gong.invalid", coordination_conn_id="none")
    assert "coordination_conn_id" in gong("quota").code


@pytest.mark.usefixtures("database")
def test_without_a_daily_limit_the_quota_is_unlimited_and_without_any_it_is_not_counted(
    connect: Connect, gong: Gong
) -> None:
    connect("http://gong.invalid", coordination_conn_id="shared", calls_per_second=3)
    state = json.loads(gong("quota", "--json").out)
    assert (state["limit"], state["remaining"], state["used"]) == (None, None, 0)
    assert gong("quota").out.count("| unlimited") == 2
    connect("http://gong.invalid", coordination_conn_id="shared")
    assert "neither calls_per_second nor calls_per_day" in gong("quota").code


def test_a_user_and_their_history_are_printed(connect: Connect, variant: ApiVariantName, gong: Gong) -> None:
    change = {"settingName": "active", "newValue": "no\x1b[31m", "changedAt": "2026-03-01T00:00:00Z"}
    if variant == "live":
        change = {"setting": "active", "value": "no\x1b[31m", "time": "2026-03-01T00:00:00Z"}
    with GongService([user(7)], {user(7)["id"]: [change]}, variant=variant) as service:
        connect(service)
        user_id = user(7)["id"]
        found = json.loads(gong("users", "get", user_id, "--json").out)
        assert (found["user_id"], found["first_name"]) == (user_id, "Xanthippe7")
        assert "Xanthippe7" in gong("users", "get", user_id).out
        (changed,) = json.loads(gong("users", "history", user_id, "--json").out)
        assert (changed["setting_name"], changed["new_value"]) == ("active", "no\x1b[31m")
        table = gong("users", "history", user_id).out
        assert "no·[31m" in table, "a terminal would obey an escape sequence"
        assert "404" in gong("users", "get", "1").code
        assert len(service.calls) == 5


def test_a_terminal_without_unicode_shows_a_user(
    connect: Connect, gong: Gong, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GongService([user(7, lastName="Šárka\n")]) as service:
        connect(service)
        printed = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, "ascii", write_through=True))
        assert gong("users", "get", user(7)["id"]).code == 0
    assert b"| ??rka?" in printed.getvalue()


@pytest.mark.parametrize(
    "words", [(), ("doctor",), ("quota",), ("users",), ("users", "get"), ("users", "history")]
)
def test_each_command_has_help(gong: Gong, words: tuple[str, ...]) -> None:
    ended = gong(*words, "--help")
    assert ended.code == 0
    assert "usage" in ended.out.lower()


def test_airflows_own_commands_load_neither_an_http_client_nor_the_hook() -> None:
    look = (
        "import sys; import airflow.cli.cli_config, airflow.utils.cli; before = set(sys.modules);"
        "from gong_provider.cli import get_gong_cli_commands; get_gong_cli_commands();"
        "print(sorted(name for name in set(sys.modules) - before if name.partition('.')[0] != 'encodings'))"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['gong_provider.cli']"


def test_make_check_live_has_the_quota_and_the_tokens_of_make_run(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gong-check-"))  # PostgreSQL's user can't enter pytest's own
    monkeypatch.setenv("GONG_LOCAL_DIR", str(folder))
    monkeypatch.delenv("AIRFLOW_CONN_GONG_POSTGRES", raising=False)
    with TokenService() as tokens, GongService([user(1)], tokens=tokens) as service:
        app = {"client_id": tokens.client_id, "client_secret": tokens.client_secret}
        extra = {**app, "refresh_token": tokens.consent_token, "oauth_endpoint": tokens.url}
        given = {"conn_type": "gong", "host": service.base_url, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps(given))
        command = [sys.executable, "-m", "include.gong.local", "check-live"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    assert "| through Postgres" in done.stdout
    assert tokens.issued == 1
    assert service.calls
