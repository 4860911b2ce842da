"""One user forgotten, or no longer: a run of the DAG gong_user_erase, and what it did in words."""

import os
from typing import Any

from include.local.runs import follow, make_ready, path_of, reasons, trigger
from include.local.session import Session
from include.local.settings import LocalError

DAG_ID = "gong_user_erase"
_MOST_ID_CHARS = 200
_USE = "Use: make erase USER_ID=7012345678901234567 (UNDO=1 lifts the tombstone)."
_WHERE = "It stands in gong.users: SELECT user_id FROM gong.users WHERE email_address = '…'."


def request() -> dict[str, Any]:
    """The run's conf, from USER_ID and UNDO.

    :raises LocalError: there is no id in it, or something else.
    """
    user_id, undo = os.environ.get("USER_ID", ""), os.environ.get("UNDO", "")
    if not user_id:
        raise LocalError(f"USER_ID is missing: whom to forget, by his Gong id. {_USE} {_WHERE}")
    if "@" in user_id:
        raise LocalError(
            "USER_ID is an e-mail address. Give the user's Gong id: Airflow keeps the request, and an id "
            f"names nobody. {_WHERE}"
        )
    if len(user_id) > _MOST_ID_CHARS:
        raise LocalError(f"USER_ID is no Gong id: one has at most {_MOST_ID_CHARS} characters. {_USE}")
    if undo not in ("", "0", "1"):
        raise LocalError(f"UNDO must be 1, or not given. {_USE}")
    return {"user_id": user_id, "undo": undo == "1"}


def erase(session: Session, conf: dict[str, Any]) -> None:
    """Run the DAG, wait for its end, and print what it did."""
    make_ready(session, DAG_ID)
    run_id = trigger(session.airflow, conf, DAG_ID)
    state = follow(session, run_id, lambda _: None, DAG_ID)
    if state != "success":
        raise LocalError(reasons(session.airflow, run_id, DAG_ID))
    answer = session.airflow.get(f"{path_of(run_id, DAG_ID)}/taskInstances/erase/xcomEntries/return_value")
    for line in told(answer["value"], undo=conf["undo"]):
        print(line)


def told(done: dict[str, Any], *, undo: bool) -> list[str]:
    """What a run did, in lines.

    :param done: what its task returned.
    """
    if undo:
        return [
            "The tombstone is lifted: the next sync may load this user again."
            if done["was_forgotten"]
            else "This user was not forgotten: there was nothing to take back."
        ]
    again = " already" if done["was_forgotten"] else ""
    lines = [f"This user is forgotten{again}: no sync loads him any more."]
    if not done["rows"]:
        doubt = "" if done["was_forgotten"] else " Was it the right id? UNDO=1 takes this one back."
        return [*lines, f"Nothing was held of him.{doubt}"]
    rows = ", ".join(f"{number:,} in {table}" for table, number in done["rows"].items())
    return [
        *lines,
        f"Rows removed, or that name him no longer: {rows}.",
        "What backups and logs still hold, and for how long: docs/privacy.md.",
    ]
