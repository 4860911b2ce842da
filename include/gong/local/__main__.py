"""The command line behind the Makefile: python -m include.gong.local COMMAND."""

import argparse
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date
from types import FrameType
from typing import Any

from rich_argparse import RichHelpFormatter

from include.gong.local.output import Output
from include.gong.local.settings import LocalError, UsageError

_EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.gong.local",
        description="Sync Gong's users into Postgres on this machine, with a real Airflow.",
        epilog=_EPILOG,
        formatter_class=RichHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(
            name, help=summary, description=f"{summary}.", epilog=_EPILOG, formatter_class=RichHelpFormatter
        )
        made.add_argument(
            "--json", action="store_true", help="print the result as JSON, and all else on stderr"
        )
        return made

    run = command("run", "Sync once, and print a summary")
    run.add_argument("--conf", type=_conf, default={}, help="the run's params, as a JSON object")
    up = command("up", "Run Airflow with its UI and the daily schedule, until Ctrl-C")
    up.add_argument("--port", type=int, default=8080, help="of the UI on 127.0.0.1 (default: 8080)")
    for each in (run, up):
        each.add_argument(
            "--variant", choices=("contract", "live"), default="",
            help="how the sandbox answers: as Gong's contract says (default), or as its live service does",
        )  # fmt: skip
    backfill = command("backfill", "Run past days, one run each")
    backfill.add_argument("--from", dest="begin", type=_day, required=True, help="the first day, in UTC")
    backfill.add_argument("--to", dest="end", type=_day, required=True, help="the last day, included")
    backfill.add_argument("--dry-run", action="store_true", help="only estimate the calls to Gong")
    command("check-live", "Compare your Gong account's responses with this project's assumptions")
    erase = command("erase", "Erase one user for good")
    erase.add_argument("user_id", metavar="USER_ID", help="their Gong id")
    erase.add_argument("--undo", action="store_true", help="let a sync load this user again")
    erase.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    erase.add_argument("--force", action="store_true", help="accept an id that the warehouse does not know")
    return parser


def _conf(text: str) -> dict[str, Any]:
    try:
        conf = json.loads(text)
    except ValueError:
        conf = None
    if not isinstance(conf, dict):
        raise argparse.ArgumentTypeError("""must be a JSON object, like '{"history": "none"}'""")
    return conf


def _day(text: str) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise argparse.ArgumentTypeError("must be a day, like 2026-01-31")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a day of the calendar") from None


def _end_with_parent() -> None:
    """End when the parent has ended: a killed `make` sends no signal."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


def _on_stop(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job ignores SIGINT
        signal.signal(number, handler)


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    given = _parser().parse_args(arguments)
    if "MAKELEVEL" in os.environ:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with Output(as_json=given.json) as output:

            def stop_at_once(*_: object) -> None:
                output.doing("")
                code = _failed(given, "Stopped.", 130)
                sys.stdout.flush()
                os._exit(code)

            # While modules are imported, an exception may be lost, and nothing is there to be stopped.
            _on_stop(stop_at_once)
            output.doing("Starting")
            from include.gong.local import commands  # this takes most of a second

            _on_stop(signal.default_int_handler)
            return commands.COMMANDS[given.command](output, given)
    except KeyboardInterrupt as stopped:
        return _failed(given, str(stopped) or "Stopped.", 130)
    except UsageError as error:
        return _failed(given, str(error), 2)
    except LocalError as error:
        return _failed(given, str(error), 1)


def _failed(given: argparse.Namespace, why: str, code: int) -> int:
    print(why, file=sys.stderr)
    if given.json:
        print(json.dumps({"error": why}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
