"""Reads an Airflow connection of type ``gong``: settings, options for aiohttp, the Test button's text."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import logging
import math
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from airflow.sdk import Connection
from requests import Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from gong_provider import __version__
from gong_provider.client.client import HttpOptions
from gong_provider.client.errors import GongConfigError, raise_without_context
from gong_provider.client.models import UsersPage
from gong_provider.client.parsing import OPTIONAL_FIELDS
from gong_provider.oauth.token_endpoint import DEFAULT_OAUTH_ENDPOINT, OAuthSettings, is_bare_url
from gong_provider.rate_limit.base import CallsRemaining, Limits

log: logging.Logger = logging.getLogger(__name__)

DEFAULT_HOST = "https://api.gong.io"
API_VERSION = "/v2"
DEFAULT_CALLS_PER_SECOND = 3.0
DEFAULT_CALLS_PER_DAY = 10_000
DEFAULT_CALLS_RESERVE = "10%"
DEFAULT_TIMEOUT_S = 30.0

USER_AGENT = f"airflow-provider-gong/{__version__}"
_OAUTH = ("client_id", "client_secret", "refresh_token")
_SECRET_WORDS = ("auth", "cookie", "credential", "key", "pass", "private", "secret", "token")
_HTTP_EXTRAS = (
    "allow_redirects",
    "cert",
    "headers",
    "max_redirects",
    "proxies",
    "proxy",
    "trust_env",
    "verify",
    "verify_ssl",
)
"""Extras as Airflow's HTTP connections have them; ``headers`` is ours: no other extra is ever sent."""


@dataclass(frozen=True, slots=True)
class GongSettings:
    """A validated connection.

    :ivar base_url: with ``/v2``, without a slash at its end.
    :ivar authorization: value of the Authorization header; empty with OAuth, whose tokens change.
    :ivar key_hash: SHA-256 (hex) of the access key, the token or OAuth's client id; identifies the account,
        not a secret.
    :ivar limits: calls a second and a day, and the reserve for other tools.
    :ivar coordination_conn_id: the Postgres connection of the shared state; empty: nothing is shared;
        None: not set.
    :ivar users_filter_path: path of users by filter below the base URL; empty: found by trying.
    :ivar uncollected_fields: fields of users that are not collected, by Gong's names.
    :ivar timeout_s: seconds for one whole try of a call.
    :ivar account: the customer's name for the account, or None.
    :ivar oauth: how tokens are renewed; None: an access key, or a token that is not renewed.
    :ivar http_extras: extras about proxy, TLS, headers and redirects (``http_options_of``).
    """

    base_url: str
    authorization: str = field(repr=False)
    key_hash: str
    limits: Limits
    coordination_conn_id: str | None
    users_filter_path: str
    uncollected_fields: frozenset[str]
    timeout_s: float
    account: str | None
    oauth: OAuthSettings | None = None
    http_extras: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.base_url).netloc

    @property
    def quota_account(self) -> str:
        """Key of the rate limiter's row: the host, with the key's hash where customers share the host."""
        if self.account:
            return f"account {self.account}"
        shared = self.base_url == DEFAULT_HOST + API_VERSION
        return f"{self.base_url} {self.key_hash[:16]}" if shared else self.base_url


def read_connection(connection: Connection) -> GongSettings:
    """Validate a connection.

    :raises GongConfigError: something is missing or wrong; its sentence says what.
    """
    extras = connection.extra_dejson
    if not isinstance(extras, dict):
        raise GongConfigError(f"The extra of connection {connection.conn_id} must be a JSON object")
    oauth = _oauth(connection.conn_id, extras)
    authorization, identity = ("", oauth.client_id) if oauth else _authorization(connection, extras)
    path = str(extras.get("users_filter_path") or "").strip()
    return GongSettings(
        base_url=_base_url(connection),
        authorization=authorization,
        key_hash=hashlib.sha256(identity.encode()).hexdigest(),
        limits=_limits(extras),
        coordination_conn_id=_text(extras, "coordination_conn_id"),
        users_filter_path=f"/{path.strip('/').removeprefix('v2/')}" if path else "",
        uncollected_fields=_uncollected(extras),
        timeout_s=_number(extras, "timeout_s", _number(extras, "timeout", DEFAULT_TIMEOUT_S))
        or DEFAULT_TIMEOUT_S,
        account=str(extras.get("account") or "").strip() or None,
        oauth=oauth,
        http_extras={name: extras[name] for name in _HTTP_EXTRAS if name in extras},
    )


def _oauth(conn_id: str | None, extras: Mapping[str, Any]) -> OAuthSettings | None:
    """Return the settings; None where the connection does not use OAuth's refresh tokens."""
    given = {name: str(extras.get(name) or "").strip() for name in (*_OAUTH, "oauth_endpoint")}
    missing = [name for name in _OAUTH if not given[name]]
    if len(missing) == len(_OAUTH):
        return None
    if missing:
        raise GongConfigError(
            f"Connection {conn_id} lacks the {'extra' if len(missing) == 1 else 'extras'} "
            f"{' and '.join(missing)}: OAuth needs {', '.join(_OAUTH[:-1])} and {_OAUTH[-1]} together"
        )
    given["oauth_endpoint"] = given["oauth_endpoint"] or DEFAULT_OAUTH_ENDPOINT
    if not is_bare_url(given["oauth_endpoint"]):
        raise GongConfigError(
            f"The extra oauth_endpoint of connection {conn_id} must be a bare http(s) URL such as "
            f"{DEFAULT_OAUTH_ENDPOINT}, without user, password, query or fragment"
        )
    return OAuthSettings(**given)


def _authorization(connection: Connection, extras: Mapping[str, Any]) -> tuple[str, str]:
    """Return the header's value, and what identifies the account: the access key, else the token."""
    token = str(extras.get("access_token") or "").strip()
    if token:
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise GongConfigError(
                f"The extra access_token of connection {connection.conn_id} has an invalid "
                "character, such as a blank or a line break; paste it again"
            )
        return f"Bearer {token}", token
    if connection.login and connection.password:
        pair = f"{connection.login}:{connection.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}", connection.login
    raise GongConfigError(
        f"Connection {connection.conn_id} has no credentials: give it Gong's access key as login and the "
        "access key secret as password, or the extra access_token, or the extras of OAuth"
    )


def _base_url(connection: Connection) -> str:
    host = (connection.host or DEFAULT_HOST).strip().rstrip("/")
    if "://" not in host:
        host = f"https://{host}"  # whatever the schema: the form hides that field
    if not is_bare_url(host) or not host.isprintable():
        raise GongConfigError(
            f"The host of connection {connection.conn_id} must be a bare URL such as {DEFAULT_HOST} or "
            "https://us-12345.api.gong.io, without user, password, query or fragment"
        )
    parts = urlsplit(host)
    port = parts.port or connection.port
    hostname = parts.hostname or ""
    hostname = f"[{hostname}]" if ":" in hostname else hostname
    # With its scheme's own port it is the same address, so the same account and quota.
    has_own_port = port and port != {"http": 80, "https": 443}[parts.scheme]
    where = f"{hostname}:{port}" if has_own_port else hostname
    return f"{parts.scheme}://{where}{parts.path.removesuffix(API_VERSION)}{API_VERSION}"


def _limits(extras: Mapping[str, Any]) -> Limits:
    calls_per_day = math.ceil(_number(extras, "calls_per_day", DEFAULT_CALLS_PER_DAY))  # 0 is no limit
    reserved = _text(extras, "calls_reserve") or DEFAULT_CALLS_RESERVE
    share = reserved.removesuffix("%").strip()
    number = _number({"calls_reserve": share}, "calls_reserve", 0)
    reserve = number * calls_per_day / 100 if reserved.endswith("%") else number
    if calls_per_day and reserve >= calls_per_day:
        raise GongConfigError("The connection's extra calls_reserve leaves no call of the day")
    per_second = _number(extras, "calls_per_second", DEFAULT_CALLS_PER_SECOND)
    return Limits(per_second, calls_per_day, math.ceil(reserve))


def _uncollected(extras: Mapping[str, Any]) -> frozenset[str]:
    names = frozenset(re.findall(r"\w+", str(extras.get("uncollected_fields") or "")))  # text, or a list
    if names - OPTIONAL_FIELDS:
        allowed = ", ".join(sorted(OPTIONAL_FIELDS))
        raise GongConfigError(f"The connection's extra uncollected_fields may have {allowed}, and no others")
    return names


def _text(extras: Mapping[str, Any], name: str) -> str | None:
    return str(extras[name]).strip() if extras.get(name) is not None else None


def _number(extras: Mapping[str, Any], name: str, default: float) -> float:
    value = extras.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = -1.0
    if not 0 <= number < float("inf"):
        hint = ", or a share such as 10%" if name == "calls_reserve" else ""
        raise GongConfigError(f"The connection's extra {name} must be a number of 0 or more{hint}")
    return number


def http_options_of(extras: Mapping[str, Any], base_url: str) -> HttpOptions:
    """Return headers, proxy, TLS options and redirects for calls below ``base_url``.

    :param extras: a connection's ``http_extras``; environment variables apply as in requests.
    :raises GongConfigError: a header or a proxy is invalid, or a certificate can't be read.
    """
    session = Session()
    session.trust_env = _is_true(extras.get("trust_env", True))
    name = "proxies" if "proxies" in extras else "proxy"
    proxy = extras.get(name)
    is_address = isinstance(proxy, str) and "{" not in proxy and proxy.strip()
    session.proxies = {"all": str(proxy).strip()} if is_address else _texts(extras, name)
    verify = extras.get("verify", extras.get("verify_ssl", True))
    effective = session.merge_environment_settings(base_url, {}, None, verify, extras.get("cert"))
    chosen = select_proxy(base_url, effective["proxies"])
    _check_proxies(f"The connection's extra {name}", session.proxies.values())
    _check_proxies("The proxy in the environment", [chosen or ""])
    verify = cast("bool | str", effective["verify"])
    secure = base_url.startswith("https:")
    headers, redirects = _texts(extras, "headers"), _is_true(extras.get("allow_redirects"))
    if redirects and any(word in name.lower() for name in headers for word in _SECRET_WORDS):
        raise GongConfigError(
            "The connection's extra headers has a secret, which allow_redirects would send to other hosts: "
            "give one of them only"
        )
    if secure and verify is False:
        log.warning("TLS verification is off for the connection to %s", base_url)
    if not secure and not _is_this_machine(base_url):
        log.warning("Credentials and personal data go unencrypted to %s: make it https", base_url)
    return HttpOptions(
        headers={"User-Agent": USER_AGENT, **headers},
        proxy=chosen or None,
        tls=_tls(verify, effective["cert"]) if secure else True,
        allow_redirects=redirects,
        max_redirects=int(_number(extras, "max_redirects", session.max_redirects)),
    )


def _check_proxies(name: str, addresses: Iterable[str]) -> None:
    """Refuse what is no URL; an empty address means no proxy."""
    for address in filter(None, addresses):
        try:
            parts = urlsplit(address)
            is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url or not address.isprintable() or " " in address:
            raise GongConfigError(f"{name} must be a URL such as http://proxy.example.com:3128")


def _is_true(value: Any) -> bool:
    """Convert an extra; a connection given as a URI has text, such as "false"."""
    return str(value).strip().lower() in ("true", "1", "yes")


def _texts(extras: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the texts of an extra that is an object, or its JSON text."""
    given = extras.get(name)
    try:
        members = json.loads(given) if isinstance(given, str) and given.strip() else given or {}
        texts = {key: str(value) for key, value in members.items()}
    except (AttributeError, ValueError):
        raise_without_context(GongConfigError(f"The connection's extra {name} must be a JSON object"))
    if any(not text.isprintable() for pair in texts.items() for text in pair):
        raise GongConfigError(f"The connection's extra {name} has an invalid character, such as a line break")
    return texts


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _tls(verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext | bool:
    trusted = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    is_file = Path(trusted).is_file()
    try:
        context = ssl.create_default_context(
            cafile=trusted if is_file else None, capath=None if is_file else trusted
        )
        if cert:
            context.load_cert_chain(*([cert] if isinstance(cert, str) else cert))
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or "it is no certificate with its key"
        raise_without_context(GongConfigError(f"The connection's TLS options can't be used: {why}"))
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def describe_success(host: str, page: UsersPage, remaining: CallsRemaining | None, limits: Limits) -> str:
    """Return the text of a successful test: users, and calls that remain today.

    :param remaining: None without a limit, or a rate limiter that all workers share.
    """
    if page.total_records is None:
        found = f"{len(page.users):,} users on the first page"
    else:
        found = f"{page.total_records:,} users"
    if remaining and remaining.now is not None:
        found += f", {remaining.now:,} of our {limits.daily_limit:,} calls remain today"
    return f"Connected to Gong at {host}: {found}"


def without_conn_id(sentence: str, conn_id: str) -> str:
    """Replace the connection's id in an error: the Test button uses a random one."""
    this = {"C": "This connection", "c": "this connection"}
    return re.sub(rf"\b([Cc])onnection {re.escape(conn_id)}(?!\w)", lambda found: this[found[1]], sentence)
