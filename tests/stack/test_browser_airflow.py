"""Airflow's own UI with this project in it, as a data engineer meets it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.commands import eventually
from tests.end_to_end.stack import Stack
from tests.stack import pictures
from tests.stack.airflow_ui import DAG_PAGE, Ui
from tests.stack.conftest import Alerts
from tests.support.stored_rows import last_run, query

BY_HAND = "gong_by_hand"
DATES = re.compile(r"\d{4}-\d\d-\d\d")
VOLATILE = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d")
ADDRESS = re.compile(r"127\.0\.0\.1|^\d{4,5}$")


@pytest.fixture(scope="module")
def sandbox(stack: Stack) -> dict[str, str]:
    """The address and key of the stack's own Gong, as a person would copy them into the form."""
    secrets = json.loads((stack.checkout.local / "secrets.json").read_text())
    host = stack.airflow.get("connections/gong_default")["host"]
    return {"host": host, "key": secrets["gong_key"], "secret": secrets["gong_secret"]}


def test_signing_in_is_required(stranger: Page, stack: Stack) -> None:
    stranger.goto(DAG_PAGE)
    stranger.get_by_role("button", name="Sign in").wait_for()
    assert "gong_users_sync" not in stranger.locator("body").inner_text()
    pictures.take("sign-in", stranger)
    Ui(stranger, stack).sign_in()


def test_a_connection_is_made_by_the_form_and_tested(ui: Ui, sandbox: dict[str, str]) -> None:
    ui.connections()
    pictures.take("connections", ui.page, hide=[ui.page.get_by_role("cell", name=ADDRESS)])
    form = ui.connection_form("Gong")
    form.get_by_label("Connection ID").fill(BY_HAND)
    expect(form.get_by_label("Access key secret")).to_have_attribute("type", "password")
    pictures.take("connection-form", ui.page, of=form)
    host, _, port = sandbox["host"].rpartition(":")
    form.get_by_label("Base URL").fill(host)
    form.get_by_label("Port").fill(port)
    form.get_by_label("Access key", exact=True).fill(sandbox["key"])
    form.get_by_label("Access key secret").fill(sandbox["secret"])
    form.get_by_role("button", name="Save").click()
    expect(ui.row(BY_HAND)).to_be_visible()
    ui.connections()  # without the message that it was made
    toast = ui.test_connection(BY_HAND, "Test Connection Successful")
    expect(toast).to_contain_text(re.compile(r"Connected to Gong at 127\.0\.0\.1:\d+: 250 users"))
    pictures.take("connection-tested", ui.page, of=toast, hide=[ui.page.get_by_role("cell", name=ADDRESS)])


def test_a_wrong_secret_is_reported_in_a_sentence(ui: Ui) -> None:
    ui.connections()
    ui.row(BY_HAND).get_by_role("button", name="Edit Connection").click()
    secret = ui.dialog.get_by_label("Access key secret")
    expect(secret).to_have_value("***")
    secret.fill("not-the-secret")
    ui.dialog.get_by_role("button", name="Save").click()
    expect(ui.dialog).to_be_hidden()
    toast = ui.test_connection(BY_HAND, "Test Connection Failed")
    expect(toast).to_contain_text("401")
    assert "not-the-secret" not in toast.inner_text()


def test_a_bad_param_is_refused_before_there_is_a_run(ui: Ui, stack: Stack) -> None:
    before = stack.runs("manual")
    form = ui.trigger_form()
    pictures.take("trigger-form", ui.page, of=form)
    form.get_by_role("button", name="Only some users").click()
    form.get_by_role("textbox").fill("someone@corp.example")
    with ui.page.expect_response(lambda response: response.request.method == "POST") as refused:
        form.get_by_role("button", name="Trigger").click()
    assert "Invalid input for param user_ids" in refused.value.json()["detail"]
    expect(ui.toast("Failed to Trigger Dag")).to_be_visible()
    pictures.take("trigger-refused", ui.page)
    assert stack.runs("manual") == before


def test_good_params_make_a_run_that_goes_green(ui: Ui, stack: Stack) -> None:
    chosen = query(stack.sandbox_warehouse, "SELECT user_id FROM users ORDER BY user_id LIMIT 2")
    form = ui.trigger_form()
    form.get_by_role("button", name="Only some users").click()
    form.get_by_role("textbox").fill("\n".join(user["user_id"] for user in chosen))
    form.get_by_role("button", name="Trigger").click()
    expect(ui.run_title()).to_contain_text("Success", timeout=90_000)
    assert last_run(stack.sandbox_warehouse)["users_listed"] == len(chosen)


def test_the_grid_names_each_batch(ui: Ui, stack: Stack) -> None:
    (run,) = stack.runs("scheduled")
    ui.run(run["dag_run_id"])
    for number, users in enumerate((63, 63, 62, 62), 1):
        expect(ui.page.get_by_role("link", name=f"batch {number} of 4 · {users} users")).to_be_visible()
    times = [ui.page.get_by_text(DATES), ui.page.get_by_text(run["dag_run_id"])]
    pictures.take("grid", ui.page, hide=times)


@pytest.fixture
def wrong_secret(stack: Stack, sandbox: dict[str, str]) -> Iterator[None]:
    """Edit the stack's own connection, as a person does in the UI."""
    kept = stack.airflow.get("connections/gong_default")
    stack.airflow.patch("connections/gong_default", {**kept, "password": "not-the-secret"})
    yield
    stack.airflow.patch("connections/gong_default", {**kept, "password": sandbox["secret"]})


def test_a_failing_runs_log_ends_with_what_to_do_and_alerts_are_sent(
    ui: Ui, stack: Stack, alerts: Alerts, wrong_secret: None
) -> None:
    run_id = stack.trigger()
    assert stack.finished(run_id) == "failed"
    (listing,) = [task for task in stack.tasks(run_id) if task["task_id"] == "list_users"]
    assert (listing["state"], listing["try_number"]) == ("failed", 1)
    for text in () if pictures.ARE_TAKEN else (f"gong_users_sync failed: {run_id}", f"late: {run_id}"):
        eventually(lambda text=text: text in alerts.texts, text, 60)
    ui.run(run_id)
    expect(ui.run_title()).to_contain_text("Failed")
    failed = ui.page.get_by_role("row").filter(has_text="Failed").filter(has_text="GongListUsersOperator")
    failed.get_by_role("link").first.click()
    # Folded: the traceback has the machine's paths.
    ui.page.get_by_text("GongCredentialsError:").first.click()
    ui.page.keyboard.press("w")  # wraps long lines
    last = ui.page.get_by_text("When that is fixed, clear this task or start a new run")
    # Airflow splits a line at coloured words: the line is the element that contains both.
    whole = last.locator("xpath=ancestor::*[contains(., '401')][1]")
    expect(whole).to_contain_text("401")
    expect(last).to_be_in_viewport()
    volatile = [ui.page.get_by_text(VOLATILE), ui.page.get_by_text(run_id)]
    pictures.take("failed-run", ui.page, hide=volatile)


def test_the_backfill_dialog_fills_covered_days_without_a_call(ui: Ui, stack: Stack) -> None:
    calls = "SELECT count(*) AS runs, sum(calls_made) AS calls FROM sync_runs"
    (before,) = query(stack.sandbox_warehouse, calls)
    form = ui.trigger_form()
    form.get_by_text("Backfill", exact=True).click()
    days = [stack.day - timedelta(days=back) for back in (2, 1)]
    ui.pick_date("From", f"{days[0]:%Y/%m/%d}")
    ui.pick_date("To", f"{days[1]:%Y/%m/%d}")
    expect(form.get_by_text("2 runs will be triggered.")).to_be_visible()
    pictures.take("backfill-form", ui.page, of=form, hide=[form.get_by_text(VOLATILE)])
    form.get_by_role("button", name="Run Backfill").click()
    wanted = [str(day) for day in days]

    def both() -> list[dict[str, Any]]:
        made = [run for run in stack.runs("backfill") if run["partition_key"] in wanted]
        return made if len(made) == 2 else []

    made = eventually(both, "two runs", 30)
    for run in made:
        assert stack.finished(run["dag_run_id"]) == "success"
    ui.run(made[0]["dag_run_id"])
    expect(ui.run_title()).to_contain_text("Success")
    (after,) = query(stack.sandbox_warehouse, calls)
    assert after == {"runs": before["runs"] + 2, "calls": before["calls"]}
