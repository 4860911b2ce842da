"""Migrates the warehouse's schema to this code's version: tables by Alembic, then views and functions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from gong_provider.db.schema import are_present, make_schema, make_tables
from include.gong.warehouse.connect import display_address, schema_of, transaction
from include.gong.warehouse.errors import WarehouseError
from include.gong.warehouse.schema_objects import SqlFiles, apply_objects, remember_grants, restore_grants

CODE = Path(__file__).parent
"""The folder of ``migrations`` and ``sql``."""

_LOCK = 0x676F6E67  # "gong": any number that nobody else in this database uses
_OF_DEVELOPMENT = re.compile(r"\d{4}")

# Reads the catalog instead of to_regclass(), which may return the state from before the lock.
_TABLES = text("""
    SELECT relname, obj_description(pg_class.oid, 'pg_class') AS about
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = :schema AND relkind = 'r'
""")
_VERSION = text("SELECT version_num FROM alembic_version")


class _Stored(NamedTuple):
    """What a database says of its schema; without ``revision``, there is none."""

    revision: str | None
    digest: str | None


def migrate(engine: Engine, code: Path = CODE) -> bool:
    """Upgrade the schema to the newest version in one transaction; concurrent calls are safe.

    Needs no right to create anything if the version is current.

    :param code: the folder of ``migrations`` and ``sql``.
    :return: whether the schema was changed.
    :raises WarehouseError: the database can't be reached, lacks rights, is not in UTF-8, is newer than this
        code, was made by a development version, or has a view of others on one that must be dropped.
    """
    files, config = SqlFiles(code / "sql"), _config(code)
    with transaction(engine) as connection:
        if _is_current(connection, files, config):
            return False
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if _is_current(connection, files, config):
            return False
        _require_utf8(connection)
        make_schema(connection)
        grants = remember_grants(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        apply_objects(connection, files.objects, grants)
        restore_grants(connection, grants)
        connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{files.digest}'")
        make_tables(connection)  # the provider's own, which it would create at its first call
        return True


def is_current(engine: Engine) -> bool | None:
    """Whether the schema is at this code's version; None: there are no tables yet.

    :raises WarehouseError: the database can't be reached, is newer than this code, or was made by a
        development version.
    """
    files = SqlFiles(CODE / "sql")
    with transaction(engine) as connection:
        if _stored(connection, files).revision is None:
            return None
        return _is_current(connection, files, _config(CODE))


def _config(code: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(code / "migrations").replace("%", "%%"))
    return config


def _is_current(connection: Connection, files: SqlFiles, config: Config) -> bool:
    stored, scripts = _stored(connection, files), ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    if stored.revision == head and stored.digest != files.digest:
        raise _of_development(connection, f"{head}, with other tables, views or functions")
    if stored.revision is not None and _OF_DEVELOPMENT.fullmatch(stored.revision):
        raise _of_development(connection, stored.revision)
    if stored.revision not in {None, *(script.revision for script in scripts.walk_revisions())}:
        raise WarehouseError(
            f"{_where(connection)} is at version {stored.revision}, newer than this code: update the code."
        )
    return stored.revision == head and are_present(connection)


def _stored(connection: Connection, files: SqlFiles) -> _Stored:
    found = connection.execute(_TABLES, {"schema": schema_of(connection.engine.url)})
    tables = {row.relname: row.about for row in found}
    if "alembic_version" in tables:
        return _Stored(connection.scalar(_VERSION), tables["alembic_version"])
    if tables.keys() & set(files.tables):
        raise _of_development(connection, "none")
    return _Stored(None, None)


def _of_development(connection: Connection, version: str) -> WarehouseError:
    return WarehouseError(
        f"{_where(connection)} was made by a development version (its version: {version}), which nothing "
        "upgrades. Export its erasure records with the code that made it (make export-erasures), name a new "
        "schema (gong_schema) or database, apply them there (make apply-erasures), and sync again."
    )


def _where(connection: Connection) -> str:
    url = connection.engine.url
    return f"The warehouse {display_address(url)}, schema {schema_of(url)},"


def _require_utf8(connection: Connection) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise WarehouseError(
            f"The database {display_address(connection.engine.url)} is in {encoding}, where not every name "
            "fits; create one with ENCODING 'UTF8'."
        )
