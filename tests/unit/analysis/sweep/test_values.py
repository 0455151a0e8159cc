"""Values of a parameter."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discotrace.analysis.sweep.values import Interval, values_of
from discotrace.tracegen.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("16", [16]),
        ("16,32, 64", [16, 32, 64]),
        ("first-touch,disco", ["first-touch", "disco"]),
        ('"first-touch"', ["first-touch"]),
        ("true,false", [True, False]),
        ("0.5,1", [0.5, 1]),
        ("300:600:100", [300, 400, 500, 600]),
        ("300:650:100", [300, 400, 500, 600]),
        ("256:8192:x2", [256, 512, 1024, 2048, 4096, 8192]),
        ("1:10:x3", [1, 3, 9]),
        ("1:1.5:0.1", [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]),
        ("1:4:x1.5", [1.0, 1.5, 2.25, 3.375]),
        ("5:5:1", [5]),
        ("-2:2:2", [-2, 0, 2]),
        ("8,16:64:x2,100:102:1", [8, 16, 32, 64, 100, 101, 102]),
        ("16,32,16", [16, 32]),
        ("[0,1],[2]", [[0, 1], [2]]),
        ("[]", [[]]),
        ("./a,b.py", ["./a", "b.py"]),
        ('"./a,b.py"', ["./a,b.py"]),
        ("1e3:3e3:1e3", [1000.0, 2000.0, 3000.0]),
    ],
)
def test_a_text_stands_for_values(text: str, values: list[Any]) -> None:
    found = values_of("k", text)
    assert found == values
    assert [type(one) for one in found] == [type(one) for one in values]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("300:1800", Interval(300, 1800, False, True)),
        ("300:1800:log", Interval(300, 1800, True, True)),
        ("0.5:1", Interval(0.5, 1, False, False)),
    ],
)
def test_without_a_step_it_is_an_interval(text: str, interval: Interval) -> None:
    assert values_of("k", text) == interval


def test_an_interval_is_drawn_from_evenly_on_its_scale() -> None:
    halves = np.array([0.0, 0.5, 1.0])
    assert Interval(300, 1800, False, True).at(halves).tolist() == [300, 1050, 1800]
    assert Interval(1, 100, True, True).at(halves) == pytest.approx([1, 10, 100])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("600:300:100", "600 is more than 300"),
        ("300:600:0", "a step above 0"),
        ("300:600:-1", "a step above 0"),
        ("300:600:x1", "a factor above 1"),
        ("0:600:x2", "a start above 0"),
        ("0:600:log", "above 0 for log"),
        ("300:300", "two different numbers"),
        ("0:1e9:1", "at most 1,000,000"),
        ("300:600,700", "stands alone"),
        (",", "no value"),
    ],
)
def test_what_stands_for_no_values_says_why(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        values_of("memory.remote_ns", text)


@given(st.integers(-1000, 1000), st.integers(0, 300), st.integers(1, 50))
def test_a_linear_range_is_that_of_python(low: int, length: int, step: int) -> None:
    assert values_of("k", f"{low}:{low + length}:{step}") == list(range(low, low + length + 1, step))


@given(st.integers(1, 1000), st.integers(0, 12), st.integers(2, 5))
def test_a_geometric_range_ends_at_its_end(low: int, steps: int, factor: int) -> None:
    high = low * factor**steps
    assert values_of("k", f"{low}:{high}:x{factor}") == [low * factor**n for n in range(steps + 1)]


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_decimal_steps_leave_no_rounding_noise(low: int, count: int) -> None:
    found = values_of("k", f"{low / 10}:{(low + count) / 10}:0.1")
    assert found == [float(f"{(low + n) / 10:.12g}") for n in range(count + 1)]
