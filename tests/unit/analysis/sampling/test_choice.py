"""Which intervals are chosen."""

from itertools import pairwise

import pytest

from discotrace.analysis.sampling.choice import UNIT_WINDOWS, Sample, chosen
from discotrace.tracegen.errors import ConfigError

WINDOW = 1000


def test_intervals_lie_at_equal_distances_and_inside_the_trace() -> None:
    windows = 10 * UNIT_WINDOWS * 25
    firsts = chosen(windows * WINDOW, WINDOW, Sample(25, seed=7)).firsts
    assert len(firsts) == 25
    assert {after - before for before, after in pairwise(firsts)} == {10 * UNIT_WINDOWS}
    assert firsts[0] >= 0
    assert firsts[-1] + UNIT_WINDOWS <= windows


def test_each_interval_is_chosen_equally_often() -> None:
    counts = dict.fromkeys(range(0, 50 * UNIT_WINDOWS, UNIT_WINDOWS), 0)
    for seed in range(400):
        for first in chosen(50 * UNIT_WINDOWS * WINDOW, WINDOW, Sample(10, seed)).firsts:
            counts[first] += 1
    assert min(counts.values()) > 50  # of 80 expected
    assert max(counts.values()) < 115


def test_the_seed_decides() -> None:
    assert chosen(10**7, WINDOW, Sample(25, 1)) == chosen(10**7, WINDOW, Sample(25, 1))
    assert chosen(10**7, WINDOW, Sample(25, 1)) != chosen(10**7, WINDOW, Sample(25, 2))


def test_the_scale_makes_the_trace_of_the_intervals() -> None:
    choice = chosen(1_234_567, WINDOW, Sample(20))
    assert choice.scale * 20 * UNIT_WINDOWS * WINDOW == pytest.approx(1_234_567)


@pytest.mark.parametrize(("instructions", "intervals"), [(100 * WINDOW, 4), ((25 * UNIT_WINDOWS - 1) * WINDOW, 25)])
def test_too_few_is_an_error(instructions: int, intervals: int) -> None:
    with pytest.raises(ConfigError, match="too few"):
        chosen(instructions, WINDOW, Sample(intervals))
