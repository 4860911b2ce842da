"""Migrates the warehouse's schema to this code's version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from gong_provider.db.schema import are_present, make_schema, make_tables
from include.gong.warehouse.connect import display_address, schema_of, transaction
from include.gong.warehouse.errors import WarehouseError

_LOCK = 0x676F6E67  # "gong": any number that nobody else in this database uses

# Reads the catalog instead of to_regclass(), which may return the state from before the lock.
_HAS_VERSION = text("""
    SELECT EXISTS (
        SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE nspname = :schema AND relname = 'alembic_version')
""")
_VERSION = text("SELECT version_num FROM alembic_version")


def migrate(engine: Engine) -> bool:
    """Upgrade the schema to the newest version in one transaction; concurrent calls are safe.

    Needs no right to create anything if the version is current.

    :return: whether the schema was changed.
    :raises WarehouseError: the database can't be reached, lacks rights, is not in UTF-8, or is newer
        than this code.
    """
    scripts = ScriptDirectory.from_config(_config())
    with transaction(engine) as connection:
        if _is_current(connection, scripts):
            return False
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _is_current(connection, scripts):
            return False
        _require_utf8(connection)
        upgrade(connection, "head")
        make_tables(connection)  # the provider's own, which it would create at its first call
        return True


def is_current(engine: Engine) -> bool | None:
    """Whether the schema is at this code's version; None: there are no tables yet.

    :raises WarehouseError: the database can't be reached, or is newer than this code.
    """
    with transaction(engine) as connection:
        if _revision(connection) is None:
            return None
        return _is_current(connection, ScriptDirectory.from_config(_config()))


def upgrade(connection: Connection, revision: str) -> None:
    """Upgrade the schema to a revision, in the caller's transaction."""
    make_schema(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _is_current(connection: Connection, scripts: ScriptDirectory) -> bool:
    current = _revision(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise WarehouseError(
            f"The warehouse {display_address(connection.engine.url)} is at version {current}, which is newer "
            "than this code; update the code."
        )
    return current == scripts.get_current_head() and are_present(connection)


def _revision(connection: Connection) -> str | None:
    if not connection.scalar(_HAS_VERSION, {"schema": schema_of(connection.engine.url)}):
        return None
    revision: str | None = connection.scalar(_VERSION)
    return revision


def _require_utf8(connection: Connection) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise WarehouseError(
            f"The database {display_address(connection.engine.url)} is in {encoding}, where not every name "
            "fits; create one with ENCODING 'UTF8'."
        )
