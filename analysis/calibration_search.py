"""A search for the lowest error without derivatives: one knob after the other, by golden section."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Point = Mapping[str, float]

GOLDEN = (math.sqrt(5) - 1) / 2
STEPS_PER_KNOB = 4
GOOD_ENOUGH = 0.01  # an error at which the search ends


@dataclass(frozen=True)
class Range:
    """Where a knob may be, ends included. ``is_whole``: only whole numbers. From above 0 on, ratios count."""

    low: float
    high: float
    is_whole: bool = False

    def at(self, position: float) -> float:
        """The value at a position from 0 to 1."""
        if self.low > 0:
            value = self.low * (self.high / self.low) ** position
        else:
            value = self.low + (self.high - self.low) * position
        return round(value) if self.is_whole else float(f"{value:.4g}")

    def position(self, value: float) -> float:
        """The inverse of ``at``; of values outside, the nearer end."""
        value = min(max(value, self.low), self.high)
        if self.low == self.high:
            return 0.0
        if self.low > 0:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class _EndError(Exception):
    """The search has come to its end."""


def lowest(
    error: Callable[[Point], float], start: Point, ranges: Mapping[str, Range], evaluations: int
) -> tuple[Point, float]:
    """The best point found and its error, from ``start``, which is tried as it is; never worse than that.

    Each round goes through the knobs and narrows the stretch of each; the search ends after so many evaluations, when
    the error is ``GOOD_ENOUGH``, or when a round tries nothing new.
    """
    search = _Search(error, evaluations)
    try:
        search.at(start)
        width = 1.0
        while search.has_news():
            for name, span in ranges.items():
                search.section(name, span, width)
            width /= 2
    except _EndError:
        pass
    return search.best, search.best_error


class _Search:
    def __init__(self, error: Callable[[Point], float], evaluations: int) -> None:
        self._error = error
        self._left = evaluations
        self._known: dict[tuple[float, ...], float] = {}
        self._seen = 0  # points known when the last round began
        self.best: Point = {}
        self.best_error = math.inf

    def has_news(self) -> bool:
        """Whether points were tried since the last call."""
        before, self._seen = self._seen, len(self._known)
        return self._seen > before

    def at(self, point: Point) -> float:
        """The error at a point. Raises _EndError instead of one evaluation too many, or after one good enough."""
        key = tuple(point.values())
        if key not in self._known:
            if not self._left:
                raise _EndError
            self._left -= 1
            self._known[key] = self._error(point)
            if self._known[key] < self.best_error or not self.best:
                self.best, self.best_error = point, self._known[key]
            if self.best_error <= GOOD_ENOUGH:
                raise _EndError
        return self._known[key]

    def section(self, name: str, span: Range, width: float) -> None:
        """Golden section along one knob, over ``width`` of its range about the best point."""
        base = self.best
        middle = span.position(base[name])
        low = min(max(middle - width / 2, 0.0), 1.0 - width)
        high = low + width

        def error(position: float) -> float:
            return self.at({**base, name: span.at(position)})

        for _ in range(STEPS_PER_KNOB):
            left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            if error(left) <= error(right):
                high = right
            else:
                low = left
