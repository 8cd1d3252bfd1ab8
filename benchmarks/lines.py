"""Draws lines over a logarithmic axis as a picture (SVG) that needs no program but a browser."""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import cycle
from pathlib import Path

Line = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 24, 48, 96
_COLOURS = ("#0b6e99", "#b4451f", "#3a7d34", "#7a4fa3")
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
"""So that lines can be told apart without colours too."""


def draw(
    path: Path,
    title: str,
    across: str,
    up: str,
    lines: Mapping[str, Line],
    goal: float | None = None,
) -> None:
    """Write the picture of *lines*; *goal* is a level that they are held against."""
    path.write_text("\n".join(_picture(title, across, up, lines, goal)) + "\n")


def _picture(
    title: str, across: str, up: str, lines: Mapping[str, Line], goal: float | None
) -> Iterator[str]:
    xs = sorted({x for line in lines.values() for x, _ in line})
    highest = max([y for line in lines.values() for _, y in line] + ([goal] if goal else []))
    step = _step(highest)
    top = math.ceil(highest / step) * step
    low, high = math.log10(xs[0]), math.log10(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        right = (math.log10(x) - low) / (high - low or 1)
        return (
            round(_LEFT + right * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - y / top * (_HEIGHT - _TOP - _BOTTOM), 1),
        )

    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{escape(title)}" font-family="sans-serif" font-size="13">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>'
    yield f'<text x="{_LEFT}" y="26" font-size="15" font-weight="bold">{escape(title)}</text>'
    for n in range(round(top / step) + 1):
        left, y = place(xs[0], n * step)
        yield f'<path d="M{left} {y}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
        yield f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{n * step:,g}</text>'
    for x in xs:
        here, floor = place(x, 0)
        yield f'<text x="{here}" y="{floor + 18}" text-anchor="middle">{x:,g}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text x="{middle}" y="{_HEIGHT - 56}" text-anchor="middle">{escape(across)}</text>'
    yield (
        f'<text x="16" y="{(_HEIGHT - _BOTTOM + _TOP) / 2}" text-anchor="middle"'
        f' transform="rotate(-90 16 {(_HEIGHT - _BOTTOM + _TOP) / 2})">{escape(up)}</text>'
    )
    if goal is not None:
        left, y = place(xs[0], goal)
        yield f'<path d="M{left} {y}H{_WIDTH - _RIGHT}" stroke="#888" stroke-width="2" stroke-dasharray="3 5"/>'
        yield f'<text x="{_WIDTH - _RIGHT}" y="{y - 6}" text-anchor="end" fill="#555">promised: {goal:g}</text>'
    for n, ((name, line), colour, dash) in enumerate(
        zip(lines.items(), cycle(_COLOURS), cycle(_DASHES))
    ):
        style = f'stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}"'
        points = " ".join(f"{x},{y}" for x, y in (place(*point) for point in line))
        yield f'<polyline points="{points}" fill="none" {style}/>'
        for x, y in (place(*point) for point in line):
            yield f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>'
        left, under = _LEFT + n % 2 * 330, _HEIGHT - 32 + n // 2 * 20
        yield f'<path d="M{left} {under}h28" {style}/>'
        yield f'<text x="{left + 36}" y="{under + 4}">{escape(name)}</text>'
    yield "</svg>"


def _step(highest: float) -> float:
    """A round distance between lines, of which four to nine fit below *highest*."""
    tenth: float = 10 ** math.floor(math.log10(highest or 1))
    return next(
        tenth * part for part in (0.1, 0.2, 0.25, 0.5, 1, 2) if highest / (tenth * part) <= 8
    )
