"""Airflow's own encryption for what is stored beside it."""

from __future__ import annotations

from airflow.sdk.crypto import get_fernet
from airflow.sdk.exceptions import AirflowException
from cryptography.fernet import InvalidToken

from gong_provider.api.errors import GongConfigError


class FernetCipher:
    """Encrypts with Airflow's Fernet key; a list of keys is Airflow's way to rotate them.

    :raises GongConfigError: Airflow has no key, or one that is none.
    """

    def __init__(self) -> None:
        try:
            self._fernet = get_fernet()
        except AirflowException:
            raise GongConfigError(_no_key("Airflow's [core] fernet_key is no Fernet key")) from None
        if not self._fernet.is_encrypted:
            raise GongConfigError(_no_key("Airflow has no [core] fernet_key"))

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str:
        """:raises ValueError: it was encrypted with another key."""
        try:
            return self._fernet.decrypt(text).decode()
        except InvalidToken:
            raise ValueError("encrypted with another key") from None


def _no_key(what: str) -> str:
    return (
        f"{what}, and OAuth tokens are never stored as plain text: set one (AIRFLOW__CORE__FERNET_KEY), "
        "the same for all workers"
    )
