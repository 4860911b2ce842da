"""The link from a task to the Gong page of its run. Read when a DAG file is parsed: imports nothing heavy."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

PAGE = "/plugin/gong/gong"
"""Where Airflow's UI shows our page: its frame, and below it our own addresses."""


def page_address(*parts: str) -> str:
    """The address of a part of the page, each part of it quoted."""
    base = str(conf.get("api", "base_url", fallback="http://localhost:8080")).rstrip("/")
    return "/".join((f"{base}{PAGE}", *(quote(part, safe="") for part in parts)))


def owner_links() -> dict[str, str]:
    """Where the owner's name leads in the UI; nowhere where Airflow does not know its own address."""
    address = page_address()
    return {"gong": address} if "://" in address else {}


class GongPageLink(BaseOperatorLink):
    """What a run did, on our page. Airflow keeps the address as an XCom when the task ends."""

    name = "Gong page"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        return page_address("runs", ti_key.dag_id, ti_key.run_id)


PAGE_LINKS = (GongPageLink(),)


def link_to_page(dag: Any) -> None:
    """Give each task of a DAG the link; a mapped one has it from its operator's class."""
    for task in dag.tasks:
        task.operator_extra_links = PAGE_LINKS
