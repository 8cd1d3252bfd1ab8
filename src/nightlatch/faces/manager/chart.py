"""The bars of the last thirty days, as places in a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from nightlatch.usecases.overview import Day

WIDTH, HEIGHT = 760, 216
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 34, 28
_BAR = 0.62
_LEAST = 2.0


@dataclass(frozen=True, slots=True)
class Bar:
    """One day: wrong PINs stand on right ones, a mark above tells registrations."""

    day: Day
    x: float
    width: float
    right_y: float
    right_height: float
    wrong_y: float
    wrong_height: float

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 1)


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything the picture needs."""

    bars: Sequence[Bar]
    lines: Sequence[tuple[float, int]]
    """Height and amount of each line across."""
    dates: Sequence[tuple[float, date]]
    base: float
    mark: float
    """Height at which registrations are told."""
    wrong: int
    right: int
    registered: int
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT

    @property
    def is_empty(self) -> bool:
        return not (self.wrong or self.right or self.registered)


def draw(days: Sequence[Day]) -> Chart:
    """Lay the days out, the oldest first."""
    top = _nice(max((day.wrong + day.right for day in days), default=0))
    base = float(HEIGHT - _BOTTOM)
    room = base - _TOP
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(days))

    def tall(amount: int) -> float:
        return round(max(_LEAST, amount / top * room), 1) if amount else 0.0

    bars = []
    for index, day in enumerate(days):
        right, wrong = tall(day.right), tall(day.wrong)
        x = round(_LEFT + index * step + step * (1 - _BAR) / 2, 1)
        bars.append(
            Bar(
                day=day,
                x=x,
                width=round(step * _BAR, 1),
                right_y=round(base - right, 1),
                right_height=right,
                wrong_y=round(base - right - wrong, 1),
                wrong_height=wrong,
            )
        )
    return Chart(
        bars=bars,
        lines=[(round(base - room * part / 2, 1), top * part // 2) for part in (0, 1, 2)],
        dates=[(bar.middle, bar.day.date) for bar in bars[:: max(1, len(bars) // 5)]],
        base=base,
        mark=_TOP / 2,
        wrong=sum(day.wrong for day in days),
        right=sum(day.right for day in days),
        registered=sum(day.registered for day in days),
    )


def _nice(most: int) -> int:
    """The next even round number."""
    size = 1
    while True:
        for first in (2, 4, 6, 10):
            if most <= first * size:
                return first * size
        size *= 10
