"""An example of a module gong_alerts for the plugins folder: failed runs and findings, by Slack and mail.

The connection ``slack`` is of type HTTP: host ``https://hooks.slack.com/services``, as its password the rest
of the address of an incoming webhook. The connection ``smtp_default`` is the mail server.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.http.notifications.http import HttpNotifier
from airflow.providers.smtp.notifications.smtp import SmtpNotifier

WEBHOOK: dict[str, Any] = {"http_conn_id": "slack", "endpoint": "{{ conn.slack.password }}"}
FAILED = "{{ dag.dag_id }} failed: {{ run_id }}"

ALERTS = {
    dag_id: {"on_failure_callback": HttpNotifier(**WEBHOOK, json={"text": FAILED})}
    for dag_id in ("gong_users_sync", "gong_freshness")
}


def with_ids(context: Any) -> None:
    """Post each new finding, where they are few: the ids, for names may not leave the warehouse."""
    new = context["findings"].new
    if 0 < len(new) <= 20:
        text = "\n".join(f"{finding.kind.replace('_', ' ')}: user {finding.user_id}" for finding in new)
        HttpNotifier(**WEBHOOK, json={"text": text})(context)


ON_FINDINGS = [
    HttpNotifier(**WEBHOOK, json={"text": "Gong: {{ findings_summary }}"}),
    SmtpNotifier(
        to="sales-ops@example.com",
        from_email="airflow@example.com",
        subject="Gong: {{ findings.new | length }} new findings, {{ findings.resolved | length }} resolved",
        html_content="{{ findings_summary }}",
    ),
    with_ids,
]
