"""The bound of a sampled miss curve holds: the whole curve is within it at most sizes, whatever the seed.

It is one of 95 % confidence, so that 1 of 20 sizes may lie outside; but sizes of one sample are off together.
"""

from pathlib import Path

import numpy as np
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.curve.curve import Curve
from discotrace.analysis.curve.measure import measured
from discotrace.analysis.curve.question import Question
from discotrace.tracegen.reader import TraceReader

TRACES = Path(__file__).parents[2] / "traces"
LEAST = 0.9  # of the sizes of a table, over all seeds
ENOUGH = 400  # names of a sample, so that none is refused, which has 320 or more


def curve(trace: str, question: Question) -> Curve:
    with TraceReader(TRACES / f"{trace}.parquet") as reader:
        return measured(reader, load("flash").machine, question, lambda rows: None).curves[0]


def share_within(trace: str, what: str, rate: float, seeds: range) -> float:
    """At how many sizes of the table the whole curve is within the bound of a sample."""
    sets = 1 if what.startswith("l") else None
    whole = curve(trace, Question(what, sets))
    if whole.cold * rate < ENOUGH:
        pytest.skip(f"{whole.cold} names are too few")
    within: list[bool] = []
    for seed in seeds:
        sample = curve(trace, Question(what, sets, None, rate, seed))
        sizes = sample.table_sizes()
        off = np.abs(sample.ratio_at(sizes) - whole.ratio_at(sizes))
        within += (off <= sample.bound_at(sizes) + 1e-12).tolist()
    return sum(within) / len(within)


@pytest.mark.parametrize(("what", "rate"), [("l1d", 0.1), ("pages", 0.5)])
def test_the_bound_holds_on_a_shipped_trace(what: str, rate: float) -> None:
    assert share_within("database", what, rate, range(4)) >= LEAST


@pytest.mark.slow
@pytest.mark.parametrize("trace", ["database", "engineering", "pmake", "pmake-generated", "radix", "raytrace"])
@pytest.mark.parametrize(("what", "rate"), [("l1d", 0.01), ("l1d", 0.1), ("l1i", 0.3), ("l2", 0.1), ("pages", 0.5)])
def test_the_bound_holds_on_every_shipped_trace_with_enough_names(trace: str, what: str, rate: float) -> None:
    assert share_within(trace, what, rate, range(10)) >= LEAST
