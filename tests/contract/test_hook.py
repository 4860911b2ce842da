"""The hook against real sockets: both dialects, every fault, and what a person reads."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gong_provider.api import errors
from gong_provider.api.models import HistoryFailure, HistoryOutcome, SettingsHistory
from gong_provider.hooks.gong import GongHook
from tests.support.gong_faults import Faults
from tests.support.gong_service import GongService
from tests.support.odd_world import odd_world
from tests.support.ports import babbling_port, closed_port, silent_port

DIALECTS = ("contract", "live")
Dialect = Literal["contract", "live"]
Connect = Callable[..., GongHook]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """A hook on a service (or a URL), with credentials of its own if given."""

    def make(service: GongService | str, *, login: str = GongService.key, **extra: Any) -> GongHook:
        connection = {
            "conn_type": "gong",
            "host": service if isinstance(service, str) else service.base_url,
            "login": login,
            "password": GongService.secret,
            "extra": {"calls_per_second": 0, "calls_per_day": 0, **extra},
        }
        monkeypatch.setenv("AIRFLOW_CONN_GONG_DEFAULT", json.dumps(connection))
        return GongHook()

    return make


def world(count: int, dialect: Dialect = "contract", **options: Any) -> GongService:
    odd = odd_world(count, dialect)
    return GongService(odd.users, odd.histories, dialect=dialect, **options)


def ids_of(service: GongService) -> list[str]:
    return [str(user["id"]) for user in service.users if isinstance(user, dict)]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_user_and_history_arrives_through_all_endpoints(connect: Connect, dialect: Dialect) -> None:
    with world(230, dialect) as service, connect(service) as hook:
        users = list(hook.iter_users())
        assert [user.user_id for user in users] == ids_of(service)
        assert len(service.calls) == 3
        histories = [h for group in hook.iter_history_groups(ids_of(service)) for h in group]
        assert {h.user_id for h in histories} == set(ids_of(service))
        assert all(count == 1 for count in service.histories_asked.values())
        assert hook.get_user(users[5].user_id).user == users[5]
        wanted = [user.user_id for user in users[:130]]
        assert [u.user_id for u in hook.iter_users_by_filter(user_ids=wanted)] == wanted


@pytest.mark.parametrize(
    ("dialect", "paths"),
    [("contract", ["/v2/users/filter"] * 2), ("live", ["/v2/users/filter"] + ["/v2/users/extensive"] * 2)],
)
def test_the_filter_path_is_found_by_asking_once(
    connect: Connect, dialect: Dialect, paths: list[str]
) -> None:
    with world(3, dialect) as service, connect(service) as hook:
        first = hook.list_users_by_filter(user_ids=ids_of(service))
        hook.list_users_by_filter(user_ids=ids_of(service))
        assert [call.path for call in service.calls] == paths
        assert first.calls == len(paths) - 1


def test_a_given_filter_path_is_used(connect: Connect) -> None:
    with world(3, "live") as service, connect(service, users_filter_path="/users/extensive") as hook:
        hook.list_users_by_filter(user_ids=ids_of(service))
        assert [call.path for call in service.calls] == ["/v2/users/extensive"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_created_bounds_are_from_included_to_excluded_in_both_dialects(
    connect: Connect, dialect: Dialect
) -> None:
    times = ["2026-01-01T00:00:00Z", "2026-01-01T12:00:00+00:00", "2026-01-02T00:00:00Z", None]
    users = [{"id": str(number), "created": created} for number, created in enumerate(times)]
    with GongService(users, dialect=dialect) as service, connect(service) as hook:
        got = hook.iter_users_by_filter(
            created_from=datetime(2026, 1, 1, tzinfo=UTC), created_to=datetime(2026, 1, 2, tzinfo=UTC)
        )
        assert [u.user_id for u in got if u.created] == ["0", "1"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nobody_found_is_no_error(connect: Connect, dialect: Dialect) -> None:
    with GongService([], dialect=dialect) as service, connect(service) as hook:
        assert list(hook.iter_users()) == []
        assert list(hook.iter_users_by_filter(user_ids=["7"])) == []


def test_bearer_is_used_instead_of_the_key(connect: Connect) -> None:
    with world(2) as service, connect(service, login="wrong", access_token=GongService.token) as hook:
        assert hook.test_connection()[0]


def test_faults_are_survived_with_every_answer(connect: Connect) -> None:
    faults = Faults(error_500=0.02, reset=0.01, truncated=0.005, html=0.005, seed=5)
    with world(600, faults=faults) as service, connect(service) as hook:
        assert len(list(hook.iter_users())) == 600
        outcomes = [outcome for group in hook.iter_history_groups(ids_of(service)) for outcome in group]
        assert all(isinstance(outcome, SettingsHistory) for outcome in outcomes)
        assert {outcome.user_id for outcome in outcomes} == set(ids_of(service))
        assert len(service.calls) > 606


def test_every_request_is_counted_also_those_whose_connection_broke(connect: Connect) -> None:
    with world(300, faults=Faults(error_500=0.05, reset=0.05)) as service, connect(service) as hook:
        pages = list(hook.iter_user_pages())
        outcomes = [outcome for group in hook.iter_history_groups(ids_of(service)) for outcome in group]
        assert sum(answer.calls for answer in [*pages, *outcomes]) == len(service.calls)


def test_a_hung_call_is_given_up_and_repeated(connect: Connect) -> None:
    with world(3, faults=Faults(hang_at=[1])) as service, connect(service, timeout_s=0.3) as hook:
        assert len(hook.list_users().users) == 3
        assert len(service.calls) == 2


def test_a_repeated_cursor_fails_clearly(connect: Connect) -> None:
    with world(250, faults=Faults(repeat_cursor=True)) as service, connect(service) as hook:
        with pytest.raises(errors.GongPagingError, match="same cursor twice"):
            list(hook.iter_users())
        assert len(service.calls) <= 4


def test_a_429_is_waited_out_and_the_others_wait_too(connect: Connect) -> None:
    with world(30, faults=Faults(rate_limited_at={5: 1})) as service, connect(service) as hook:
        outcomes = [o for group in hook.iter_history_groups(ids_of(service)) for o in group]
        assert len(outcomes) == 30
        refused = service.calls[4].time
        in_flight = 16
        late = [call for call in service.calls[4 + in_flight :] if call.time < refused + 0.9]
        assert late == []


def test_a_long_429_ends_the_batch_with_its_seconds_and_what_was_answered(connect: Connect) -> None:
    with world(200, faults=Faults(rate_limited_at={50: 7200})) as service, connect(service) as hook:
        got: list[HistoryOutcome] = []
        with pytest.raises(errors.GongRateLimitError) as caught:  # noqa: PT012
            for group in hook.iter_history_groups(ids_of(service)):
                got.extend(group)
        assert caught.value.retry_after_s == pytest.approx(7200, abs=5)
        assert len(got) == len(service.calls) - 1 < 70


def test_one_users_trouble_is_not_that_of_others(connect: Connect) -> None:
    service = world(40)
    ids = ids_of(service)
    service.faults = Faults(
        gone=[ids[3]], bad_history={ids[7]: b'{"requestId": "x", "userSettingsHistory": 7}'}
    )
    with service, connect(service) as hook:
        outcomes = {o.user_id: o for group in hook.iter_history_groups(ids) for o in group}
    failures = {i: o for i, o in outcomes.items() if isinstance(o, HistoryFailure)}
    assert {i: o.gone for i, o in failures.items()} == {ids[3]: True, ids[7]: False}
    assert len(outcomes) == 40


def test_a_service_that_is_down_ends_the_batch_soon(connect: Connect) -> None:
    service = world(100)
    service.faults = Faults(bad_history=dict.fromkeys(ids_of(service), 400))
    with service, connect(service) as hook:
        with pytest.raises(errors.GongBadRequestError):
            list(hook.iter_history_groups(ids_of(service)))
        assert len(service.calls) < 40


def test_when_the_service_goes_down_no_user_is_said_to_have_failed(connect: Connect) -> None:
    with world(200) as service:
        connect(service)
        with GongHook(attempts=1) as hook:
            groups = hook.iter_history_groups(ids_of(service), group_size=20)
            outcomes = list(next(groups))
            service.faults = Faults(error_500=1)
            with pytest.raises(errors.GongUnavailableError):  # noqa: PT012
                for group in groups:
                    outcomes.extend(group)
    assert len(outcomes) < 200
    assert all(isinstance(outcome, SettingsHistory) for outcome in outcomes)


def test_a_group_closes_after_its_time_however_few_are_in_it(connect: Connect) -> None:
    with world(60, latency_s=0.1) as service, connect(service, calls_per_second=20) as hook:
        started = time.monotonic()
        groups = hook.iter_history_groups(ids_of(service)[:30], group_size=100, group_seconds=0.5)
        assert len(list(groups)) >= 3
        assert time.monotonic() - started == pytest.approx(30 / 20, rel=0.2)


def test_a_slow_reader_loses_nothing_and_is_not_flooded(connect: Connect) -> None:
    with world(400) as service, connect(service) as hook:
        groups = hook.iter_history_groups(ids_of(service), group_size=10)
        next(groups)
        time.sleep(0.5)
        assert len(service.calls) < 150
        assert sum(len(group) for group in groups) == 390


@pytest.mark.parametrize("bad", ["", "..", "a\x00", "x" * 201])
def test_a_bad_id_is_refused_before_any_call(connect: Connect, bad: str) -> None:
    with world(3) as service, connect(service) as hook:
        with pytest.raises(errors.GongConfigError):
            list(hook.iter_history_groups(["1", bad]))
        with pytest.raises(errors.GongConfigError):
            hook.get_user(bad)
        assert service.calls == []


def test_a_wrong_connection_is_one_error_and_leaves_no_thread(connect: Connect) -> None:
    before = threading.active_count()
    with pytest.raises(errors.GongConfigError) as caught, connect("http://gong.invalid", login="") as hook:
        hook.list_users()
    assert caught.value.__context__ is None
    assert threading.active_count() == before


@pytest.mark.parametrize("odd", ["a/b", "a b", "ä?x=1#y", "%2e%2e", "1;2"])
def test_an_id_is_one_segment_of_the_path(connect: Connect, odd: str) -> None:
    with GongService([{"id": odd}], {odd: []}) as service, connect(service) as hook:
        assert hook.get_user(odd).user.user_id == odd
        hook.get_user_settings_history(odd)
        assert service.histories_asked == {odd: 1}


def test_the_connection_test_says_what_it_reached_or_what_to_do(connect: Connect) -> None:
    with world(30) as service:
        assert connect(service).test_connection() == (
            True,
            f"Connected to Gong at {service.base_url.removeprefix('http://')}: 30 users",
        )
        assert len(service.calls) == 1
        ok, said = connect(service, login="wrong").test_connection()
        assert (ok, "401" in said, "access key" in said) == (False, True, True)
        ok, said = connect(f"{service.base_url}/elsewhere").test_connection()
        assert (ok, "base URL" in said) == (False, True)


def test_the_connection_test_of_what_is_no_gong(connect: Connect) -> None:
    with closed_port() as port:
        assert "refuses connections" in connect(f"http://127.0.0.1:{port}").test_connection()[1]
    with babbling_port() as port:
        assert "no HTTP" in connect(f"http://127.0.0.1:{port}").test_connection()[1]
    with silent_port() as port:
        said = connect(f"http://127.0.0.1:{port}", timeout_s=0.3).test_connection()[1]
        assert "did not answer within 0.3 s" in said
    assert "no host is named" in connect("http://gong.invalid").test_connection()[1]
    assert "no credentials" in connect("http://gong.invalid", login="").test_connection()[1]


def test_a_certificate_that_is_not_trusted_says_so(connect: Connect, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=greet_once, args=(plain, context), daemon=True).start()
        said = connect(f"https://127.0.0.1:{plain.getsockname()[1]}").test_connection()[1]
    assert "no secure connection that is trusted here" in said


def greet_once(plain: socket.socket, context: ssl.SSLContext) -> None:
    client, _ = plain.accept()
    with client, contextlib.suppress(OSError):
        context.wrap_socket(client, server_side=True).close()


def self_signed(directory: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, key_file = directory / "cert.pem", directory / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, key_file
