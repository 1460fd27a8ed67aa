"""The figures as a picture: bars of how much of what is wanted was reached, as SVG that no program has to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from tests.benchmarks.figures import Figure

LABELS: Final = 400
"""Pixels, as are all below."""
FULL: Final = 200
"""Exactly as much as is wanted."""
MOST: Final = 2.0
"""A longer bar ends here."""
LINE: Final = 22
TOP: Final = 34
WIDTH: Final = LABELS + int(FULL * MOST) + 70
GOOD, SHORT = "#2a7f62", "#b5532c"


def svg(figures: Sequence[Figure]) -> str:
    """The whole file."""
    height = TOP + LINE * len(figures) + 8
    bars = "\n".join(_bar(figure, TOP + LINE * n) for n, figure in enumerate(figures))
    line = LABELS + FULL
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" \
font-size="12" role="img">
<title>How much of what is wanted was reached</title>
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
<text x="{line}" y="16" text-anchor="middle" fill="#333">as wanted</text>
{bars}
<line x1="{line}" y1="{TOP - 12}" x2="{line}" y2="{height - 6}" stroke="#333" stroke-dasharray="3 3"/>
</svg>
"""


def _bar(figure: Figure, top: int) -> str:
    reached = max(0.0, min(figure.reached, MOST))
    colour = GOOD if figure.reached >= 1 else SHORT
    middle = top + LINE // 2
    said = f"{figure.reached:.0%}" if figure.reached <= MOST else f"> {MOST:.0%}"
    return (
        f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end" fill="#333">{escape(figure.name)}</text>'
        f'<rect x="{LABELS}" y="{top}" width="{reached * FULL:.0f}" height="{LINE - 8}" fill="{colour}"/>'
        f'<text x="{LABELS + reached * FULL + 6:.0f}" y="{middle}" fill="#333">{said}</text>'
    )
