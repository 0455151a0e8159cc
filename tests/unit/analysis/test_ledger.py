"""Counts arranged for pricing."""

import numpy as np
import pytest

from discotrace.analysis.ledger import INTERVALS
from discotrace.analysis.pricing import KEYS, MISS_CLASSES, OWN_NODE, unit_ns
from tests.unit.analysis.waits import arranged, misses, priced, rows, sections


def test_the_product_of_units_and_prices_is_the_time() -> None:
    one = arranged(rows("instructions", [3, 5]), rows("l2_load_hits", 7, cpu=1), rows("pages_copied", 2, cpu=1))
    units = unit_ns(priced())
    by_cpu = (one.cpu, 2)
    times = one.account(by_cpu).unhindered_ns(units[None])[0]
    assert one.units_by(by_cpu) @ units == pytest.approx(times)
    assert times.tolist() == [20, 350 + 76_800]
    assert one.units_by(by_cpu)[0, KEYS.index("cpu.cycles_per_instruction")] == 8


def test_windows_are_grouped_evenly_into_intervals() -> None:
    one = arranged(rows("instructions", [1] * (3 * INTERVALS)))
    assert (one.windows, one.intervals) == (3 * INTERVALS, INTERVALS)
    assert np.bincount(one.interval).tolist() == [3] * INTERVALS
    assert (one.interval_of_window == np.repeat(np.arange(INTERVALS), 3)).all()


def test_windows_without_counts_leave_no_gap() -> None:
    frame = rows("instructions", [1, 1])
    assert arranged(frame.with_columns(frame["window"] * 1000 + 7)).window.tolist() == [0, 1]


def test_what_is_asked_of_nodes_disks_and_locks_is_summed_by_its_place() -> None:
    one = arranged(
        misses(10, cpu=0, at=1),
        misses(20, cpu=0, at=1),
        sections(3, 100, cpu=1, lock=5),
        rows("disk_requests", 4, at=2, context="any"),
        rows("disk_pages", 9, at=2, context="any"),
        rows("files_created", 1, at=0, context="any"),
        rows("memory_writebacks", 6, cpu=1, at=0, context="any"),
    )
    assert one.requests.tolist() == [[[0, 30], [0, 0]]]
    assert one.writebacks.tolist() == [[[0, 0], [6, 0]]]
    assert one.acquires[0, 0].tolist() == [[0] * 8, [0, 0, 0, 0, 0, 3, 0, 0]]
    assert one.disk_requests.tolist() == [[0, 0, 4]]
    assert one.disk_pages.tolist() == [[0, 0, 9]]
    assert one.files_created.tolist() == [[1, 0, 0]]


def test_misses_are_known_by_where_they_wait() -> None:
    one = arranged(misses(10, cpu=0, at=0), rows("upgrades_local", 5), rows("l2_load_hits", 100))
    assert one.misses_by((one.cpu, 2))[0, OWN_NODE] == 15
    assert one.misses_by((one.cpu, 2)).shape == (2, MISS_CLASSES)


@pytest.mark.parametrize("event", ["idle_instructions", "idle_spins", "barriers"])
def test_cpus_meet_where_they_idled_or_came_to_a_barrier(event: str) -> None:
    one = arranged(rows("instructions", [1, 1]), rows(event, 1, cpu=1, context="idle"))
    assert one.meets.tolist() == [[[False, True]], [[False, False]]]
