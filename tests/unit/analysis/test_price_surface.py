"""Waiting that is interpolated, against waiting that is solved."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discotrace.analysis import price_surface
from discotrace.analysis.bulk_pricing import BulkTimes, priced
from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import Counted, counted
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.price_surface import FEWEST_PER_TERM, MARGIN, MOST_NODES, MOST_PER_TERM, TOLERANCE, surface
from discotrace.analysis.site import Site
from discotrace.analysis.sweep import figures
from discotrace.analysis.sweep.figures import ERROR, TIME, Pricer
from tests.unit.analysis.test_bulk_pricing import counts
from tests.unit.analysis.waits import misses, rows, sections

PRICES = load("flash").prices
RANGES = {
    "memory.remote_ns": (300, 1800),
    "memory.controller_ns": (50, 400),
    "cpu.clock_mhz": (100, 800),
    "locks.handoff_ns": (100, 3000),
}
CHOSEN = st.lists(st.sampled_from(sorted(RANGES)), min_size=1, max_size=3, unique=True)


@pytest.fixture(scope="module")
def busy() -> Counted:
    """Two CPUs that miss a lot, in the memory of one of them."""
    frames = [rows("instructions", [90_000, 50_000], cpu=cpu) for cpu in (0, 1)]
    frames += [misses(80 + 80 * cpu, cpu=cpu, at=0) for cpu in (0, 1)]
    frames += [sections(30, 10_000, cpu=cpu) for cpu in (0, 1)]
    return counted("native", pl.concat(frames), Site(load("flash").machine.for_trace(2)))


def drawn(chosen: list[str], points: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {key: random.uniform(*RANGES[key], points) for key in chosen}


def solved(made: Counted, changes: dict[str, np.ndarray]) -> BulkTimes:
    return priced(made.ledger, PricePoints.of(PRICES, changes))


@given(counts(), CHOSEN, st.integers(0, 99))
@settings(max_examples=6, deadline=None)
def test_times_are_those_solved_within_the_tolerance(made: Counted, chosen: list[str], seed: int) -> None:
    changes = drawn(chosen, 1000, seed)
    found = surface(made.ledger, PRICES, changes, threads=1)
    if found is None:
        return  # no polynomial is as near: what is refused is tested below
    assert found.error <= MARGIN * TOLERANCE
    times, expected = found.at(changes), solved(made, changes)
    for ours, theirs in (
        (times.total_ns, expected.total_ns),
        (times.parts_ns.T, expected.parts_ns.T),
        (times.stalls_ms.T * 1e6, expected.stalls_ms.T * 1e6),
    ):
        assert (np.abs(ours - theirs) <= 2 * TOLERANCE * expected.total_ns).all()
    assert times.parts_ns.sum(axis=1) == pytest.approx(times.total_ns)


def test_what_no_polynomial_meets_is_not_interpolated(busy: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_surface, "TOLERANCE", 0.0)
    assert surface(busy.ledger, PRICES, drawn(["memory.controller_ns"], 100), threads=1) is None


def test_too_many_prices_for_so_many_terms_are_not_interpolated(busy: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_surface, "MOST_TERMS", 5)
    assert surface(busy.ledger, PRICES, drawn(list(RANGES), 100), threads=1) is None


def test_few_points_are_solved_and_many_interpolated(busy: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the points lie apart: a controller that takes no time is left out of the model."""
    changes = drawn(["memory.remote_ns", "memory.controller_ns"], 300)
    changes["memory.controller_ns"][::3] = 0
    exact = Pricer(busy, PRICES, changes).figures(changes, 300)
    monkeypatch.setattr(figures, "SOLVED_AT_MOST", 150)  # of 100 and 200 points
    found = Pricer(busy, PRICES, changes).figures(changes, 300)
    assert exact[ERROR].max() == 0
    free = pl.Series(np.arange(300) % 3 == 0)
    assert found.filter(free).equals(exact.filter(free))
    assert found.filter(~free)[ERROR].n_unique() == 1
    assert 0 < found[ERROR].max() <= MARGIN * TOLERANCE
    for name in (TIME, "kernel_stall_ms", "stall_remote_ms"):
        assert found[name].to_numpy() == pytest.approx(exact[name].to_numpy(), abs=2 * TOLERANCE * exact[TIME].max())
    assert found["l2_miss_percent"].equals(exact["l2_miss_percent"])


def test_what_is_priced_beside_a_point_does_not_change_it(busy: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "SOLVED_AT_MOST", 100)
    changes = drawn(["memory.remote_ns", "memory.controller_ns"], 300)
    pricer = Pricer(busy, PRICES, changes)
    ends = [0, 1, 7, 300]
    parts = [{key: values[a:b] for key, values in changes.items()} for a, b in pairwise(ends)]
    together = pl.concat([pricer.figures(part, len(part["memory.remote_ns"])) for part in parts])
    assert together.equals(pricer.figures(changes, 300))


@pytest.mark.parametrize("variables", range(1, 31))
def test_each_attempt_has_more_nodes_than_before_but_not_too_many(variables: int) -> None:
    counts, bases = zip(*price_surface._attempts(variables), strict=True)
    assert all(bases)
    assert list(counts) == sorted(set(counts))
    assert counts[-1] <= MOST_NODES
    for count, some in zip(counts, bases, strict=True):
        assert all(FEWEST_PER_TERM * basis.size <= count <= MOST_PER_TERM * basis.size for basis in some)


def test_without_a_small_enough_basis_there_is_no_attempt() -> None:
    assert not list(price_surface._attempts(31))
