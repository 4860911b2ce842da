"""Formats the report: a table and a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from include.gong.check_live import histories, lists, wire
from include.gong.check_live.finding import Finding
from include.gong.check_live.survey import Survey

_HEAD = Finding("topic", "assumed", "seen")


def report(host: str, credentials: str, seen: Survey) -> str:
    """Return the report on a connection that works."""
    findings = [
        Finding("connection", "works", f"works: {host} takes {credentials}"),
        *histories.findings(seen),
        *lists.findings(seen),
        *wire.findings(seen),
    ]
    return "\n".join([*_table(findings), "", *_verdict(findings, seen)])


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    rows = [_HEAD, *findings]
    topic = max(len(row.topic) for row in rows)
    assumed = max(len(row.assumed) for row in rows)
    for row in rows:
        mark = {True: "!", None: "?"}.get(row.differs, " ")
        yield f"{mark} {row.topic:{topic}} | {row.assumed:{assumed}} | {row.seen}"


def _verdict(findings: Sequence[Finding], seen: Survey) -> Iterator[str]:
    different = [finding for finding in findings if finding.differs]
    unseen = sum(finding.differs is None for finding in findings)
    verdict = f"{len(different)} of {len(findings)} differ (!)" if different else "All as assumed"
    rest = f", {unseen} not seen (?)" if unseen else ""
    yield f"{verdict}{rest}. {seen.calls} calls were made."
    if seen.cut_off:
        yield f"It ended early: {seen.cut_off}."
    for finding in different:
        yield f"- {finding.topic}: {finding.means}."
