"""A port with a certificate that nobody trusts, open during its ``with``."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@contextlib.contextmanager
def untrusted_port(directory: Path) -> Iterator[tuple[int, list[str]]]:
    """A port that speaks TLS with a certificate of its own making, and a list that grows by each caller.

    :param directory: where key and certificate are put.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(_self_signed(directory))
    callers: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_greet, args=(listening, context, callers), daemon=True).start()
        yield listening.getsockname()[1], callers
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread


def _greet(listening: socket.socket, context: ssl.SSLContext, callers: list[str]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, address = listening.accept()
            callers.append(str(address))
            with client, contextlib.suppress(OSError):
                context.wrap_socket(client, server_side=True).close()


def _self_signed(directory: Path) -> Path:
    """A file with a key and its certificate for this machine."""
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
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = directory / "key-and-certificate.pem"
    pem.write_bytes(plain + certificate.public_bytes(serialization.Encoding.PEM))
    return pem
