"""What the state that workers share needs of Postgres: engine, schema, tables."""
