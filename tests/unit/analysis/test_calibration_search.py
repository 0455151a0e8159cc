"""The search for the lowest error."""

import math
from collections.abc import Callable

import pytest

from discotrace.analysis.calibration_search import GOOD_ENOUGH, Point, Range, lowest


class Counted:
    """An error that counts how often it is asked for."""

    def __init__(self, error: Callable[[Point], float]) -> None:
        self._error = error
        self.points: list[Point] = []

    def __call__(self, point: Point) -> float:
        self.points.append(point)
        return self._error(point)


def valley(point: Point) -> float:
    """Lowest, 1, at x = 30, y = -2."""
    return 1 + abs(math.log(point["x"] / 30)) + abs(point["y"] + 2)


RANGES = {"x": Range(1, 1000, is_whole=True), "y": Range(-10, 10)}


def test_range__ends_and_middle() -> None:
    assert [Range(1, 100).at(p) for p in (0, 0.5, 1)] == [1, 10, 100]
    assert [Range(0, 100).at(p) for p in (0, 0.5, 1)] == [0, 50, 100]
    assert Range(1, 100, is_whole=True).at(0.26) == 3
    assert [Range(1, 100).position(v) for v in (0.1, 1, 10, 100, 1000)] == [0, 0, 0.5, 1, 1]
    assert Range(0, 100).position(25) == 0.25
    assert Range(3, 3).position(3) == 0


def test_it_comes_near_the_lowest_point() -> None:
    best, error = lowest(valley, {"x": 900, "y": 9.0}, RANGES, 200)
    assert error == valley(best)
    assert best["x"] == pytest.approx(30, rel=0.1)
    assert best["y"] == pytest.approx(-2, abs=0.2)


def test_whole_numbers_stay_whole_and_all_within_their_range() -> None:
    error = Counted(valley)
    lowest(error, {"x": 900, "y": 9.0}, RANGES, 60)
    assert all(isinstance(point["x"], int) and 1 <= point["x"] <= 1000 for point in error.points)
    assert all(-10 <= point["y"] <= 10 for point in error.points)


@pytest.mark.parametrize("evaluations", [1, 2, 7])
def test_it_asks_no_more_often_than_allowed_and_never_twice(evaluations: int) -> None:
    error = Counted(valley)
    best, _ = lowest(error, {"x": 900, "y": 9.0}, RANGES, evaluations)
    assert len(error.points) == evaluations
    assert len({tuple(point.values()) for point in error.points}) == evaluations
    assert error.points[0] == {"x": 900, "y": 9.0}
    assert valley(best) == min(map(valley, error.points))


def test_it_is_never_worse_than_the_start() -> None:
    assert lowest(valley, {"x": 30, "y": -2.0}, RANGES, 30) == ({"x": 30, "y": -2.0}, 1)


def test_it_ends_when_the_error_is_good_enough() -> None:
    error = Counted(lambda point: GOOD_ENOUGH)
    lowest(error, {"x": 1, "y": 1.0}, RANGES, 30)
    assert len(error.points) == 1


def test_it_ends_when_there_is_nothing_new() -> None:
    error = Counted(lambda point: 1.0)
    lowest(error, {"x": 2}, {"x": Range(1, 3, is_whole=True)}, 1000)
    assert len(error.points) <= 3


def test_without_any_finite_error_it_gives_the_start() -> None:
    assert lowest(lambda point: math.inf, {"x": 5, "y": 0.0}, RANGES, 5) == ({"x": 5, "y": 0.0}, math.inf)
