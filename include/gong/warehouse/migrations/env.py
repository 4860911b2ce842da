"""Runs Alembic inside the transaction that ``include.gong.warehouse.migrate`` opened."""

from alembic import context

from include.gong.warehouse.connect import schema_of

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema=schema_of(connection.engine.url))
context.run_migrations()
