"""Columns of users, and the SQL that compares the current version of a user with a staged one."""

from __future__ import annotations

from include.gong.warehouse import copy
from include.gong.warehouse.copy import Encoder
from include.gong.warehouse.staging import Staging

COLUMNS: dict[str, Encoder] = {
    "user_id": copy.text,
    "email_address": copy.text,
    "first_name": copy.text,
    "last_name": copy.text,
    "title": copy.text,
    "phone_number": copy.text,
    "extension": copy.text,
    "personal_meeting_urls": copy.text_array,
    "settings": copy.jsonb,
    "manager_id": copy.text,
    "meeting_consent_page_url": copy.text,
    "spoken_languages": copy.jsonb,
    "active": copy.boolean,
    "created": copy.instant,
    "avatar_url": copy.text,
    "trusted_email_address": copy.text,
    "email_aliases": copy.text_array,
    "extra": copy.jsonb,
}
"""Columns of the view users, and attributes of the model User."""

USER_COLUMNS = tuple(name for name in COLUMNS if name not in ("user_id", "extra"))
"""The columns of user_versions; extra is not among them, because the meaning of its changes is unknown."""

USERS = Staging("staged_users", COLUMNS)

_LISTS = ("personal_meeting_urls", "email_aliases")
_JSON_LISTS = ("spoken_languages",)
_PLAIN = tuple(name for name in USER_COLUMNS if name not in (*_LISTS, *_JSON_LISTS, "settings"))


def settings_changed(stored: str, staged: str) -> str:
    """SQL: whether a setting has another value; a key that is new, or had no value, is no change."""
    return f"""
        EXISTS (SELECT FROM jsonb_each({stored}.settings) AS setting
                WHERE setting.value <> 'null'
                  AND setting.value IS DISTINCT FROM {staged}.settings -> setting.key)
    """  # noqa: S608 (names of relations)


def settings_added(stored: str, staged: str) -> str:
    """SQL: whether a setting is new, or has a value and had none."""
    return f"""
        EXISTS (SELECT FROM jsonb_each({staged}.settings) AS setting
                WHERE setting.value <> 'null'
                  AND coalesce({stored}.settings -> setting.key, 'null') = 'null')
    """


def user_changed(stored: str, staged: str) -> str:
    """SQL: whether a column differs; the order of lists does not count."""

    def row(relation: str) -> str:
        values = [f"{relation}.{name}" for name in _PLAIN]
        values += [f"ARRAY(SELECT unnest({relation}.{name}) ORDER BY 1)" for name in _LISTS]
        values += [
            f"ARRAY(SELECT jsonb_array_elements({relation}.{name}) ORDER BY 1)" for name in _JSON_LISTS
        ]
        return f"ROW ({', '.join(values)})"

    return f"({row(stored)} IS DISTINCT FROM {row(staged)} OR {settings_changed(stored, staged)})"
