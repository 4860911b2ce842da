"""Links from a task to the Gong page of its run. Imported when a DAG file is parsed, so it imports little."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

PAGE = "/plugin/gong/gong"
"""Path at which Airflow's UI shows the page in a frame; the page's own paths follow it."""


def page_address(*parts: str) -> str:
    """Return the address of a path of the page, its parts quoted."""
    base = str(conf.get("api", "base_url", fallback="http://localhost:8080")).rstrip("/")
    return "/".join((f"{base}{PAGE}", *(quote(part, safe="") for part in parts)))


def owner_links() -> dict[str, str]:
    """Return the link of the owner's name in the UI; none where Airflow has no base URL."""
    address = page_address()
    return {"gong": address} if "://" in address else {}


class GongPageLink(BaseOperatorLink):
    """Links to the page of the task's run. Airflow stores the address as an XCom when the task ends."""

    name = "Gong page"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        return page_address("runs", ti_key.dag_id, ti_key.run_id)


PAGE_LINKS = (GongPageLink(),)


def link_to_page(dag: Any) -> None:
    """Add the link to each task of a DAG; a mapped task has it from its operator's class."""
    for task in dag.tasks:
        task.operator_extra_links = PAGE_LINKS
