"""Brings the warehouse's tables to this code's version, or finds them there."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from gong_provider.coordination.tables import are_present, make_tables
from include.warehouse.connect import SCHEMA, place, transaction
from include.warehouse.errors import WarehouseError

_LOCK = 0x676F6E67  # "gong": anything that no one else in this database takes

# The catalogs are read, not asked through to_regclass(): within a transaction that one may still
# answer from before the lock.
_HAS_SCHEMA = text("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)")
_HAS_VERSION = text("""
    SELECT EXISTS (
        SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = :schema AND relname = 'alembic_version')
""")
_VERSION = text(f"SELECT version_num FROM {SCHEMA}.alembic_version")  # noqa: S608 (a constant)


def migrate(engine: Engine) -> bool:
    """Upgrade the schema to the newest version in one transaction; two at once are fine.

    Needs no right to create anything where the version is already right.

    :return: whether there was something to do.
    :raises WarehouseError: the database can't be reached, lacks rights, is not in UTF-8, or is newer
        than this code.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    with transaction(engine) as connection:
        if _is_current(connection, scripts):
            return False
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _is_current(connection, scripts):
            return False
        _require_utf8(connection)
        # Asked first: IF NOT EXISTS wants the right to create even where there is nothing to do.
        if not connection.scalar(_HAS_SCHEMA, {"schema": SCHEMA}):
            connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        make_tables(connection)  # the provider's own, which it would make at its first call
        return True


def _is_current(connection: Connection, scripts: ScriptDirectory) -> bool:
    held = _revision(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    if held is not None and held not in known:
        raise WarehouseError(
            f"The warehouse {place(connection.engine.url)} is at version {held}, which is newer than this "
            "code; update the code."
        )
    return held == scripts.get_current_head() and are_present(connection)


def _revision(connection: Connection) -> str | None:
    if not connection.scalar(_HAS_VERSION, {"schema": SCHEMA}):
        return None
    revision: str | None = connection.scalar(_VERSION)
    return revision


def _require_utf8(connection: Connection) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise WarehouseError(
            f"The database {place(connection.engine.url)} is in {encoding}, where not every name fits; "
            "create one with ENCODING 'UTF8'."
        )
