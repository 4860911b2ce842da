"""What the button "Test" of a connection answers, in a sentence."""

from __future__ import annotations

import re

from gong_provider.api.models import UsersPage
from gong_provider.coordination.limits import CallsLeft, Limits


def reached(host: str, page: UsersPage, left: CallsLeft | None, limits: Limits) -> str:
    """What answered, and what is left of the day.

    :param left: None where no quota of all workers says it.
    """
    if page.total_records is None:
        said = f"it answers with {len(page.users):,} users on a page"
    else:
        said = f"{page.total_records:,} users"
    if left and left.now is not None:
        said += f", {left.now:,} of our {limits.ours:,} calls of the day are left"
    return f"Connected to Gong at {host}: {said}"


def of_this_connection(sentence: str, conn_id: str) -> str:
    """An error without the connection's id: in a form that is tested, Airflow makes one up."""

    def named(found: re.Match[str]) -> str:
        return "This connection" if found[0][0] == "C" else "this connection"

    return re.sub(rf"\b[Cc]onnection {re.escape(conn_id)}(?!\w)", named, sentence)
