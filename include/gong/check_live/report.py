"""The table and the verdict that are printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from include.gong.check_live import histories, lists, wire
from include.gong.check_live.finding import Finding
from include.gong.check_live.survey import Survey

_HEAD = Finding("question", "assumed", "seen")


def report(host: str, credentials: str, seen: Survey) -> str:
    """All that is printed about a connection that works."""
    findings = [
        Finding("connection", "works", f"works: {host} takes {credentials}"),
        *histories.findings(seen),
        *lists.findings(seen),
        *wire.findings(seen),
    ]
    return "\n".join([*_table(findings), "", *_verdict(findings, seen)])


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    rows = [_HEAD, *findings]
    question = max(len(row.question) for row in rows)
    assumed = max(len(row.assumed) for row in rows)
    for row in rows:
        mark = {True: "!", None: "?"}.get(row.differs, " ")
        yield f"{mark} {row.question:{question}} | {row.assumed:{assumed}} | {row.seen}"


def _verdict(findings: Sequence[Finding], seen: Survey) -> Iterator[str]:
    different = [finding for finding in findings if finding.differs]
    unseen = sum(finding.differs is None for finding in findings)
    said = f"{len(different)} of {len(findings)} differ (!)" if different else "All as assumed"
    rest = f", {unseen} not seen (?)" if unseen else ""
    yield f"{said}{rest}. {seen.calls} calls were made."
    if seen.cut_off:
        yield f"It ended early: {seen.cut_off}."
    for finding in different:
        yield f"- {finding.question}: {finding.means}."
