"""Runs Alembic inside the transaction that ``include.warehouse.migrate`` opened."""

from alembic import context

from include.warehouse.connect import SCHEMA

context.configure(connection=context.config.attributes["connection"], version_table_schema=SCHEMA)
context.run_migrations()
