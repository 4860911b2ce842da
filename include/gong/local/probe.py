"""Looks at Gong in a process that has its connection: python -m include.gong.local.probe gong | users ID"""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from include.gong.local.settings import ROOT, LocalError

RESULT = "Result: "
"""Marks the line of the result among Airflow's log lines."""
_SECONDS = 120


def run_module(environment: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module of this checkout, with its arguments, and return its output.

    :raises LocalError: it did not end in time.
    """
    command = [sys.executable, "-m", *words]
    try:
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise LocalError(f"`python -m {' '.join(words)}` did not end within {_SECONDS} seconds.") from None


def ask(environment: Mapping[str, str], *words: str) -> Any:
    """Run a probe in a process of its own and return its result.

    :raises LocalError: it failed or did not end in time; the message is its own.
    """
    done = run_module(environment, "include.gong.local.probe", *words)
    results = [line for line in done.stdout.splitlines() if line.startswith(RESULT)]
    if done.returncode or not results:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise LocalError(lines[-1] if lines else f"The look at {' '.join(words)} failed without a reason.")
    return json.loads(results[-1].removeprefix(RESULT))


def _gong(connection_id: str) -> str:
    """Test the connection with one call, before a stack relies on it."""
    from gong_provider.hooks.gong import GongHook

    reached, sentence = GongHook(gong_conn_id=connection_id).test_connection()
    if not reached:
        sys.exit(" ".join(sentence.split()))
    return " ".join(sentence.split())


def _users(connection_id: str) -> dict[str, int | None]:
    """Count users and pages with one call; None where Gong does not say."""
    from gong_provider.client.errors import GongError
    from gong_provider.hooks.gong import GongHook

    try:
        with GongHook(gong_conn_id=connection_id, attempts=1) as hook:
            page = hook.list_users()
    except GongError as error:
        sys.exit(" ".join(str(error).split()))
    shown = len(page.users) + len(page.rejected)
    total = shown if page.cursor is None else page.total_records
    pages = 1 if page.cursor is None else total and math.ceil(total / max(shown, 1))
    return {"users": total, "pages": pages}


if __name__ == "__main__":
    probes = {"gong": _gong, "users": _users}
    print(f"{RESULT}{json.dumps(probes[sys.argv[1]](sys.argv[2]))}", flush=True)
