"""Draws the results as SVG: one bar per contestant, on a logarithmic scale, for light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from benchmarks.report import Line

_LEFT, _WIDTH, _ROW, _TOP = 330, 800, 34, 30
_SCALE = _WIDTH - _LEFT - 90

# Grey is readable on both; the media queries have better colours where the viewer knows its theme.
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #777 }
  .grid { stroke: #888; stroke-opacity: .3 }
  .bar { fill: #8a8f98 }
  .ours { fill: #7c5cbf }
  @media (prefers-color-scheme: light) { text { fill: #333 } }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } .ours { fill: #a58be0 } }
"""


def svg(found: list[Line]) -> str:
    """Return the picture of all lines with right rows and a ratio."""
    shown = [line for line in found if line.ratio and not line.wrong]
    decades = max(1, math.ceil(math.log10(max((line.ratio for line in shown), default=10))))
    height = _TOP + _ROW * len(shown) + 36
    title = "Seconds as multiples of the limit, logarithmic"
    body = "\n".join([*_grid(decades, height), *_bars(shown, decades)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{title}">\n<title>{title}</title>\n<style>{_STYLE}</style>\n{body}\n</svg>\n'
    )


def _grid(decades: int, height: int) -> Iterator[str]:
    for decade in range(decades + 1):
        x = _x(10.0**decade, decades)
        yield f'<line class="grid" x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{height - 30}"/>'
        label = "the limit" if decade == 0 else f"{10**decade:,} ×"
        yield f'<text x="{x}" y="{height - 12}" text-anchor="middle">{label}</text>'


def _bars(shown: list[Line], decades: int) -> Iterator[str]:
    for number, line in enumerate(shown):
        y = _TOP + _ROW * number
        end = max(_x(line.ratio, decades), _LEFT + 1)
        kind = "bar ours" if line.contestant.startswith("ours") else "bar"
        name = escape(f"{line.title.partition(' (')[0]}, {line.users:,} users")
        yield f'<text x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{name}</text>'
        yield f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{end - _LEFT}" height="21" rx="2"/>'
        yield f'<text x="{end + 7}" y="{y + 15}">{line.ratio:,.1f} ×</text>'


def _x(ratio: float, decades: int) -> int:
    return round(_LEFT + _SCALE * max(0.0, math.log10(ratio)) / decades)
