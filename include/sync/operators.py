"""The provider's operators where our DAGs need more of them. Read when a DAG file is parsed."""

from __future__ import annotations

from gong_provider.operators.gong import GongGetUserSettingsHistoryOperator
from include.page.links import PAGE_LINKS


class FetchHistoriesOperator(GongGetUserSettingsHistoryOperator):
    """Batches of settings histories. The link is the class's: Airflow unmaps a task from its class."""

    operator_extra_links = PAGE_LINKS
