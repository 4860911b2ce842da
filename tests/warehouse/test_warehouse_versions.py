"""What each user was, from when to when: versions."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from include.gong.warehouse import user_columns
from include.gong.warehouse.connect import transaction
from include.gong.warehouse.errors import WarehouseError
from tests.warehouse.making import ANNA, HOUR, NOON, load_page, rows, value

BEN = {
    "id": "1",
    "title": "AE",
    "emailAliases": ["a", "b"],
    "spokenLanguages": [{"language": "en", "primary": True}, {"language": "de", "primary": False}],
    "settings": {"emailsImported": True},
    "meetingConsentPageUrl": "https://c/p?tkn=one&x=1",
    "odd": 1,
}


def ben(**differences: Any) -> dict[str, Any]:
    return BEN | differences


def spans(engine: Engine, what: str = "title") -> list[tuple[Any, ...]]:
    return rows(engine, f"SELECT {what}, valid_from, valid_to FROM user_versions ORDER BY valid_from")


def test_a_fact_that_changes_closes_one_version_and_opens_the_next(warehouse: Engine) -> None:
    load_page(warehouse, [BEN])
    load_page(warehouse, [BEN], at=NOON + HOUR)
    assert load_page(warehouse, [ben(title="VP")], at=NOON + 2 * HOUR).changed == 1
    load_page(warehouse, [BEN], at=NOON + 3 * HOUR)
    assert spans(warehouse) == [
        ("AE", NOON, NOON + 2 * HOUR),
        ("VP", NOON + 2 * HOUR, NOON + 3 * HOUR),
        ("AE", NOON + 3 * HOUR, None),
    ]


NO_FACTS: list[dict[str, Any]] = [
    {"odd": 2},
    {"meetingConsentPageUrl": "https://c/p?tkn=two&x=1"},
    {"emailAliases": ["b", "a"]},
    {"spokenLanguages": [{"primary": False, "language": "de"}, {"language": "en", "primary": True}]},
    {"settings": {"emailsImported": True, "gongConnectEnabled": None}},
]
FACTS: list[dict[str, Any]] = [
    {"settings": {"emailsImported": False}},
    {"settings": {}},
    {"meetingConsentPageUrl": "https://c/p?tkn=one&x=2"},
    {"emailAliases": ["a", "c"]},
    {"managerId": 2},
    {"active": False},
]


def test_other_differences_make_no_version_and_the_open_one_equals_the_user(warehouse: Engine) -> None:
    after = [ben(id=str(difference), **difference) for difference in NO_FACTS]
    load_page(warehouse, [ben(id=each["id"]) for each in after])
    assert load_page(warehouse, after, at=NOON + HOUR).changed == 0
    assert spans(warehouse) == [("AE", NOON, None)] * len(NO_FACTS)
    equal = """
        SELECT version.settings = users.settings AND version.email_aliases = users.email_aliases
               AND version.spoken_languages = users.spoken_languages
        FROM user_versions AS version JOIN users USING (user_id)
    """
    assert rows(warehouse, equal) == [(True,)] * len(NO_FACTS)
    shown = rows(warehouse, "SELECT user_id, meeting_consent_page_url, extra ->> 'odd' FROM users")
    assert set(shown) == {(each["id"], each["meetingConsentPageUrl"], str(each["odd"])) for each in after}


ADDED: list[dict[str, Any]] = [
    {"emailsImported": True, "gongConnectEnabled": False},
    {"emailsImported": True, "callsImported": True},
]


def test_a_setting_that_is_new_or_gets_a_value_was_not_seen_before(warehouse: Engine) -> None:
    before = {"emailsImported": True, "callsImported": None}
    load_page(warehouse, [ben(id=str(number), settings=before) for number in range(len(ADDED))])
    after = [ben(id=str(number), settings=settings) for number, settings in enumerate(ADDED)]
    assert load_page(warehouse, after, at=NOON + HOUR).changed == 0
    seen = "SELECT settings FROM users_as_of(:at) ORDER BY user_id"
    assert rows(warehouse, seen, at=NOON) == [(before,)] * len(ADDED)
    assert rows(warehouse, seen, at=NOON + HOUR) == [(settings,) for settings in ADDED]
    marked = "SELECT only_adds_settings FROM user_versions WHERE valid_from = :at"
    assert rows(warehouse, marked, at=NOON + HOUR) == [(True,)] * len(ADDED)
    assert rows(warehouse, "SELECT * FROM changes_since(:at)", at=NOON + HOUR) == []
    load_page(warehouse, [ben(id="0", title="VP", settings=before)], at=NOON + 2 * HOUR)
    assert rows(warehouse, marked, at=NOON + 2 * HOUR) == [(False,)]


def test_every_other_difference_is_a_version(warehouse: Engine) -> None:
    after = [ben(id=str(difference), **difference) for difference in FACTS]
    load_page(warehouse, [ben(id=each["id"]) for each in after])
    assert load_page(warehouse, after, at=NOON + HOUR).changed == len(FACTS)
    versions = rows(warehouse, "SELECT user_id, count(*) FROM user_versions GROUP BY 1")
    assert dict(versions) == {each["id"]: 2 for each in after}


def test_each_column_is_in_the_views_and_its_change_has_words(warehouse: Engine) -> None:
    load_page(warehouse, [ANNA | {"emailAliases": ["a@b"]}], with_avatars=True)
    stored = value(warehouse, "SELECT to_jsonb(version) FROM user_versions AS version")
    assert [name for name in user_columns.USER_COLUMNS if stored[name] is None] == [], "ANNA lacks it"
    load_page(warehouse, [{"id": ANNA["id"]}], at=NOON + HOUR, with_avatars=True)
    for relation in ("users", "users_as_of(now())"):
        with transaction(warehouse) as connection:
            columns = connection.execute(text(f"SELECT * FROM {relation} LIMIT 0")).keys()
        assert set(user_columns.USER_COLUMNS) <= set(columns), f"{relation} lacks a column"
    worded = value(
        warehouse, "SELECT count(*) FROM changes_since(:at) WHERE kind IN ('moved', 'profile')", at=NOON
    )
    reported_by_histories = {"settings", "active"}
    assert worded == len({*user_columns.USER_COLUMNS} - reported_by_histories), (
        "sql/functions/changes_since.sql lacks its words"
    )


def test_another_response_of_the_same_instant_leaves_no_empty_version(warehouse: Engine) -> None:
    load_page(warehouse, [BEN])
    load_page(warehouse, [ben(title="VP")])
    assert spans(warehouse) == [("VP", NOON, None)]


def test_the_database_itself_refuses_an_overlap(warehouse: Engine) -> None:
    load_page(warehouse, [BEN, {"id": "2"}])
    version = """
        INSERT INTO user_versions (user_id, valid_from, valid_to, is_current)
        VALUES ('1', :since, :until, false) RETURNING 1
    """
    rows(warehouse, version, since=NOON - HOUR, until=NOON)  # up to the next one: no overlap
    with pytest.raises(WarehouseError, match="SQLSTATE 23P01"):
        rows(warehouse, version, since=NOON - 2 * HOUR, until=NOON + HOUR)
    longer = "UPDATE user_versions SET valid_to = :until WHERE valid_to = :since RETURNING 1"
    rows(warehouse, longer, since=NOON, until=NOON - HOUR / 2)
    with pytest.raises(WarehouseError, match="SQLSTATE 23P01"):
        rows(warehouse, longer, since=NOON - HOUR / 2, until=NOON + HOUR)
    closed = "SELECT valid_from, valid_to FROM user_versions WHERE valid_to IS NOT NULL"
    assert rows(warehouse, closed) == [(NOON - HOUR, NOON - HOUR / 2)]
