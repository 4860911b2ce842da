"""Erases one user in the warehouse, or undoes that, after showing the warehouse and the user."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import URL, Engine

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError
from gong_provider.client.models import utc_now
from include.gong.local.output import Output
from include.gong.local.settings import LocalError, UsageError
from include.gong.warehouse.connect import display_address, engine_for, schema_of
from include.gong.warehouse.erasure import KnownUser, UnknownUserError, erase_user, known_user, undo_erasure
from include.gong.warehouse.migrate import is_current, migrate

_WHERE = "It is in gong.users: SELECT user_id FROM gong.users WHERE email_address = '…'."


@dataclass(frozen=True)
class Request:
    """The arguments of the command.

    :ivar yes: do not ask for confirmation.
    :ivar force: accept an id that the warehouse does not know.
    """

    user_id: str
    undo: bool = False
    yes: bool = False
    force: bool = False

    @classmethod
    def checked(cls, user_id: str, **flags: bool) -> "Request":
        """Check the id; the message of an error does not repeat it.

        :raises UsageError: it is missing or invalid.
        """
        if not user_id:
            raise UsageError(f"USER_ID is missing: the Gong id of the user to erase. {_WHERE}")
        if "@" in user_id:
            raise UsageError(
                "USER_ID is an e-mail address. Give the user's Gong id: a command stays in the shell's "
                f"history, and an id does not identify a person there. {_WHERE}"
            )
        try:
            check_user_id(user_id)
        except GongConfigError as error:
            raise UsageError(f"USER_ID: {error}.") from None
        return cls(user_id, **flags)


def erase(warehouses: Sequence[URL], request: Request, output: Output) -> None:
    """Show the warehouse and the user, ask for confirmation, and erase the user there, or undo that.

    :param warehouses: the first that knows the user is used; else the first.
    :raises LocalError: no warehouse knows the user, or it was not confirmed.
    """
    engines = [engine_for(url) for url in warehouses]
    engine = engines[0]
    if len(engines) > 1:
        engine = next((each for each in engines if _find_user(each, request.user_id)), engine)
    output.doing("")
    output.say(f"Warehouse: {display_address(engine.url)}, schema {schema_of(engine.url)}")
    user = _find_user(engine, request.user_id)
    if not user and not request.force:
        raise _unknown_user_error(UnknownUserError())
    for line in _describe(request.user_id, user):
        output.say(line)
    _confirm(request, output)
    migrate(engine)  # an empty database, with FORCE=1
    try:
        text, rows = _lift(engine, request) if request.undo else _erase(engine, request)
    except UnknownUserError as error:
        raise _unknown_user_error(error) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped before it was finished: run the same command again.") from None
    where = {"warehouse": display_address(engine.url), "schema": schema_of(engine.url)}
    output.result(text, **where, user_id=request.user_id, is_erased=not request.undo, rows=rows)


def _find_user(engine: Engine, user_id: str) -> KnownUser:
    current = is_current(engine)
    if current is None:  # no table is created in an empty database: it may be the wrong one
        return KnownUser()
    if not current:
        raise LocalError(
            f"The tables in {display_address(engine.url)} are of an older version: run a sync or "
            "`make migrate` first. Nothing was changed."
        )
    return known_user(engine, user_id)


def _unknown_user_error(error: UnknownUserError) -> LocalError:
    return LocalError(f"{error} --force (FORCE=1) skips this check.")


def _describe(user_id: str, user: KnownUser) -> list[str]:
    """Return lines about the user. The name is for terminals only: other output ends up in logs."""
    name = f", {printable(user.name)}" if user.name and sys.stdout.isatty() else ""
    stored = counted(user.rows) or "no row"
    erased = ". Erased before" if user.is_erased else ""
    return [f"User:      {printable(user_id)}{name}", f"Stored:    {stored}{erased}"]


def _confirm(request: Request, output: Output) -> None:
    if request.yes:
        return
    question = "Undo the erasure, so that a sync may load this user again?"
    question = question if request.undo else "Erase this user for good?"
    if not sys.stdin.isatty():
        raise UsageError(
            f"{question} There is no terminal to confirm it: --yes (YES=1). Nothing was changed."
        )
    output.say(f"{question} [y/N] ")
    try:
        reply = input()
    except EOFError:
        reply = ""
    if reply.strip().lower() not in ("y", "yes"):
        raise LocalError("Nothing was changed.")


def _erase(engine: Engine, request: Request) -> tuple[str, Mapping[str, int]]:
    rows = erase_user(engine, request.user_id, utc_now(), only_known=not request.force).rows
    erased = "This user is erased: no sync loads them any more.\n"
    if not rows:
        return f"{erased}No row was stored of them.", rows
    return (
        f"{erased}Rows deleted or changed: {counted(rows)}.\n"
        "docs/security.md says what backups and logs still contain, and for how long."
    ), rows


def _lift(engine: Engine, request: Request) -> tuple[str, Mapping[str, int]]:
    if undo_erasure(engine, request.user_id, force=request.force):
        return "The erasure is undone: the next sync may load this user again.", {}
    return "This user was not erased: there was nothing to undo.", {}


def counted(rows: Mapping[str, int]) -> str:
    """Format row counts by table."""
    return ", ".join(f"{number:,} in {table}" for table, number in rows.items())


def printable(text: str) -> str:
    """Replace characters that could control a terminal: the text is user input."""
    return "".join(each if each.isprintable() else "?" for each in text)
