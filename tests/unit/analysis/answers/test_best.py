"""The best points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discotrace.analysis.answers.best import best, non_dominated, pareto
from discotrace.tracegen.errors import CheckFailedError, ConfigError
from tests.unit.analysis.answers.making import results_of

POINTS = results_of(
    [
        {"tlb.entries": 16, "l2.size_kib": 256, "time_ms": 9.0, "idle_ms": 1.0},
        {"tlb.entries": 16, "l2.size_kib": 512, "time_ms": 7.0, "idle_ms": 3.0},
        {"tlb.entries": 32, "l2.size_kib": 256, "time_ms": 7.0, "idle_ms": 2.0},
        {"tlb.entries": 32, "l2.size_kib": 512, "time_ms": 8.0, "idle_ms": 4.0},
        {"tlb.entries": 64, "l2.size_kib": 256, "time_ms": None, "idle_ms": None, "status": "failed"},
        {"tlb.entries": 64, "l2.size_kib": 512, "time_ms": 1.0, "idle_ms": None, "system": "disco"},
    ]
)


def test_the_least_comes_first_and_equal_ones_in_order() -> None:
    found = best(POINTS, minimize="time")
    assert found.rows["point"].to_list() == [5, 1, 2, 3, 0]
    assert found.rows.columns == ["time_ms", "system", "tlb.entries", "l2.size_kib", "point"]
    assert found.considered == 5


def test_the_most_comes_first() -> None:
    assert best(POINTS, maximize="time", top=3).rows["point"].to_list() == [0, 3, 1]


def test_points_without_the_figure_are_not_considered() -> None:
    assert best(POINTS, maximize="idle").rows["point"].to_list() == [3, 1, 2, 0]


def test_each_value_of_by_has_its_own() -> None:
    found = best(POINTS, minimize="time", by="l2.size", top=1)
    assert found.rows.select("l2.size_kib", "point").rows() == [(256, 2), (512, 5)]
    assert best(POINTS, minimize="time", by=["system", "entries"], top=1).rows["point"].to_list() == [5, 1, 2]


def test_conditions_hold_together_and_their_columns_are_told() -> None:
    found = best(POINTS, minimize="time", subject_to=["system == 'native'", "idle >= 2 and l2.size < 1024"])
    assert found.rows["point"].to_list() == [1, 2, 3]
    assert found.rows.columns == ["time_ms", "system", "tlb.entries", "l2.size_kib", "idle_ms", "point"]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["time < 1"], "^sweep: no point fulfils 'time < 1'$"),
        (["time < 8", "time >= 8"], "no point fulfils 'time >= 8' together with 'time < 8'"),
    ],
)
def test_no_point_is_an_answer_of_its_own(conditions: list[str], message: str) -> None:
    with pytest.raises(CheckFailedError, match=message):
        best(POINTS, minimize="time", subject_to=conditions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "to minimize or to maximize"),
        ({"minimize": "time", "maximize": "idle"}, "to minimize or to maximize"),
        ({"minimize": "system"}, "system is no number"),
        ({"minimize": "speed"}, "there is no column speed"),
        ({"minimize": "time", "by": "sytem"}, "did you mean system"),
        ({"minimize": "time", "top": 0}, "top is 0"),
        ({"minimize": "time", "subject_to": ["speed < 1"]}, "there is no column speed"),
        ({"minimize": "time", "subject_to": ["system < 1"]}, "is no condition on these columns"),
    ],
)
def test_wrong_options_are_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        best(POINTS, **options)  # type: ignore[arg-type]


def test_a_front_has_what_no_other_beats() -> None:
    assert pareto(POINTS, "time,idle").rows["point"].to_list() == [2, 0]
    assert pareto(POINTS, "time,max:idle").rows["point"].to_list() == [1, 3]
    assert pareto(POINTS, ["max:time", "max:idle"]).rows["point"].to_list() == [0, 3]


def test_a_front_keeps_equals_and_is_made_for_each_value_of_by() -> None:
    two = [{"tlb.entries": entries, "time_ms": 1.0, "idle_ms": 2.0} for entries in (16, 32)]
    worse = {"tlb.entries": 64, "time_ms": 2.0, "idle_ms": 3.0}
    found = results_of([*two, worse, worse | {"system": "disco"}])
    assert pareto(found, "time,idle").rows["point"].to_list() == [0, 1]
    assert pareto(found, "time,idle", by="system").rows["point"].to_list() == [3, 0, 1]


@pytest.mark.parametrize("objectives", ["time", "time,time_ms", "", "time,max:time"])
def test_a_front_needs_two_figures(objectives: str) -> None:
    with pytest.raises(ConfigError, match="two different figures"):
        pareto(POINTS, objectives)


costs = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(st.integers(-3, 3), min_size=width, max_size=width), min_size=1, max_size=40)
)


@given(costs)
def test_the_front_is_that_of_the_definition(points: list[list[int]]) -> None:
    def dominates(one: list[int], other: list[int]) -> bool:
        return all(a <= b for a, b in zip(one, other, strict=True)) and one != other

    naive = [not any(dominates(other, one) for other in points) for one in points]
    assert non_dominated(np.array(points, float)).tolist() == naive
