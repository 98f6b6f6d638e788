"""A curve of a canonical weight as a few lines of SVG, small enough to stand in a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from html import escape

WIDTH = 132
HEIGHT = 44
PAD = 2
REACH = 8.0  # in lam, to either side
DECADES = 2.0  # of w(lam)/w(0), up and down; what lies beyond runs along the edge
FALLS = "#0173b2"
RISES = "#c44e00"
SHADE = "#e8a06a"
GREY = "#8a94a0"

Point = tuple[float, float]


def spark(points: Sequence[Point], rises: Sequence[Point], falls: bool, title: str) -> str:
    """log10 w over lam, noise on the left: blue if it never rises, else orange, shaded on the intervals of `rises`.

    A point that is not a number breaks the line; one that is minus infinity lies on the lower edge.
    """
    body = [_shade(max(low, -REACH), min(high, REACH)) for low, high in rises if low < REACH and high > -REACH]
    body += [_line(GREY, 0.5, [(-REACH, 0), (REACH, 0)]), _line(GREY, 0.5, [(0, -DECADES), (0, DECADES)])]
    for good, part in itertools.groupby(points, key=lambda point: not math.isnan(point[1])):
        if good:
            body.append(_line(FALLS if falls else RISES, 1.6, list(part)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">{"".join(body)}</svg>'
    )


def _shade(low: float, high: float) -> str:
    x, end = _x(low), _x(high)
    width = max(end - x, 1.0)
    return f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="{HEIGHT}" fill="{SHADE}" fill-opacity=".35"/>'


def _line(colour: str, width: float, points: Sequence[Point]) -> str:
    where = " ".join(f"{_x(lam):.1f},{_y(value):.1f}" for lam, value in points)
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{width}"/>'


def _x(lam: float) -> float:
    return PAD + (WIDTH - 2 * PAD) * (lam + REACH) / (2 * REACH)


def _y(value: float) -> float:
    inside = min(max(value, -DECADES), DECADES)
    return PAD + (HEIGHT - 2 * PAD) * (DECADES - inside) / (2 * DECADES)
