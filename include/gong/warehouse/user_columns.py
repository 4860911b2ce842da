"""What is held of a user, what of it is a fact, and when two answers tell different facts."""

from __future__ import annotations

from include.gong.warehouse import copy
from include.gong.warehouse.copy import Encoder
from include.gong.warehouse.staging import Incoming

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
"""Columns of user_facts, and attributes of the model User."""

FACTS = tuple(name for name in COLUMNS if name not in ("user_id", "extra"))
"""Columns of user_versions, too; extra is none, for nobody knows what its changes mean."""

USERS = Incoming("incoming_users", COLUMNS)
INCOMING = f"{USERS.name} AS incoming"
"""The page of users that is being loaded, as SQL."""

_LISTS = ("personal_meeting_urls", "email_aliases")
_JSON_LISTS = ("spoken_languages",)
_CONSENT = "meeting_consent_page_url"
_PLAIN = tuple(name for name in FACTS if name not in (*_LISTS, *_JSON_LISTS, _CONSENT, "settings"))


def masked(url: str) -> str:
    """A consent page's address, as SQL, without its token, which rotates and is a secret."""
    return rf"regexp_replace({url}, '([?&]tkn=)[^&#]*', '\1***')"


def settings_changed(held: str, incoming: str) -> str:
    """Whether a setting's value is another, as SQL; a key that is new, or had no value, tells nothing."""
    return f"""
        EXISTS (SELECT FROM jsonb_each({held}.settings) AS setting
                WHERE setting.value <> 'null'
                  AND setting.value IS DISTINCT FROM {incoming}.settings -> setting.key)
    """  # noqa: S608 (names of relations)


def settings_added(held: str, incoming: str) -> str:
    """Whether a setting is new or has a value now and had none, as SQL."""
    return f"""
        EXISTS (SELECT FROM jsonb_each({incoming}.settings) AS setting
                WHERE setting.value <> 'null'
                  AND coalesce({held}.settings -> setting.key, 'null') = 'null')
    """


def facts_changed(held: str, incoming: str) -> str:
    """Whether a fact is another, as SQL: the order of lists and the consent page's token are none."""

    def row(relation: str) -> str:
        values = [f"{relation}.{name}" for name in _PLAIN]
        values += [f"ARRAY(SELECT unnest({relation}.{name}) ORDER BY 1)" for name in _LISTS]
        values += [
            f"ARRAY(SELECT jsonb_array_elements({relation}.{name}) ORDER BY 1)" for name in _JSON_LISTS
        ]
        return f"ROW ({', '.join([*values, masked(f'{relation}.{_CONSENT}')])})"

    return f"({row(held)} IS DISTINCT FROM {row(incoming)} OR {settings_changed(held, incoming)})"


def as_version(relation: str) -> str:
    """A relation's facts, as SQL, in the order of FACTS, as a version keeps them."""
    names = [f"{relation}.{name}" for name in FACTS]
    return ", ".join(masked(name) if name.endswith(_CONSENT) else name for name in names)
