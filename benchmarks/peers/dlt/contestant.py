"""What a team that writes Python would take: dlt's declarative REST source, merged into Postgres."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
# Read when it runs: nothing is sent to dltHub.
os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}

import dlt
from contestant import ACCESS_KEY, ACCESS_KEY_SECRET, contest
from dlt.destinations import postgres as postgres_destination
from dlt.sources.rest_api import RESTAPIConfig, rest_api_source


def load(gong: str, postgres: str, users: int) -> None:
    """Run the pipeline once; what it writes on its way goes away with it."""
    with tempfile.TemporaryDirectory(prefix="gong-bench-dlt-") as directory:
        pipeline = dlt.pipeline(
            "gong",
            pipelines_dir=directory,
            destination=postgres_destination(credentials=postgres),
            dataset_name="gong",
        )
        pipeline.run(rest_api_source(_config(gong))).raise_on_failed_jobs()


def _config(gong: str) -> RESTAPIConfig:
    """Both resources; not parallelized, which makes it slower where the service answers at once."""
    return {
        "client": {
            "base_url": f"{gong}/v2/",
            "auth": {"type": "http_basic", "username": ACCESS_KEY, "password": ACCESS_KEY_SECRET},
        },
        "resource_defaults": {"write_disposition": "merge"},
        "resources": [
            {
                "name": "users",
                "primary_key": "id",
                "endpoint": {
                    "path": "users",
                    "data_selector": "users",
                    "paginator": {
                        "type": "cursor",
                        "cursor_path": "records.cursor",
                        "cursor_param": "cursor",
                    },
                },
            },
            {
                "name": "settings_history",
                "primary_key": ["_users_id", "time", "setting"],
                "include_from_parent": ["id"],
                "endpoint": {
                    "path": "users/{resources.users.id}/settings-history",
                    "data_selector": "userSettingsHistory",
                    "paginator": "single_page",
                },
            },
        ],
    }


if __name__ == "__main__":
    contest(load)
