"""Calibration of a workload: targets, ranges, the best of the trials."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from discotrace.analysis.calibration import calibrate, error_of, native_measure, parse_ranges
from discotrace.analysis.calibration_search import Range
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.workloads.knobs import Value
from discotrace.tracegen.workloads.registry import Found, find_workload
from tests.unit.tracegen.workloads.toy import toy_file


@pytest.fixture
def toy(tmp_path: Path) -> Found:
    return find_workload(toy_file(tmp_path))


def falling(knobs: Mapping[str, Value]) -> Mapping[str, float]:
    """A workload whose kernel share falls with the work per store: 20 % at 500."""
    return {"kernel_percent": 10_000 / float(knobs.get("work", 50.0))}


def test_the_knob_comes_to_the_target(toy: Found) -> None:
    found = calibrate(toy, falling, {"kernel_percent": 20}, {"work": Range(10, 20_000)}, {"pages": 8}, 40)
    assert found.knobs["work"] == pytest.approx(500, rel=0.05)
    assert found.knobs["pages"] == 8
    assert found.reached == falling(found.knobs)
    assert found.error == error_of(found.reached, {"kernel_percent": 20})


def test_it_starts_at_the_defaults_or_where_it_is_told(toy: Found) -> None:
    tried: list[Mapping[str, Value]] = []

    def measure(knobs: Mapping[str, Value]) -> Mapping[str, float]:
        tried.append(knobs)
        return falling(knobs)

    for start in ({}, {"work": 70.0}):
        calibrate(toy, measure, {"kernel_percent": 20}, {"work": Range(10, 20_000)}, start, 1)
    assert tried == [{"work": 50.0}, {"work": 70.0}]


def test_error__is_about_the_relative_distance() -> None:
    assert error_of({"a": 1.1, "b": 2, "c": 7}, {"a": 1, "b": 2}) == pytest.approx(math.log(1.1) / math.sqrt(2))
    assert error_of({"a": 0}, {"a": 1}) > 10


@pytest.mark.parametrize(
    ("targets", "ranges", "message"),
    [({}, {"work": Range(1, 2)}, "--target"), ({"kernel_percent": 1}, {}, "--search")],
)
def test_without_targets_or_ranges_there_is_nothing_to_do(
    toy: Found, targets: dict[str, float], ranges: dict[str, Range], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        calibrate(toy, falling, targets, ranges, {}, 1)


def test_ranges__are_the_workloads_or_those_given(toy: Found) -> None:
    assert parse_ranges(toy, []) == {"work": Range(10, 20_000)}
    assert parse_ranges(toy, ["pages=1,5", "work=0.5,1"]) == {"pages": Range(1, 5, True), "work": Range(0.5, 1)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pages", "expected knob=low,high"),
        ("pages=1", "expected knob=low,high"),
        ("pages=2,1", "the range of pages is 2 to 1"),
        ("pages=1,inf", "the range of pages is 1 to inf"),
        ("mark=1,2", "toy has no number mark to search; known: pages, rounds, work"),
        ("seed=1,2", "toy has no number seed"),
    ],
)
def test_ranges__others_are_errors(toy: Found, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_ranges(toy, [text])


def test_native_measure__replays_what_it_generates(toy: Found) -> None:
    trials: list[Mapping[str, Value]] = []
    measure = native_measure(toy, {"scale": 0.5}, trials.append)
    little, much = measure({"work": 10.0}), measure({"work": 20_000.0})
    assert little["kernel_percent"] > much["kernel_percent"] > 0
    assert little["user_percent"] + little["kernel_percent"] == pytest.approx(100)
    assert much["demand_zero_per_second"] > 0
    assert trials == [{"work": 10.0}, {"work": 20_000.0}]


def test_native_measure__a_fault_of_the_file_is_named(tmp_path: Path) -> None:
    toy = find_workload(toy_file(tmp_path, "toy.py", ("page = ", "page = 1 / 0 + ")))
    with pytest.raises(ConfigError, match=r"^workload toy: .*toy.py:\d+: ZeroDivisionError"):
        native_measure(toy, {}, lambda knobs: None)({})
