"""Memory in use as KiB, and which replays it takes to compare it."""

from collections.abc import Mapping

import pyarrow as pa
import pytest

from discotrace.analysis.footprint import memory_runs, memory_use
from discotrace.analysis.footprint_report import memory_tables
from discotrace.analysis.fronts import Run
from discotrace.analysis.run import Replayed
from discotrace.replay.footprint import CATEGORIES, MACHINE_CATEGORIES, Footprint, Footprints
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from tests.machines import machine
from tests.unit.analysis.frames import counts_table

TWO_CPUS = machine(cpu__count=2)


def footprint(virtual: Mapping[str, int], shared: Mapping[str, int]) -> Footprint:
    return Footprint(
        {name: virtual.get(name, 0) for name in CATEGORIES}, {name: shared.get(name, 0) for name in MACHINE_CATEGORIES}
    )


def replayed(system: str, on: Machine = TWO_CPUS, counts: pa.Table | None = None) -> Replayed:
    end = footprint({"data": 5, "text": 4, "buffer": 3, "user": 2}, {"data": 5, "text": 2, "replica": 1, "log": 7})
    peak = footprint({"data": 9}, {"data": 8, "disk_cache": 1})
    return Replayed(Run("label", system, on), counts or counts_table(), Footprints(end, peak), None)


def test_pages_become_kib() -> None:
    use = memory_use(replayed("native"), 2)
    assert use.end.virtual_kib == {
        **{"kernel_data": 20, "kernel_text": 16, "buffer_cache": 12, "user": 8},
        **{"monitor": 0, "total": 56},
    }
    assert use.peak.machine_kib["disk_cache"] == 4
    assert use.peak.machine_kib["total"] == 36


def test_larger_pages_are_more_kib() -> None:
    large = memory_use(replayed("native", machine(cpu__count=2, memory__page_kib=16)), 2)
    assert large.end.virtual_kib["user"] == 32


def test_under_the_monitor_its_structures_are_in_both_footprints() -> None:
    use = memory_use(replayed("disco"), 2)
    monitor = sum(use.monitor_kib.values())
    assert monitor == 144 + 64 + 256 + 512
    assert use.end.virtual_kib["monitor"] == use.peak.machine_kib["monitor"] == monitor
    assert use.end.machine_kib["total"] == 4 * (5 + 2 + 1 + 7) + monitor


def test_a_piece_of_a_kib_counts_as_one() -> None:
    one_page = counts_table((0, 0, "user", "disk_pages_done", 1))
    assert memory_use(replayed("disco", counts=one_page), 2).monitor_kib["disk_cache_and_logs"] == 1


def test_natively_the_number_of_virtual_machines_says_nothing() -> None:
    use = memory_use(replayed("native", machine(cpu__count=2, vm__count=4, vm__nfs=True)), 2)
    assert (use.vms, use.nfs, use.monitor_kib) == (1, False, {})


def test_runs__native_comes_first_and_nfs_last() -> None:
    runs = memory_runs(machine(), [1, 8], nfs=True)
    assert [(run.label, run.system) for run in runs] == [
        *(("native", "native"), ("1 VM", "disco"), ("8 VMs", "disco"), ("8 VMs, NFS", "disco"))
    ]
    assert [(run.machine.vm.count, run.machine.vm.nfs) for run in runs[1:]] == [(1, False), (8, False), (8, True)]


def test_runs__none_is_made_twice() -> None:
    assert [run.label for run in memory_runs(machine(vm__nfs=True), [2, 2], nfs=True)] == ["native", "2 VMs, NFS"]


def test_runs__the_machine_must_have_room_for_the_virtual_machines() -> None:
    small = machine(cpu__count=1, memory__mib_per_node=1, memory__page_kib=128)
    with pytest.raises(ConfigError, match=r"vm.count is 9"):
        memory_runs(small, [8, 9], nfs=False)


def test_tables__have_the_columns_that_something_is_in() -> None:
    about = {"trace": {"name": "[t]", "rows": 1}, "cpus": 2}
    end, peak = memory_tables(about, [memory_use(replayed("native"), 2)])
    assert [str(column.header) for column in end.columns[2:]] == [
        *("kernel data", "kernel text", "buffer cache", "user", "replicas", "logs", "total")
    ]
    assert [str(column.header) for column in peak.columns[2:]] == ["kernel data", "disk cache", "total"]
    assert "[t]: 1 records on 2 CPUs" in str(end.title)
