"""How answers put things: names, days, switches, as SQL."""

from __future__ import annotations

NOT_TOLD = "not told by Gong"


def full_name(relation: str) -> str:
    """First and last name, null where both are missing."""
    return f"nullif(concat_ws(' ', {relation}.first_name, {relation}.last_name), '')"


def switch(text: str) -> str:
    """A setting's text as boolean; null where it is neither true nor false."""
    return f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false END"


def on_off(text: str) -> str:
    """A setting's value as people say it."""
    return f"CASE lower({text}) WHEN 'true' THEN 'on' WHEN 'false' THEN 'off' ELSE {text} END"


def setting_words(key: str) -> str:
    """webConferencesRecorded as: Web conferences recorded."""
    return f"upper(left({key}, 1)) || lower(regexp_replace(substr({key}, 2), '([A-Z])', ' \\1', 'g'))"


def day(instant: str) -> str:
    """3 March 2026, of the UTC day."""
    return f"to_char({instant} AT TIME ZONE 'UTC', 'FMDD FMMonth YYYY')"
