"""What a ledger says whatever the prices."""

import polars as pl
import pytest

from discotrace.analysis.ledger import Ledger
from discotrace.analysis.pricing import ANY_NODE, OTHER_NODES, OWN_NODE, unit_ns
from tests.unit.analysis.waits import arranged, priced, rows, sections


def nine_windows(*, runs_on: bool = False) -> Ledger:
    """Two CPUs, the second comes to a barrier in windows 1 and 5."""
    barriers = rows("barriers", [int(window in (1, 5)) for window in range(9)], cpu=1, context="kernel:open")
    work = [rows("instructions", [10**window for window in range(9)], cpu=cpu) for cpu in (0, 1)]
    return arranged(*work, barriers.filter(pl.col("count") > 0), runs_on=runs_on)


def test_stretches_end_where_cpus_meet_and_with_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("discotrace.analysis.ledger.INTERVALS", 3)
    stretches = nine_windows().sums.stretches
    assert stretches.interval.tolist() == [0, 0, 1, 2]
    assert stretches.meets[:, 0].tolist() == [[False, True], [False, False], [False, True], [False, False]]
    assert (stretches.firsts.tolist(), stretches.lasts.tolist()) == ([0, 2, 3], [1, 2, 3])
    done_ns = stretches.account.unhindered_ns(unit_ns(priced())[None])[0, :, 0]
    assert done_ns.tolist() == [11 * 2.5, 100 * 2.5, 111_000 * 2.5, 111_000_000 * 2.5]


def test_long_stretches_end_only_where_cpus_meet() -> None:
    assert nine_windows().sums.long_stretches.meets[:, 0, 1].tolist() == [True, True, False]


def test_in_a_run_that_goes_on_there_is_one_long_stretch() -> None:
    assert nine_windows(runs_on=True).sums.long_stretches.meets.tolist() == [[[False, False]]]


def test_misses_go_where_the_cpu_s_requests_went() -> None:
    """Of the CPU's requests 10 go to its own node and 30 elsewhere; 5 and 6 of them are lines from other caches."""
    one = arranged(
        rows("l2_load_local", 5),
        rows("upgrades_remote", 24),
        rows("l2_load_dirty_remote", 11),
        rows("memory_requests", 10, at=0, context="any"),
        rows("memory_requests", 30, at=1, context="any"),
    )
    shares = one.sums.shares_of_nodes[0, 0]
    assert shares[OWN_NODE].tolist() == [1, 0]
    assert shares[OTHER_NODES].tolist() == [0, 1]
    assert shares[ANY_NODE] == pytest.approx([5 / 11, 6 / 11])


def test_locks_count_where_several_cpus_take_them() -> None:
    """In the second window CPU 1 takes none; lock 7 stands for many."""
    taken = [sections(3, 100, cpu=0), sections(4, 50, cpu=1), sections(9, 1000, cpu=1, lock=7)]
    alone = sections(5, 100, cpu=0)
    one = arranged(*taken, alone.with_columns(window=alone["window"] + 1))
    assert one.sums.lock_networks.tolist() == [0]
    assert one.sums.acquires[0, :, 0].tolist() == [3, 4]
    held = one.sums.by_lock.unhindered_ns(unit_ns(priced())[None])[0, 0]
    assert held[:, 0].tolist() == [250, 125]
    assert not held[:, 1:].any()


@pytest.mark.parametrize(("event", "asks"), [("disk_pages", True), ("files_created", True), ("nfs_requests", False)])
def test_disks_are_asked_by_requests_pages_and_new_files(event: str, asks: bool) -> None:
    assert arranged(rows(event, 3, context="any" if asks else "user")).sums.asks_disks == asks


def test_a_file_server_is_asked_by_its_requests() -> None:
    nfs = ("vm.count=2", "vm.nfs=true")
    assert arranged(rows("nfs_requests", 3, cpu=1, vm=1), changes=nfs).sums.asks_disks
