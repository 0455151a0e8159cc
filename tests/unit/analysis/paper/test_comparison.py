"""Published against ours: errors, goals, the order of bars."""

import pytest

from discotrace.analysis.paper.comparison import Expected, compare, pairs_in_order


def expected(published: float, error_unit: str = "%", goal: float | None = 10.0) -> Expected:
    return Expected("figure5", "pmake", "disco", "total", "% of IRIX", "predict", published, error_unit, goal)


def test_an_error_in_percent_is_of_the_published_figure() -> None:
    one = compare(expected(200.0), 190.0)
    assert (one.published, one.ours, one.error, one.met) == (200.0, 190.0, -5.0, True)


def test_an_error_in_points_is_the_difference() -> None:
    one = compare(expected(20.0, "points"), 31.0)
    assert (one.error, one.met) == (11.0, False)


@pytest.mark.parametrize(("ours", "met"), [(110.0, True), (110.5, False), (90.0, True), (89.5, False)])
def test_a_goal_is_met_up_to_its_limit_on_both_sides(ours: float, met: bool) -> None:
    assert compare(expected(100.0), ours).met is met


def test_without_a_goal_nothing_is_met_or_missed() -> None:
    one = compare(expected(100.0, goal=None), 500.0)
    assert (one.goal, one.met) == (None, None)


def test_percent_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="figure5 pmake disco total"):
        compare(expected(0.0), 1.0)


def test_pairs_that_stand_in_the_published_order() -> None:
    published = {"irix": 100.0, "a": 120.0, "b": 80.0}
    assert pairs_in_order(published, {"irix": 100.0, "a": 101.0, "b": 99.0}) == (3, 3)
    assert pairs_in_order(published, {"irix": 100.0, "a": 99.0, "b": 98.0}) == (2, 3)


def test_bars_of_equal_published_height_have_no_order() -> None:
    assert pairs_in_order({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 2.0}) == (0, 0)
