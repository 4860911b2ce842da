"""The commands ``airflow gong …``. Airflow imports this file for each command: it imports little."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.cli.cli_config import ARG_VERBOSE, ActionCommand, Arg, CLICommand, GroupCommand
from airflow.utils.cli import suppress_logs_and_warning

if TYPE_CHECKING:
    from argparse import Namespace

    from gong_provider.doctor import Report
    from gong_provider.hooks.gong import GongHook

_arg: Any = Arg  # untyped
_CONN_ID = _arg(
    ("-c", "--conn-id"), default="gong_default", help="The Gong connection (default: gong_default)"
)
_JSON = _arg(("--json",), action="store_true", help="Print JSON")
_STRICT = _arg(
    ("--strict",), action="store_true", help="Exit with 1 where Gong differs or the check ended early"
)
_USER_ID = _arg(("user_id",), help="The user's Gong id")


def get_gong_cli_commands() -> list[CLICommand]:
    """Return the commands: the entry ``cli`` of the provider's info."""
    shared = (_CONN_ID, _JSON, ARG_VERBOSE)
    return [
        GroupCommand(
            name="gong",
            help="Check a Gong connection and its quota, and look users up",
            subcommands=(
                ActionCommand(
                    name="doctor",
                    help="Compare a Gong account's responses with this provider's assumptions",
                    description="Makes at most 20 calls, and prints no personal data.",
                    func=doctor,
                    args=(_CONN_ID, _JSON, _STRICT, ARG_VERBOSE),
                ),
                ActionCommand(
                    name="quota",
                    help="Show the calls used and left, by hour and endpoint, and until when calls pause",
                    description="Makes no call: reads the Postgres through which workers share the quota.",
                    func=quota,
                    args=shared,
                ),
                GroupCommand(
                    name="users",
                    help="Look users up, at one call each",
                    subcommands=(
                        ActionCommand(
                            name="get",
                            help="Show one user",
                            func=get_user,
                            args=(_USER_ID, *shared),
                        ),
                        ActionCommand(
                            name="history",
                            help="Show the changes of one user's settings",
                            func=get_history,
                            args=(_USER_ID, *shared),
                        ),
                    ),
                ),
            ),
        )
    ]


@suppress_logs_and_warning
def doctor(args: Namespace) -> None:
    """Print a report on the connection; exit with 1 where it does not work.

    With ``--strict`` also where Gong differs, or where the report is not whole.
    """
    import asyncio

    with _connections():
        from gong_provider.doctor import diagnose

        report = asyncio.run(diagnose(args.conn_id))
    if args.json:
        _print_json({"host": report.host, "calls": report.calls, "ended_early": report.ended_early or None,
                     "findings": [{"topic": each.topic, "assumed": each.assumed, **each.seen._asdict()}
                                  for each in report.findings]})  # fmt: skip
    else:
        _print_report(report)
    if args.strict and (report.ended_early or any(finding.seen.differs for finding in report.findings)):
        raise SystemExit(1)


@suppress_logs_and_warning
def quota(args: Namespace) -> None:
    """Print the account's calls of the last 24 hours, and those that remain."""
    with _hook(args) as hook:
        usage, limits = hook.usage(), hook.settings.limits
    state = {
        "limit": limits.daily_limit or None,
        "reserved": limits.reserve if limits.calls_per_day else None,
        "used": usage.used,
        "remaining": usage.remaining.now,
        "others": usage.remaining.others,
        "paused_until": usage.paused_until,
    }
    if args.json:
        _print_json(state | {"by_hour": [row._asdict() for row in usage.by_hour]})
        return
    if not limits.daily_limit:
        state |= dict.fromkeys(("limit", "remaining"), "unlimited")
    _print_table(["calls", ""], [(name.replace("_", " "), value) for name, value in state.items()])
    if usage.by_hour:
        _print_table(["hour", "endpoint", "calls"], usage.by_hour)


@suppress_logs_and_warning
def get_user(args: Namespace) -> None:
    """Print one user."""
    with _hook(args) as hook:
        user = _plain(hook.get_user(args.user_id).user)
    if args.json:
        _print_json(user)
    else:
        _print_table(["field", "value"], user.items())


@suppress_logs_and_warning
def get_history(args: Namespace) -> None:
    """Print the changes of one user's settings, in the order in which Gong has them."""
    names = ("changed_at", "setting_name", "previous_value", "new_value", "changed_by")
    with _hook(args) as hook:
        history = hook.get_user_settings_history(args.user_id)
        changes = [{name: _plain(getattr(change, name)) for name in names} for change in history.changes]
    if args.json:
        _print_json(changes)
    else:
        _print_table(names, [tuple(change.values()) for change in changes])


@contextmanager
def _connections() -> Iterator[None]:
    """Find connections as Airflow's own commands do, those made in its UI too; explain errors in one line."""
    from airflow.sdk.exceptions import AirflowNotFoundException

    from gong_provider.client.errors import GongError

    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"  # as `airflow connections test` does
    try:
        yield
    except (GongError, AirflowNotFoundException) as error:
        raise SystemExit(str(error)) from None


@contextmanager
def _hook(args: Namespace) -> Iterator[GongHook]:
    with _connections():
        from gong_provider.hooks.gong import GongHook

        with GongHook(args.conn_id) as hook:
            yield hook


def _print_report(report: Report) -> None:
    marks = {True: "!", None: "?", False: " "}
    rows = [(marks[seen.differs], topic, assumed, seen.text) for topic, assumed, seen in report.findings]
    _print_table(["", "topic", "assumed", "seen"], rows)
    different = [finding for finding in report.findings if finding.seen.differs]
    unseen = sum(finding.seen.differs is None for finding in report.findings)
    verdict = f"{len(different)} of {len(rows)} differ (!)" if different else "All as assumed"
    _print(f"\n{verdict}{f', {unseen} not seen (?)' if unseen else ''}. {report.calls} calls were made.")
    if report.ended_early:
        _print(f"It ended early: {report.ended_early}.")
    for finding in different:
        _print(f"- {finding.topic}: {finding.seen.means}.")


def _print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows in columns; what a terminal would obey, or could not show, becomes a dot."""
    shown = [head, *([_shown(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        _print(" | ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip())


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else json.dumps(_plain(value))
    return "".join(character if character.isprintable() else "·" for character in text)


def _plain(value: Any) -> Any:
    """Return a model as JSON's types."""
    import msgspec

    return msgspec.to_builtins(value)


def _print_json(value: Any) -> None:
    _print(json.dumps(_plain(value), indent=2))


def _print(line: str) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{line}\n".encode(encoding, "replace").decode(encoding))
