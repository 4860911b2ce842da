"""What many teams would take: a low-code Airbyte source, run by PyAirbyte into its Postgres cache."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))
# Read when it is imported: no registry, no telemetry, and nothing written but to a place that goes away.
os.environ |= {"AIRBYTE_OFFLINE_MODE": "1", "AIRBYTE_NO_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
os.environ["AIRBYTE_PROJECT_DIR"] = tempfile.mkdtemp(prefix="gong-bench-airbyte-")
os.environ |= dict.fromkeys(
    ("AIRBYTE_CACHE_ROOT", "AIRBYTE_LOGGING_ROOT", "AIRBYTE_TEMP_DIR"), os.environ["AIRBYTE_PROJECT_DIR"]
)

import airbyte as ab
from airbyte.caches import PostgresCache
from contestant import ACCESS_KEY, ACCESS_KEY_SECRET, contest


def load(gong: str, postgres: str, users: int) -> None:
    """Read both streams in full, and put them in place of what the cache held."""
    at = urlsplit(postgres)
    cache = PostgresCache(
        host=unquote(at.hostname or ""),
        port=at.port or 5432,
        username=unquote(at.username or ""),
        password=unquote(at.password or ""),
        database=at.path[1:],
    )
    source = ab.get_source(
        "source-gong",
        config={"url": gong, "access_key": ACCESS_KEY, "access_key_secret": ACCESS_KEY_SECRET},
        source_manifest=Path(__file__).with_name("manifest.yaml"),
        streams="*",
    )
    source.read(cache, force_full_refresh=True, write_strategy="replace")
    cache.close()


if __name__ == "__main__":
    try:
        contest(load)
    finally:
        shutil.rmtree(os.environ["AIRBYTE_PROJECT_DIR"], ignore_errors=True)
