"""Why no answer came: a failure of the connection as the error that says what to do."""

from __future__ import annotations

import aiohttp

from gong_provider.api import errors


def no_answer(error: Exception, method: str, path: str, timeout_s: float | None) -> errors.GongError:
    """The error that says why no answer came, in words that hold neither URL nor query."""
    is_redirect = isinstance(error, aiohttp.RedirectClientError)
    # UnicodeError: a name that no DNS could ask for.
    if isinstance(error, (aiohttp.InvalidURL, UnicodeError)) and not is_redirect:
        return errors.GongConfigError("The host of the connection is no valid URL")
    kind, what = _why(error, timeout_s)
    return kind(what, method=method, path=path)


def _why(error: Exception, timeout_s: float | None) -> tuple[type[errors.GongApiError], str]:
    if isinstance(error, aiohttp.ClientConnectorError):
        return _why_not_connected(error)
    if isinstance(error, TimeoutError):
        return errors.GongUnavailableError, f"did not answer within {timeout_s:g} s"
    if isinstance(error, aiohttp.TooManyRedirects):
        return errors.GongNoSuchPathError, "redirects without end"
    if isinstance(error, aiohttp.RedirectClientError):
        return errors.GongNoSuchPathError, "redirects to what is no URL"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return errors.GongUnavailableError, f"was not reached: the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        return errors.GongMalformedAnswerError, "answered something that is no HTTP"
    if isinstance(error, aiohttp.ClientPayloadError):
        return errors.GongMalformedAnswerError, "broke off in the middle of its answer"
    if isinstance(error, ValueError):
        return errors.GongMalformedAnswerError, "answered more than one answer can be"
    return errors.GongUnavailableError, "closed the connection without an answer"


def _why_not_connected(error: aiohttp.ClientConnectorError) -> tuple[type[errors.GongApiError], str]:
    where = f"{error.host}:{error.port}"
    if isinstance(error, (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError)):
        return errors.GongTLSError, f"offers no secure connection that is trusted here, at {where}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return errors.GongUnreachableError, f"was not reached: no host is named {error.host}"
    if isinstance(error.os_error, ConnectionRefusedError):
        return errors.GongUnreachableError, f"was not reached: {where} refuses connections"
    return errors.GongUnreachableError, f"was not reached: there is no route to {where}"
