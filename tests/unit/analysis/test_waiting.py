"""The time with all its waiting: it closes, it is bounded, it grows with what it is made of."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discotrace.analysis import ledger as ledgers
from discotrace.analysis import queues
from discotrace.analysis.ledger import Ledger
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import KEYS, PARTS
from discotrace.analysis.waiting import timing
from tests.unit.analysis.waits import OFF, arranged, misses, priced, rows, sections

WAITING = {
    "memory__controller_ns": 150.0,
    "memory__port_ns": 100.0,
    "locks__handoff_ns": 500.0,
    "disks__request_ms": 0.05,
    "disks__page_ms": 0.01,
}
numbers = st.integers(0, 2000)


def on_cpu(cpu: int, work: int, own: int, other: int, taken: int, requests: int) -> list[pl.DataFrame]:
    return [
        rows("instructions", [1000 + work] * 3, cpu=cpu),
        misses(own, cpu=cpu, at=cpu),
        misses(other, cpu=cpu, at=1 - cpu),
        sections(taken, 200 * taken, cpu=cpu),
        rows("memory_writebacks", own // 3, cpu=cpu, at=cpu, context="any"),
        rows("disk_requests", requests % 20, cpu=cpu, context="any"),
        rows("idle_instructions", [0, requests % 2], cpu=cpu, context="idle").filter(pl.col("count") > 0),
    ]


@st.composite
def unlike(draw: st.DrawFn) -> Ledger:
    """Two CPUs that do different things."""
    return arranged(*(frame for cpu in (0, 1) for frame in on_cpu(cpu, *(draw(numbers) for _ in range(5)))), jobs=2)


@st.composite
def alike(draw: st.DrawFn) -> Ledger:
    """Two CPUs that do the same."""
    amounts = [draw(numbers) for _ in range(5)]
    return arranged(*(frame for cpu in (0, 1) for frame in on_cpu(cpu, *amounts)), jobs=2)


@given(unlike())
@settings(max_examples=40, deadline=None)
def test_parts_add_up_to_the_time(one: Ledger) -> None:
    time = timing(one, priced(**WAITING))
    parts = time.parts_ns()
    assert sum(parts.values()) == pytest.approx(time.total_ns, rel=1e-9)
    assert min(parts.values()) >= -1e-9 * time.total_ns


@given(unlike())
@settings(max_examples=40, deadline=None)
def test_without_prices_of_waiting_there_is_busy_time_alone(one: Ledger) -> None:
    time = timing(one, priced())
    assert not any(getattr(time.waits, name).any() for name in ("at_nodes", "of_misses", "for_locks", "for_disks"))
    assert time.total_ns == time.execution.ends.max()
    assert time.counter_ns.sum() == pytest.approx((time.execution.ends - time.execution.waited).sum())


@given(unlike(), st.sampled_from(KEYS))
@settings(max_examples=40, deadline=None)
def test_busy_time_grows_with_each_price(one: Ledger, key: str) -> None:
    assert timing(one, dearer(priced(), key)).total_ns >= timing(one, priced()).total_ns


@given(alike(), st.sampled_from([*KEYS, *(key.replace("__", ".") for key in WAITING)]))
@settings(max_examples=60, deadline=None)
def test_time_grows_with_each_price_where_cpus_are_alike(one: Ledger, key: str) -> None:
    """CPUs that are not may gain: what makes one slower leaves memory to another. To a thousandth: it is solved."""
    prices = priced(**WAITING)
    assert timing(one, dearer(prices, key)).total_ns >= timing(one, prices).total_ns * (1 - 1e-3)


def dearer(prices: Prices, key: str) -> Prices:
    table, name = key.split(".")
    old = getattr(prices, table)
    return replace(prices, **{table: replace(old, **{name: 1.5 * getattr(old, name) + 0.01})})


@given(unlike())
@settings(max_examples=30, deadline=None)
def test_waiting_only_adds_to_the_busy_time(one: Ledger) -> None:
    with_waiting, without = timing(one, priced(**WAITING)), timing(one, priced())
    assert with_waiting.total_ns >= without.total_ns * (1 - 1e-9)


def test_the_answer_hardly_depends_on_how_windows_are_grouped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 2 % for work that comes and goes, from 4 intervals to one for each window."""
    random = np.random.default_rng(3)
    frames = []
    for window in range(64):
        for cpu in (0, 1):
            amounts = random.integers(1, 400, 5) * (1 + window // 8 % 3)
            frames += [frame.with_columns(window=frame["window"] + window) for frame in on_cpu(cpu, *amounts.tolist())]
    times = []
    for intervals in (4, 8, 32, 64):
        monkeypatch.setattr(ledgers, "INTERVALS", intervals)
        times.append(timing(arranged(*frames, jobs=2), priced(**WAITING)).total_ns)
    assert times == pytest.approx([times[-1]] * 4, rel=0.02)
    assert times[-1] > 1.1 * timing(arranged(*frames, jobs=2), priced()).total_ns


@given(unlike(), st.sampled_from([*KEYS, *(key.replace("__", ".") for key in WAITING)]))
@settings(max_examples=20, deadline=None)
def test_what_was_priced_before_changes_nothing(one: Ledger, key: str) -> None:
    prices = priced(**WAITING)
    first = timing(one, prices)
    timing(one, dearer(prices, key))
    again = timing(one, prices)
    assert again.parts_ns() == first.parts_ns()
    assert (again.counter_ns == first.counter_ns).all()


@given(unlike())
@settings(max_examples=20, deadline=None)
def test_parts_are_the_sums_of_their_counters(one: Ledger) -> None:
    time = timing(one, priced(**WAITING))
    sums = np.bincount(one.part, time.counter_ns, len(PARTS)) / one.site.cpus
    assert [time.parts_ns()[part] for part in PARTS] == pytest.approx(sums)


def test_where_the_approximation_finds_nothing_equal_cpus_are_solved_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    one = arranged(*(frame for cpu in (0, 1) for frame in on_cpu(cpu, 500, 500, 500, 50, 3)), jobs=2)
    usual = timing(one, priced(**WAITING)).total_ns

    def never(*_: object) -> None:
        raise ArithmeticError("did not settle")

    monkeypatch.setattr(queues.linearizer, "solve", never)
    assert timing(one, priced(**WAITING)).total_ns == pytest.approx(usual, rel=0.1)


def test_all_prices_of_waiting_can_be_switched_off() -> None:
    assert {key.replace("__", ".") for key in WAITING} <= set(OFF)


def test_in_a_run_that_goes_on_nobody_waits_for_the_slowest() -> None:
    """The same counts: as a whole run the CPU with less to do idles, also where it idled within the trace."""
    frames = [rows("instructions", [1000, 1000], cpu=0), rows("instructions", [3000, 3000], cpu=1)]
    frames.append(rows("idle_instructions", [500, 0], cpu=0, context="idle").filter(pl.col("count") > 0))
    whole = timing(arranged(*frames), priced(**OFF))
    piece = timing(arranged(*frames, runs_on=True), priced(**OFF))
    assert whole.total_ns == 6000 * 2.5
    assert piece.total_ns == 4000 * 2.5
    assert piece.parts_ns()["idle"] == pytest.approx(0)
    assert sum(piece.parts_ns().values()) == pytest.approx(piece.total_ns)
