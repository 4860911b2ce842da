"""No secret and no personal data in any error, log record or warning; and no call goes astray."""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.sdk import Connection
from sqlalchemy import Engine, make_url, text

import gong_provider
from gong_provider.client import errors
from gong_provider.client.client import Access, GongClient, HttpOptions
from gong_provider.hooks.connection import http_options_of, read_connection
from gong_provider.hooks.event_loop import BackgroundEventLoop
from gong_provider.oauth.credentials import RenewedCredentials
from gong_provider.operators.gong import GongGetUserSettingsHistoryOperator
from gong_provider.rate_limit.base import Limits
from gong_provider.rate_limit.in_process import InProcessRateLimiter
from include.gong.warehouse import account, copy, histories, listing_checkpoint, plan, users
from include.gong.warehouse.connect import engine_for, transaction
from include.gong.warehouse.errors import WarehouseError
from tests.support.captured_text import captured_output, error_texts
from tests.support.gong_faults import Faults
from tests.support.gong_service import GongService
from tests.support.hooks import Connect
from tests.support.http_server import OtherService
from tests.support.people import (
    BASIC,
    CONSENT,
    EMAIL,
    NAME,
    PAGE,
    QUOTES,
    quoting,
    service_of_people,
    shown_in,
)
from tests.support.ports import closed_port
from tests.support.tls import untrusted_port
from tests.support.token_service import TokenService
from tests.support.token_workers import Account, close_databases
from tests.support.wire_faults import WireFault, instead, raw
from tests.warehouse.making import NOON, PROPAGATION_DELAY, RUN, opened


@dataclass
class Setup:
    """What the cases use."""

    connect: Connect
    database_url: str
    directory: Path
    setenv: Callable[[str, str], None]


@pytest.fixture
def setup(connect: Connect, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    return Setup(connect, database_url, tmp_path, monkeypatch.setenv)


@pytest.fixture
def captured(capfd: pytest.CaptureFixture[str]) -> Iterator[list[str]]:
    """All output of the test; at its end none may contain a secret or personal data."""
    with captured_output() as texts:
        yield texts
    assert len(texts) > 0
    printed = capfd.readouterr()
    assert shown_in("\n".join([*texts, printed.out, printed.err])) == []


# --- each class of errors ------------------------------------------------------------------------------

Provoke = Callable[[Setup], None]


def listing(fault: WireFault, **extra: Any) -> Provoke:
    """A listing with this fault at every call."""

    def provoke(setup: Setup) -> None:
        service = service_of_people(faults=Faults(wire=fault))
        with service, setup.connect(service, attempts=2, timeout_s=1, **extra) as hook:
            list(hook.iter_users())

    return provoke


def a_user(fault: WireFault, user_id: str = "7") -> Provoke:
    def provoke(setup: Setup) -> None:
        service = service_of_people(faults=Faults(wire=fault))
        with service, setup.connect(service, attempts=2) as hook:
            hook.get_user(user_id)

    return provoke


def a_repeated_cursor(setup: Setup) -> None:
    service = service_of_people(6, page_size=2, faults=Faults(repeat_cursor=True))
    with service, setup.connect(service) as hook:
        list(hook.iter_users())


def refused_cursors(setup: Setup) -> None:
    faults = Faults(wire=dict.fromkeys(range(2, 9, 2), quoting(400)))
    with service_of_people(6, page_size=2, faults=faults) as service, setup.connect(service) as hook:
        list(hook.iter_users())


def a_host(host: str) -> Provoke:
    def provoke(setup: Setup) -> None:
        with setup.connect(host) as hook:
            hook.list_users()

    return provoke


def an_unreachable_host(setup: Setup) -> None:
    with closed_port() as port, setup.connect(f"http://127.0.0.1:{port}", attempts=2) as hook:
        hook.get_user(EMAIL)


def a_wrong_database(**change: Any) -> Provoke:
    def provoke(setup: Setup) -> None:
        url = make_url(setup.database_url).set(drivername="postgres", **change)
        setup.setenv("AIRFLOW_CONN_SHARED", url.render_as_string(hide_password=False))
        shared = {"coordination_conn_id": "shared", "calls_per_second": 50}
        with service_of_people() as service, setup.connect(service, **shared) as hook:
            hook.list_users()

    return provoke


def no_certificate(setup: Setup) -> None:
    with untrusted_port() as (port, _), setup.connect(f"https://127.0.0.1:{port}") as hook:
        hook.list_users(cursor=EMAIL)


def a_refused_user(setup: Setup) -> None:
    with service_of_people(faults=Faults(wire={1: quoting(401)})) as service:
        setup.connect(service)
        GongGetUserSettingsHistoryOperator(task_id="t", user_ids=["7"]).execute({})


def a_failure_without_handler(setup: Setup) -> None:
    with service_of_people(faults=Faults(wire=quoting(404, *QUOTES))) as service:
        setup.connect(service)
        GongGetUserSettingsHistoryOperator(task_id="t", user_ids=["7"], fail_on_unknown=True).execute({})


def credentials_of(setup: Setup, tokens: TokenService, **change: Any) -> RenewedCredentials:
    fields = {
        "database_url": setup.database_url,
        "oauth_endpoint": tokens.url,
        "refresh_token": tokens.consent_token,
    }
    return Account(**(fields | change)).credentials(deadline_s=2)


def renewal(fault: WireFault | None = None, **change: Any) -> Provoke:
    """A renewal with this fault of the token endpoint, or with a changed account."""

    def provoke(setup: Setup) -> None:
        loop = BackgroundEventLoop()
        with TokenService() as tokens:
            tokens.fault = fault
            try:
                loop.run(credentials_of(setup, tokens, **change).current())
            finally:
                close_databases()
                loop.stop()

    return provoke


def no_certificate_of_tokens(setup: Setup) -> None:
    with untrusted_port() as (port, _):
        renewal(oauth_endpoint=f"https://127.0.0.1:{port}/o")(setup)


def tokens_that_are_refused(setup: Setup) -> None:
    loop = BackgroundEventLoop()
    with TokenService() as tokens, service_of_people(faults=Faults(wire=quoting(401))) as service:
        client = GongClient(
            http_options=HttpOptions(),
            credentials=credentials_of(setup, tokens, base_url=f"{service.base_url}/v2"),
            rate_limiter=InProcessRateLimiter(Limits(0, 0)),
        )
        try:
            loop.run(client.list_users())
        finally:
            loop.run(client.close())
            close_databases()
            loop.stop()


INVALID_GRANT = b'{"error": "invalid_grant", "error_description": "%s"}' % " ".join(QUOTES[:3]).encode()
NO_HTTP = raw(f"HTTP/1.1 200 {BASIC}\r\nX {EMAIL}\r\nAuthorization: Basic {BASIC}\r\n\r\n".encode())
HALF = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + PAGE)
GIVEN_WRONGLY = f"https://{GongService.key}:{GongService.secret}@us-1.api.gong.io"

PROVOKE: dict[type[errors.GongError], list[Provoke]] = {
    errors.GongConfigError: [
        a_host(GIVEN_WRONGLY),
        a_host(f"https://{GongService.key}:{GongService.secret}"),
        a_host(f"https://[{GongService.secret}"),
        a_user(quoting(200), user_id=f"{EMAIL}\x00"),
    ],
    errors.GongPagingError: [a_repeated_cursor, refused_cursors],
    errors.GongCoordinationError: [
        a_wrong_database(password=GongService.secret),
        a_wrong_database(username="nobody", password=GongService.secret),
        a_wrong_database(port=1, password=GongService.secret),
    ],
    errors.GongCredentialsError: [
        listing(quoting(401)),
        a_user(quoting(401)),
        renewal(instead(400, INVALID_GRANT)),
        renewal(quoting(401)),
        renewal(quoting(400)),
        tokens_that_are_refused,
    ],
    errors.GongUserRefusedError: [a_refused_user],
    errors.GongPermissionError: [listing(quoting(403))],
    errors.GongBadRequestError: [listing(quoting(400)), listing(instead(413, PAGE, "text/html"))],
    errors.GongNotFoundError: [
        a_user(quoting(404)),
        a_user(quoting(404), user_id=EMAIL),
        a_user(quoting(404), user_id=NAME),
        a_failure_without_handler,
    ],
    errors.GongNoSuchPathError: [
        listing(quoting(404)),
        listing(quoting(405)),
        listing(quoting(302, Location=CONSENT.replace("https://", f"https://{EMAIL.replace('@', ':')}@"))),
        listing(quoting(302, Location=f"http://{NAME}/")),
        listing(quoting(302, Location=f"/v2/users?cursor={EMAIL}"), allow_redirects=True),
        renewal(quoting(404)),
        renewal(quoting(302, Location=CONSENT)),
    ],
    errors.GongTLSError: [no_certificate, no_certificate_of_tokens],
    errors.GongRateLimitError: [listing(quoting(429, Retry_After="90"))],
    errors.GongDailyQuotaExceededError: [listing(quoting(429, Retry_After="7200"))],
    errors.GongUnavailableError: [
        listing(quoting(500)),
        listing(instead(503, PAGE, "text/html")),
        a_user(raw(b""), user_id=EMAIL),
        renewal(quoting(500)),
        renewal(quoting(429)),
        renewal(raw(b"")),
    ],
    errors.GongUnreachableError: [an_unreachable_host],
    errors.GongMalformedResponseError: [
        listing(instead(200, PAGE, "text/html")),
        listing(instead(200, PAGE)),
        listing(quoting(200)),
        listing(NO_HTTP),
        listing(HALF),
        renewal(instead(200, PAGE)),
        renewal(quoting(200)),
        renewal(NO_HTTP),
        renewal(HALF),
    ],
}
ONLY_PARENTS = {errors.GongError, errors.GongApiError, errors.GongTransientError}


def modules() -> list[ModuleType]:
    """Return all modules of the provider."""
    found = pkgutil.walk_packages(gong_provider.__path__, "gong_provider.")
    return [importlib.import_module(module.name) for module in found]


def error_classes() -> set[type[errors.GongError]]:
    """Return all error classes of the provider."""
    modules()
    found, remaining = set[type[errors.GongError]](), [errors.GongError]
    while remaining:
        found.add(kind := remaining.pop())
        remaining += kind.__subclasses__()
    return {kind for kind in found if kind.__module__.startswith("gong_provider.")}


def test_each_class_of_errors_has_a_case() -> None:
    assert error_classes() - ONLY_PARENTS == set(PROVOKE)


CASES = [(kind, number) for kind, cases in PROVOKE.items() for number in range(len(cases))]


@pytest.mark.parametrize(("kind", "number"), CASES, ids=[f"{k.__name__} {n}" for k, n in CASES])
def test_no_error_contains_a_secret_or_personal_data(
    setup: Setup, captured: list[str], kind: type[errors.GongError], number: int
) -> None:
    with pytest.raises(errors.GongError) as caught:
        PROVOKE[kind][number](setup)
    assert type(caught.value) is kind
    assert shown_in(error_texts(caught.value)) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Missing or invalid credentials", True), ("The cursor has expired.", True),
     ("The cursor has expired. See Ann", False), ("the cursor has expired", False), ("invalid", False)],
)  # fmt: skip
def test_an_error_text_is_shown_only_if_it_is_a_known_one(text: str, shown: bool) -> None:
    error = errors.GongBadRequestError("answered 400", errors=[text, NAME], request_id="4al018gz")
    assert error.errors == (text if shown else "…", "…")[: 2 if shown else 1]
    assert f"(requestId 4al018gz): {'; '.join(error.errors)}. The request" in str(error)


# --- failures of Postgres, which quotes rows -------------------------------------------------------------

ROW = {"id": "1", "mail": EMAIL, "name": NAME}
INSERT = text("""
    INSERT INTO user_versions (user_id, valid_from, email_address, first_name)
    VALUES (:id, '2026-03-10', :mail, :name)
""")
TRIGGER = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'who is %%?', new.email_address USING ERRCODE = 'check_violation'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON user_versions FOR EACH ROW EXECUTE FUNCTION refuse();
"""

SEEN = {"first_seen_at": copy.instant, "last_seen_at": copy.instant}
REFUSED: dict[str, Callable[[Any], object]] = {
    "the same key twice": lambda c: [c.execute(INSERT, ROW) for _ in range(2)],
    "null where none may be": lambda c: c.execute(INSERT, ROW | {"id": None}),
    "no number": lambda c: c.execute(text("SELECT CAST(:mail AS integer)"), ROW),
    "no json": lambda c: c.execute(text("SELECT CAST(:mail AS jsonb)"), ROW),
    "no such operator": lambda c: c.execute(text("SELECT CAST(:mail AS text) + 1"), ROW),
    "a trigger": lambda c: (c.exec_driver_sql(TRIGGER), c.execute(INSERT, ROW)),
    "copied: no time": lambda c: copied(c, {"user_id": copy.text, "first_seen_at": copy.text}, EMAIL, NAME),
    "copied: twice": lambda c: copied(c, {"user_id": copy.text, **SEEN}, *[(EMAIL, NOON, NOON)] * 2),
    "copied: a cell too many": lambda c: copied(c, {"user_id": lambda it: f"{it}\t{it}"}, EMAIL),
    "the connection ends": lambda c: c.execute(
        text("SELECT pg_terminate_backend(pg_backend_pid()), :mail"), ROW
    ),
}


def copied(connection: Any, columns: dict[str, Any], *values: Any) -> None:
    rows = values if isinstance(values[0], tuple) else [values]
    copy.copy_rows(connection, "user_sync_state", columns, rows)


@pytest.mark.parametrize("case", REFUSED)
def test_no_failure_of_postgres_quotes_a_row(warehouse: Engine, captured: list[str], case: str) -> None:
    with pytest.raises(WarehouseError) as caught, transaction(warehouse) as connection:
        REFUSED[case](connection)
    assert "127.0.0.1" in str(caught.value)
    assert shown_in(error_texts(caught.value)) == []


def test_text_that_postgres_cant_store_is_not_quoted(warehouse: Engine, captured: list[str]) -> None:
    with pytest.raises(ValueError, match="NUL") as caught, transaction(warehouse) as connection:
        connection.execute(INSERT, ROW | {"mail": f"{EMAIL}\x00"})
    assert shown_in(error_texts(caught.value)) == []


@pytest.mark.parametrize(
    "url", [f"{GongService.secret}://x", f"postgresql://u:{GongService.secret}@h:port/d"]
)
def test_a_wrong_address_is_not_quoted(url: str, captured: list[str]) -> None:
    logging.getLogger("a").debug("so that there is output")
    with pytest.raises(WarehouseError) as caught:
        engine_for(url)
    assert shown_in(error_texts(caught.value)) == []


def test_another_account_is_named_by_its_address(warehouse: Engine, captured: list[str]) -> None:
    mine, other = (account.AccountIdentity(f"https://{n}.api.gong.io", f"hash {n}", n) for n in "12")
    with transaction(warehouse) as connection:
        account.settle_account(connection, mine, [EMAIL], NOON)
    with pytest.raises(WarehouseError) as caught, transaction(warehouse) as connection:
        account.settle_account(connection, other, [EMAIL], NOON)
    assert shown_in(error_texts(caught.value)) == []


# --- and when nothing fails ------------------------------------------------------------------------------


def test_a_whole_sync_outputs_no_personal_data(
    connect: Connect, warehouse: Engine, captured: list[str]
) -> None:
    with service_of_people(6, page_size=2) as service, connect(service) as hook:
        with transaction(warehouse) as connection:
            opened(connection)
        for page in hook.iter_user_pages():
            with transaction(warehouse) as connection:
                users.load_users(connection, RUN, page)
                listing_checkpoint.save_checkpoint(connection, RUN, page)
                listing_checkpoint.load_checkpoint(connection, RUN)
        with transaction(warehouse) as connection:
            plan.plan_histories(connection, RUN)
            ids = plan.ids_of_batch(connection, RUN, 1)
        for group in hook.iter_history_groups(ids):
            with transaction(warehouse) as connection:
                histories.load_histories(connection, RUN, group, PROPAGATION_DELAY)
        assert hook.test_connection()[0]
    with transaction(warehouse) as connection:
        counts = "SELECT count(*), (SELECT count(*) FROM rejected_records) FROM user_settings_history"
        assert tuple(connection.execute(text(counts)).one()) == (12, 2)
    # Else this test would see no output.
    assert {"asyncio", "sqlalchemy.engine.Engine.gong"} <= {line.partition(":")[0] for line in captured}
    assert [line for line in captured if "Row (" in line or ids[0] in line] == []


def test_a_renewal_outputs_no_tokens(setup: Setup, captured: list[str]) -> None:
    renewal()(setup)
    renewal(base_url=f"https://{EMAIL}/v2")(setup)
    assert any("Gong gave new tokens" in line for line in captured)
    assert [line for line in captured if re.search(r"gAAAA[\w-]{20}", line)] == []  # encrypted


# --- the repr of objects with secrets ---------------------------------------------------------------------

HAS_A_SECRET = re.compile(
    r"authorization|password|secret|(access|refresh)_token|^token$|^headers$|^proxy$|^access$"
)


def test_no_field_with_a_secret_is_in_a_repr() -> None:
    members = [kind for module in modules() for _, kind in inspect.getmembers(module, inspect.isclass)]
    kinds = {kind for kind in members if kind.__module__.startswith("gong_provider.")}
    shown = [
        f"{kind.__name__}.{field.name}"
        for kind in kinds
        if is_dataclass(kind)
        for field in fields(kind)
        if field.repr and HAS_A_SECRET.search(field.name)
    ]
    shown += [
        kind.__name__
        for kind in kinds
        if any(map(HAS_A_SECRET.search, getattr(kind, "_fields", ())))
        and "namedtuple" in kind.__repr__.__qualname__
    ]
    assert shown == []


def test_the_repr_of_a_connection_and_of_objects_made_of_it_has_no_secret(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{GongService.key}:{GongService.secret}@proxy.example")
    extra = {"client_id": "app", "client_secret": TokenService.client_secret, "refresh_token": "r3fresh+1/&="}
    fields: dict[str, Any] = {"login": GongService.key, "password": GongService.secret}
    made = Connection(conn_id="c", conn_type="gong", **fields, extra=json.dumps(extra))
    settings = [read_connection(made), read_connection(Connection(conn_id="c", conn_type="gong", **fields))]
    with connect("http://gong.example", headers={"X-Trace": GongService.token}) as hook:
        options = http_options_of(hook.settings.http_extras, "http://gong.example")
        assert GongService.secret in str(options.proxy)
        assert GongService.token in str(options.headers)
        objects = [
            *settings,
            options,
            hook.client,
            *vars(hook.client).values(),
            Access(BASIC, "https://x/v2"),
        ]
    assert shown_in("".join([*map(repr, objects), *map(str, objects)])) == []


# --- a hostile service -----------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [{}, {"allow_redirects": False}, {"allow_redirects": "false"}])
def test_a_redirect_is_not_followed_by_default(connect: Connect, extra: dict[str, Any]) -> None:
    with OtherService() as other:
        away = instead(307, Location=f"{other.base_url}/v2/users")
        with service_of_people(faults=Faults(wire=away)) as service, connect(service, **extra) as hook:
            with pytest.raises(errors.GongNoSuchPathError) as caught:
                hook.list_users()
            assert caught.value.status == 307
            with pytest.raises(errors.GongNoSuchPathError):
                hook.list_users_by_filter(user_ids=["1"])
        assert other.received == []


@pytest.mark.parametrize(
    "unusual",
    ["../admin", "a/b?x=1#y", "%2e%2e", "..%2f..", "..;/x", "ä ñ/日本", "\\..\\", "a\r\nHost: evil",
     "//evil/x", "@evil"],
)  # fmt: skip
def test_an_id_stays_one_segment_of_the_path(connect: Connect, unusual: str) -> None:
    with OtherService() as other, connect(other.base_url, attempts=1) as hook:
        with pytest.raises(errors.GongMalformedResponseError):  # it knows no user
            hook.get_user(unusual)
        hook.get_user_settings_history(unusual)
        user, history = other.received
    for request, after in ((user, []), (history, ["settings-history"])):
        start, v2, users_, segment, *rest = request.path.split("/")
        assert [start, v2, users_, *rest] == ["", "v2", "users", *after]
        assert re.fullmatch(r"([A-Za-z0-9_.~-]|%[0-9A-F]{2})+", segment)
        assert segment not in (".", "..")
        assert request.query == {}


@pytest.mark.parametrize(
    "unusual", ["a&cursor=b", "=&=", "a+b c", "/../admin", "#x", "?y=1", "%26", "ä日本", "\r\nX: y"]
)
def test_a_cursor_stays_one_value_of_the_query(connect: Connect, unusual: str) -> None:
    with OtherService() as other, connect(other.base_url) as hook:
        hook.list_users(cursor=unusual)
        (request,) = other.received
    assert (request.path, request.query) == ("/v2/users", {"cursor": unusual})
    assert request.headers.keys().isdisjoint({"x"})


# --- TLS ---------------------------------------------------------------------------------------------------


def warnings_of(captured: list[str]) -> list[str]:
    return [line for line in captured if line.startswith(f"{http_options_of.__module__}: ")]


@pytest.mark.parametrize("name", ["verify", "verify_ssl"])
def test_tls_without_verification_is_warned_of_by_each_client(
    connect: Connect, tmp_path: Path, captured: list[str], name: str
) -> None:
    with untrusted_port() as (port, callers):
        for number in (1, 2):
            with (
                connect(f"https://127.0.0.1:{port}", attempts=1, **{name: False}) as hook,
                pytest.raises(errors.GongUnavailableError),  # it accepted the connection and closed it
            ):
                hook.list_users()
            assert len(callers) == len(warnings_of(captured)) == number
    assert "TLS verification is off" in warnings_of(captured)[0]


OTHER_WORDS = {"check": False, "ssl": False, "verify_certs": False, "insecure": True, "check_hostname": False}
NOT_OFF = [{}, OTHER_WORDS, *({"verify": value} for value in (0, None, "", "false", "/nowhere.pem"))]
VARIABLES = [
    {},
    {"CURL_CA_BUNDLE": ""},
    {"REQUESTS_CA_BUNDLE": "", "PYTHONHTTPSVERIFY": "0"},
    {"REQUESTS_CA_BUNDLE": "False"},
]


@pytest.mark.parametrize("extra", NOT_OFF, ids=str)
@pytest.mark.parametrize("variables", VARIABLES, ids=str)
def test_nothing_else_turns_verification_off(
    setup: Setup, extra: dict[str, Any], variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        setup.setenv(name, value)
    with (
        untrusted_port() as (port, _),
        setup.connect(f"https://127.0.0.1:{port}", **extra) as hook,
        pytest.raises((errors.GongTLSError, errors.GongConfigError)),
    ):
        hook.list_users()


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://gong.invalid", True),
        ("http://localhost.evil.invalid", True),
        ("http://127.0.0.1:9", False),
        ("http://[::1]:9", False),
        ("http://localhost:9", False),
        ("http://127.9.9.9:9", False),
        ("https://gong.invalid", False),
    ],
)
def test_plain_http_to_another_machine_is_warned_of(
    connect: Connect, captured: list[str], url: str, warned: bool
) -> None:
    with connect(url, attempts=1, timeout_s=0.3) as hook, pytest.raises(errors.GongUnavailableError):
        hook.list_users()
    assert [f"unencrypted to {url}/v2" in line for line in warnings_of(captured)] == [True] * warned


def test_a_token_endpoint_without_encryption_is_warned_of_too(setup: Setup, captured: list[str]) -> None:
    setup.setenv("AIRFLOW_CONN_SHARED", setup.database_url.replace("postgresql+psycopg2", "postgres"))
    app = {"client_id": "app", "client_secret": TokenService.client_secret, "refresh_token": "r3fresh+1/&="}
    shared = {"coordination_conn_id": "shared", "oauth_endpoint": "http://tokens.invalid/o"}
    hook = setup.connect("https://gong.invalid", login="", password="", **app, **shared)
    with hook, pytest.raises(errors.GongError):
        hook.list_users()
    assert "unencrypted to http://tokens.invalid/o" in "".join(warnings_of(captured))
