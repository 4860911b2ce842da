"""The README is one screen and links; each claim of it is something that a test shows."""

from __future__ import annotations

import re

from tests.support.documents import ROOT

README = (ROOT / "README.md").read_text()
SOURCES = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
LINES = 85

# What the README says, in its own words, and the tests that would fail if it were not so.
CLAIMS = {
    "all stopped at the end": ["test_from_nothing_and_again"],
    "`make up` starts Airflow's UI on it": ["test_ctrl_c_stops_everything"],
    "1,525 settings changes (1,525 new)": ["test_from_nothing_and_again"],
    "Run it again and it says `0 new`": ["test_from_nothing_and_again"],
    "A settings history": [
        "test_every_user_and_history_arrives_through_all_endpoints",
        "test_what_gong_stops_answering_is_kept",
    ],
    "Answers in SQL, today and on any past day": ["test_each_question_of_the_page_is_answered_as_its_sample"],
    "A page inside Airflow": [
        "test_the_numbers_are_those_of_the_warehouse",
        "test_any_past_day_is_the_same_page",
        "test_a_table_comes_as_csv",
    ],
    "Nothing twice, nothing lost": [
        "test_a_disturbed_run_ends_with_all_rows_and_few_calls_more",
        "test_from_nothing_and_again",
    ],
    "One budget of calls": [
        "test_four_tasks_keep_the_rate_and_never_exceed_it",
        "test_two_dags_at_once_share_the_rate_and_their_work",
        "test_five_days_cost_one_listing_and_a_history_a_user_and_then_nothing",
        "test_a_run_says_what_it_left_and_by_when_it_is_covered",
    ],
    "Many workers": [
        "test_it_is_valid_by_the_compose_specification",
        "test_a_run_stays_under_the_limit_that_all_workers_share",
        "test_a_worker_that_is_killed_costs_the_calls_in_flight",
        "test_redis_may_be_restarted_in_the_middle",
        "test_postgres_may_be_restarted_in_the_middle",
    ],
    "OAuth that survives many workers": [
        "test_twenty_workers_that_find_the_token_ended_make_one_renewal",
        "test_nothing_is_stored_as_plain_text",
    ],
    "Both dialects": [
        "test_every_user_and_history_arrives_through_all_endpoints",
        "test_the_filter_path_is_found_by_asking_once",
    ],
    "People can be forgotten": ["test_nothing_of_him_is_left_in_any_table"],
    "its data and yours never share a database": [
        "test_sandbox_and_account_never_share_the_embedded_database"
    ],
    "`pip install . alembic apache-airflow-providers-postgres`, copy `dags/`": [
        "test_what_the_page_copies_is_all_that_the_dags_need",
        "test_airflow_lists_it_with_its_hook_and_connection_form",
    ],
    "`make docs` makes a site": ["test_every_page_is_in_the_navigation_and_in_the_site"],
}


def test_it_is_one_screen_and_links() -> None:
    assert len(README.splitlines()) <= LINES


def test_each_claim_is_there_and_names_tests_that_are() -> None:
    flat = " ".join(README.split())
    for claim, tests in CLAIMS.items():
        assert claim in flat, f"the README no longer says: {claim}"
        for name in tests:
            assert any(f"\ndef {name}(" in source for source in SOURCES), f"{name} is no test"


def test_each_thing_that_you_get_is_a_claim_with_a_test() -> None:
    chapter = README.partition("## What you get")[2].partition("\n## ")[0]
    said = re.findall(r"^- \*\*([^*]+?)\.?\*\*", chapter, re.MULTILINE)
    assert len(said) >= 5
    assert [claim for claim in said if claim not in CLAIMS] == []
