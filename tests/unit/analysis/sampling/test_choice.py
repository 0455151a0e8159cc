"""Which intervals are chosen."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from discotrace.analysis.sampling.choice import UNIT_WINDOWS, Sample, chosen, design_effect
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.outline import MARK_ROWS, Outline
from discotrace.tracegen.schema import COLUMN_DTYPES

WINDOW = 1_000_000


def outline(instructions_of_mark: list[int]) -> Outline:
    """Of a trace that changes no memory and has so many instructions in each MARK_ROWS rows."""
    marks = np.array([0, *np.cumsum(instructions_of_mark)])
    kept: dict[str, Any] = {"row": np.zeros(0, np.int64)}
    kept |= {name: np.zeros(0, dtype) for name, dtype in COLUMN_DTYPES.items()}
    state: dict[str, Any] = {name: np.zeros((len(marks), 0)) for name in ("running", "services", "locks", "depth")}
    return Outline(total_rows=len(instructions_of_mark) * MARK_ROWS, instructions=marks, **kept, **state)


def even(instructions: int) -> Outline:
    """One in which nothing changes."""
    return outline([WINDOW // 4] * (instructions * 4 // WINDOW) + [instructions % (WINDOW // 4)])


def test_intervals_lie_at_equal_distances_and_inside_the_trace() -> None:
    windows = 10 * UNIT_WINDOWS * 25
    firsts = chosen(even(windows * WINDOW), WINDOW, Sample(25, seed=7)).firsts
    assert len(firsts) == 25
    assert {after - before for before, after in pairwise(firsts)} == {10 * UNIT_WINDOWS}
    assert firsts[0] >= 0
    assert firsts[-1] + UNIT_WINDOWS <= windows


def test_each_interval_is_chosen_equally_often() -> None:
    counts = dict.fromkeys(range(0, 50 * UNIT_WINDOWS, UNIT_WINDOWS), 0)
    for seed in range(400):
        for first in chosen(even(50 * UNIT_WINDOWS * WINDOW), WINDOW, Sample(10, seed)).firsts:
            counts[first] += 1
    assert min(counts.values()) > 50  # of 80 expected
    assert max(counts.values()) < 115


def test_the_seed_decides() -> None:
    assert chosen(even(100 * WINDOW), WINDOW, Sample(25, 1)) == chosen(even(100 * WINDOW), WINDOW, Sample(25, 1))
    assert chosen(even(100 * WINDOW), WINDOW, Sample(25, 1)) != chosen(even(100 * WINDOW), WINDOW, Sample(25, 2))


def test_the_scale_makes_the_trace_of_the_intervals() -> None:
    choice = chosen(even(1_234_567_890), WINDOW, Sample(20))
    assert choice.scale * 20 * UNIT_WINDOWS * WINDOW == pytest.approx(1_234_567_890)


@pytest.mark.parametrize(("instructions", "intervals"), [(100 * WINDOW, 4), ((25 * UNIT_WINDOWS - 1) * WINDOW, 25)])
def test_too_few_is_an_error(instructions: int, intervals: int) -> None:
    with pytest.raises(ConfigError, match="too few"):
        chosen(even(instructions), WINDOW, Sample(intervals))


def test_intervals_are_not_in_step_with_what_repeats() -> None:
    """Of ten units that come again and again one has half the rows: 25 of 250 or of 500 would all have it, or none."""
    units = np.where(np.arange(250) % 10 == 0, 0.5, 1.0)[None]
    assert design_effect(units, 25) > 20
    assert design_effect(units, 26) <= 1
    trace = outline(([WINDOW * UNIT_WINDOWS // 4] * 4 + [WINDOW * UNIT_WINDOWS // 8] * 72) * 25)
    choice = chosen(trace, WINDOW, Sample(25))
    assert 25 < len(choice.firsts) <= 31
    assert choice.design_effect <= 1


def test_independent_units_are_as_sure_as_they_look() -> None:
    known = np.random.default_rng(1).normal(size=(1, 20_000))
    assert np.mean([design_effect(known, number) for number in range(25, 125)]) == pytest.approx(1, abs=0.1)
