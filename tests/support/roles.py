"""Creates the roles of docs/operations.md by its own SQL, on a database that grants PUBLIC nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Engine, make_url

from include.gong.warehouse.connect import engine_for, schema_of

_PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
_CHAPTER = _PAGE.partition("\n## Roles\n")[2].partition("\n## ")[0]
ADMINISTRATOR, LOADER, READER = re.findall(r"```sql\n(.*?)```", _CHAPTER, re.DOTALL)

_PASSWORD = "change-me"
# A database whose administrator is strict.
_NOTHING_FOR_PUBLIC = """
    REVOKE ALL ON DATABASE analytics FROM PUBLIC;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE gong_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE gong_owner REVOKE USAGE ON TYPES FROM PUBLIC;
    CREATE ROLE ann LOGIN PASSWORD 'change-me' IN ROLE gong_reader;
"""


@dataclass(frozen=True)
class Roles:
    """Engines of all roles on one warehouse; ``reader`` is an analyst with that role.

    :ivar names: the page's names to names used here, as roles belong to the whole server.
    """

    admin: Engine
    owner: Engine
    loader: Engine
    reader: Engine
    names: dict[str, str]

    def run(self, engine: Engine, sql: str) -> None:
        """Execute the page's SQL with the names used here."""
        with engine.begin() as connection:
            connection.exec_driver_sql(re.sub(r"\w+", lambda word: self.names.get(word[0], word[0]), sql))

    def close(self) -> None:
        """Close all connections."""
        for engine in (self.admin, self.owner, self.loader, self.reader):
            engine.dispose()


def make_roles(database_url: str | URL) -> Roles:
    """Create the roles in an empty database, as its administrator does."""
    url = make_url(database_url)
    names = {name: f"{name}_{url.database}" for name in ("gong_owner", "gong_loader", "gong_reader", "ann")}

    def login(role: str) -> Engine:
        return engine_for(url.set(username=names[role], password=_PASSWORD))

    roles = Roles(
        admin=engine_for(url),
        owner=login("gong_owner"),
        loader=login("gong_loader"),
        reader=login("ann"),
        names=names | {"analytics": str(url.database), "gong": schema_of(url)},
    )
    roles.run(roles.admin, ADMINISTRATOR)
    roles.run(roles.admin, _NOTHING_FOR_PUBLIC)
    return roles
