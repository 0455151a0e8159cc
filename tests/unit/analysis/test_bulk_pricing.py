"""Many vectors of prices side by side are priced as each by itself, to the last digit."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discotrace.analysis import bulk_pricing
from discotrace.analysis.bulk_pricing import BulkTimes, priced
from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import Counted, Outcome, counted, outcome_of
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.prices import Prices
from discotrace.analysis.site import Site
from tests.unit.analysis.waits import misses, rows, sections

FLASH = load("flash")
WAITED_FOR = ("memory.controller_ns", "memory.port_ns", "locks.handoff_ns", "disks.request_ms", "disks.page_ms")
CHANGED = ("cpu.clock_mhz", "l2.hit_ns", "memory.remote_ns", "monitor.privileged_cycles", *WAITED_FOR)
amounts = st.integers(0, 2000)


@st.composite
def counts(draw: st.DrawFn) -> Counted:
    """Two CPUs that do different things, in one or two virtual machines, natively or not."""
    vms, system = draw(st.integers(1, 2)), draw(st.sampled_from(["native", "disco"]))
    frames = []
    for cpu in (0, 1):
        where = {"cpu": cpu, "vm": cpu if vms == 2 and system == "disco" else 0}
        frames += [
            rows("instructions", [100 + draw(amounts) for _ in range(4)], **where),
            misses(draw(amounts), cpu=cpu, at=cpu).with_columns(vm=pl.lit(where["vm"], pl.UInt16)),
            misses(draw(amounts), cpu=cpu, at=1 - cpu).with_columns(vm=pl.lit(where["vm"], pl.UInt16)),
            sections(draw(amounts), 10_000, **where),
            rows("privileged_emulated", draw(amounts), context="kernel:open", **where),
            rows("disk_requests", draw(st.integers(0, 9)), context="any", **where),
            rows("disk_pages", draw(st.integers(0, 9)), context="any", **where),
            rows("barriers", [draw(st.integers(0, 1)) for _ in range(4)], context="kernel:open", **where),
        ]
    machine = load("flash", [f"vm.count={vms}"]).machine.for_trace(2)
    site = Site(machine, vms, draw(st.sampled_from([None, 3])), draw(st.booleans()))
    return counted(system, pl.concat(frames).filter(pl.col("count") > 0), site)


def some_prices(points: int, seed: int) -> dict[str, np.ndarray]:
    """Around those of FLASH; about half of the waiting has no price."""
    random, tables = np.random.default_rng(seed), FLASH.prices.to_tables()
    found = {}
    for key in CHANGED:
        table, name = key.split(".")
        found[key] = tables[table][name] * random.uniform(0.3, 3, points)
        if key in WAITED_FOR:
            found[key] *= random.integers(0, 2, points)
    return found


def by_itself(made: Counted, changes: dict[str, np.ndarray], point: int) -> Outcome:
    tables = FLASH.prices.to_tables()
    for key, values in changes.items():
        table, name = key.split(".")
        tables[table][name] = float(values[point])
    return outcome_of(made, Prices.from_tables(tables))


def assert_same(found: BulkTimes, point: int, expected: Outcome) -> None:
    assert found.total_ns[point] / 1e6 == expected.time_ms
    assert (found.parts_ns[point] / 1e6).tolist() == list(expected.parts_ms.values())
    assert found.stalls_ms[point].tolist() == list(expected.stalls_ms.values())
    assert found.memory_busy_ratio[point] == expected.memory_busy_ratio


@given(counts(), st.integers(0, 99), st.sampled_from([1, 1000, 1 << 18]))
@settings(max_examples=30, deadline=None)
def test_each_vector_is_priced_as_by_itself(made: Counted, seed: int, elements: int) -> None:
    """Whatever is priced with it, before it, and in chunks of which size."""
    changes = some_prices(12, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_pricing, "ELEMENTS", elements)
        found = priced(made.ledger, PricePoints.of(FLASH.prices, changes))
    for point in range(12):
        assert_same(found, point, by_itself(made, changes, point))


@given(counts(), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_the_number_of_threads_changes_nothing(made: Counted, seed: int) -> None:
    points = PricePoints.of(FLASH.prices, some_prices(40, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_pricing, "ELEMENTS", 2000)
        one, three = (priced(made.ledger, points, threads) for threads in (1, 3))
    assert (one.parts_ns == three.parts_ns).all()
    assert (one.total_ns == three.total_ns).all()


def test_thousands_without_waiting_go_in_chunks() -> None:
    made = counted("native", rows("instructions", [3, 5]), Site(FLASH.machine.for_trace(1)))
    ns = np.linspace(1, 2, 20_000)
    off = {key: np.zeros(20_000) for key in WAITED_FOR}
    found = priced(made.ledger, PricePoints.of(FLASH.prices, off | {"cpu.cycles_per_instruction": ns}))
    assert found.total_ns == pytest.approx(8 * 2.5 * ns)
    assert not found.memory_busy_ratio.any()


def test_no_vectors_give_empty_arrays() -> None:
    made = counted("native", rows("instructions", [3, 5]), Site(FLASH.machine.for_trace(1)))
    found = priced(made.ledger, PricePoints.of(FLASH.prices, {"l2.hit_ns": np.zeros(0)}))
    assert len(found.total_ns) == len(found.parts_ns) == 0


def test_a_disk_that_takes_no_time_at_one_vector_keeps_nobody_waiting_there() -> None:
    """Pages have no price of their own at the first, and there are no requests."""
    frames = [rows("instructions", [3000, 5000]), rows("disk_pages", 5, context="any")]
    made = counted("native", pl.concat(frames), Site(FLASH.machine.for_trace(1), 1, 2))
    changes = {"disks.request_ms": np.array([1.0, 1.0]), "disks.page_ms": np.array([0.0, 1.0])}
    found = priced(made.ledger, PricePoints.of(FLASH.prices, changes))
    assert found.total_ns[0] == 8000 * 2.5
    assert_same(found, 0, by_itself(made, changes, 0))
    assert_same(found, 1, by_itself(made, changes, 1))
