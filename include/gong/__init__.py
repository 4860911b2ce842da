"""Gong in Postgres: tables, loads, tasks, the page, and the checkout's commands. One folder to copy."""
