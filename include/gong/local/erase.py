"""One user erased, or that taken back: in the warehouse itself, after showing which one and whom."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import URL, Engine

from gong_provider.client.endpoints import check_user_id
from gong_provider.client.errors import GongConfigError
from gong_provider.client.protocols import utc_now
from include.gong.local.settings import LocalError
from include.gong.warehouse.connect import engine_for, place, schema_of
from include.gong.warehouse.erasure_request import (
    KnownUser,
    UnknownUserError,
    erase_on_request,
    known_user,
    take_back_on_request,
)
from include.gong.warehouse.migrate import is_current, migrate

_USE = "Use: make erase USER_ID=7012345678901234567 (UNDO=1 takes it back, YES=1 asks nothing)."
_WHERE = "It stands in gong.users: SELECT user_id FROM gong.users WHERE email_address = '…'."
_FLAGS = ("UNDO", "YES", "FORCE")


@dataclass(frozen=True)
class Request:
    """What the command is asked for.

    :ivar yes: without asking the person at the terminal.
    :ivar force: also for an id that the warehouse does not know.
    """

    user_id: str
    undo: bool = False
    yes: bool = False
    force: bool = False

    @classmethod
    def from_environment(cls) -> "Request":
        """USER_ID, UNDO, YES and FORCE, which make exports where they stand on its command line.

        :raises LocalError: there is no id in it, or something else.
        """
        user_id = os.environ.get("USER_ID", "")
        if not user_id:
            raise LocalError(f"USER_ID is missing: the Gong id of the user to erase. {_USE} {_WHERE}")
        if "@" in user_id:
            raise LocalError(
                "USER_ID is an e-mail address. Give the user's Gong id: what is typed stays in a shell's "
                f"history, and an id names nobody. {_WHERE}"
            )
        try:
            check_user_id(user_id)
        except GongConfigError as error:
            raise LocalError(f"USER_ID: {error}. {_USE}") from None
        flags = {name: os.environ.get(name, "") for name in _FLAGS}
        for name, value in flags.items():
            if value not in ("", "0", "1"):
                raise LocalError(f"{name} must be 1, or not given. {_USE}")
        undo, yes, force = (value == "1" for value in flags.values())
        return cls(user_id, undo, yes, force)


def erase(warehouses: Sequence[URL], request: Request) -> None:
    """Say in which warehouse, show the user, ask, and erase them there, or take that back.

    :param warehouses: the first one that knows the user is meant; else the first.
    :raises LocalError: no warehouse knows the user, or the person at the terminal does not say yes.
    """
    engines = [engine_for(url) for url in warehouses]
    engine = engines[0]
    if len(engines) > 1:
        engine = next((each for each in engines if _known(each, request.user_id)), engine)
    print(f"Warehouse: {place(engine.url)}, schema {schema_of(engine.url)}", flush=True)
    user = _known(engine, request.user_id)
    if not user and not request.force:
        raise _unknown(UnknownUserError())
    for line in _shown(request.user_id, user):
        print(line)
    _ask(request)
    migrate(engine)
    try:
        _take_back(engine, request) if request.undo else _erase(engine, request)
    except UnknownUserError as error:
        raise _unknown(error) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped before it was done: the same command again finishes it.") from None


def _known(engine: Engine, user_id: str) -> KnownUser:
    if is_current(engine) is None:  # nothing is made where nothing is: it may be the wrong database
        return KnownUser()
    migrate(engine)
    return known_user(engine, user_id)


def _unknown(error: UnknownUserError) -> LocalError:
    return LocalError(f"{error} FORCE=1 goes on all the same.")


def _shown(user_id: str, user: KnownUser) -> list[str]:
    """Whom the id names. Their name is for a terminal only: what else is printed ends up in logs."""
    name = f", {printable(user.name)}" if user.name and sys.stdout.isatty() else ""
    stored = counted(user.rows) or "no row"
    erased = ". Erased before" if user.is_erased else ""
    return [f"User:      {printable(user_id)}{name}", f"Stored:    {stored}{erased}"]


def _ask(request: Request) -> None:
    if request.yes:
        return
    question = "Take the erasure back, so that a sync may load this user again?"
    question = question if request.undo else "Erase this user for good?"
    if not sys.stdin.isatty():
        raise LocalError(f"{question} Nobody can be asked here: YES=1 says yes. Nothing was changed.")
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise LocalError("Nothing was changed.")


def _erase(engine: Engine, request: Request) -> None:
    erased = erase_on_request(engine, request.user_id, utc_now(), force=request.force)
    print("This user is erased: no sync loads them any more.")
    if erased.rows:
        print(f"Rows removed, or that name them no longer: {counted(erased.rows)}.")
        print("What backups and logs still hold, and for how long: docs/privacy.md.")
    else:
        print("Nothing was stored of them.")


def _take_back(engine: Engine, request: Request) -> None:
    if take_back_on_request(engine, request.user_id, force=request.force):
        print("The erasure is taken back: the next sync may load this user again.")
    else:
        print("This user was not erased: there was nothing to take back.")


def counted(rows: Mapping[str, int]) -> str:
    """Rows by table, in words."""
    return ", ".join(f"{number:,} in {table}" for table, number in rows.items())


def printable(text: str) -> str:
    """Text that does nothing to a terminal: others chose it."""
    return "".join(each if each.isprintable() else "?" for each in text)
