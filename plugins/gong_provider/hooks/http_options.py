"""Converts HttpHook's requests session to options for aiohttp."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from requests import Session
from requests.utils import DEFAULT_CA_BUNDLE_PATH, default_headers, select_proxy

from gong_provider.client.client import HttpOptions

log = logging.getLogger(__name__)


def http_options_of(session: Session, base_url: str, *, allow_redirects: bool) -> HttpOptions:
    """Return headers, proxy, TLS options and redirects of the session, for calls below ``base_url``."""
    effective = session.merge_environment_settings(base_url, {}, None, session.verify, session.cert)
    verify = cast("bool | str", effective["verify"])
    secure = base_url.startswith("https:")
    if secure and verify is False:
        log.warning("TLS verification is off for the connection to %s", base_url)
    if not secure and not _is_this_machine(base_url):
        log.warning("Credentials and personal data go unencrypted to %s: make it https", base_url)
    return HttpOptions(
        headers=_own_headers(session),
        proxy=select_proxy(base_url, effective["proxies"]),
        tls=_tls(verify, effective["cert"]) if secure else True,
        allow_redirects=allow_redirects,
        max_redirects=session.max_redirects,
    )


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _own_headers(session: Session) -> dict[str, str]:
    """Headers of the connection, without those that requests adds for its own transport."""
    defaults: Mapping[str, str] = default_headers()
    return {
        name: value
        for name, value in session.headers.items()
        if isinstance(value, str) and defaults.get(name) != value
    }


def _tls(verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext | bool:
    trusted = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    is_file = Path(trusted).is_file()
    context = ssl.create_default_context(
        cafile=trusted if is_file else None, capath=None if is_file else trusted
    )
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(*([cert] if isinstance(cert, str) else cert))
    return context
