"""Waiting for disks."""

import polars as pl
import pytest

from discotrace.analysis.waiting import Timing, timing
from tests.unit.analysis.waits import arranged, priced, rows

MS = 1e6
WORK = rows("instructions", 400_000)  # 1 ms


def asked(requests: int, *, at: int = 0, vm: int = 0, pages: int = 0, created: int = 0, cpu: int = 0) -> pl.DataFrame:
    counts = {"disk_requests": requests, "disk_pages": pages, "files_created": created}
    return pl.concat([rows(event, n, at=at, vm=vm, cpu=cpu, context="any") for event, n in counts.items()])


def solved(*frames: pl.DataFrame, request_ms: float = 1.0, jobs: int | None = 1, **kwargs: object) -> Timing:
    prices = priced(disks__request_ms=request_ms, disks__page_ms=0.1, disks__create_requests=2)
    return timing(arranged(*frames, jobs=jobs, **({"cpus": 1} | kwargs)), prices)  # type: ignore[arg-type]


def test_one_job_waits_for_each_request() -> None:
    time = solved(WORK, asked(3, pages=5, created=1))
    assert time.total_ns == pytest.approx(1 * MS + 3 * MS + 5 * 0.1 * MS + 2 * MS)
    assert time.parts_ns()["idle"] == pytest.approx(5.5 * MS)


def test_many_jobs_leave_only_what_the_disk_needs_longer_than_the_cpu() -> None:
    assert solved(WORK, asked(3), jobs=200).total_ns == pytest.approx(3 * MS, rel=0.01)
    assert solved(WORK, asked(1), request_ms=0.2, jobs=200).total_ns == pytest.approx(1 * MS, rel=0.01)


def test_without_a_number_of_jobs_it_is_one_per_cpu_times_the_price() -> None:
    frames = (WORK, asked(3))
    guessed = solved(*frames, jobs=None).total_ns
    assert guessed == pytest.approx(solved(*frames, jobs=2).total_ns)


def test_disks_work_side_by_side() -> None:
    one = solved(WORK, asked(4), jobs=4).total_ns
    two = solved(WORK, asked(2, at=0), asked(2, at=9), jobs=4).total_ns
    assert 2 * MS < two < 0.8 * one


def of_vm(vm: int, disk: int) -> pl.DataFrame:
    return pl.concat([rows("instructions", 400_000, cpu=vm, vm=vm), asked(3, at=disk, vm=vm, cpu=vm)])


def test_virtual_machines_that_share_a_disk_take_turns() -> None:
    """Each alone: 1 ms of CPU, 3 ms of disk; with many jobs the disk is always busy."""
    two_vms = {"cpus": 2, "changes": ("vm.count=2",), "instances": 2, "jobs": 50}
    assert solved(of_vm(0, 0), of_vm(1, 1), **two_vms).total_ns == pytest.approx(3 * MS, rel=0.02)
    assert solved(of_vm(0, 0), of_vm(1, 0), **two_vms).total_ns == pytest.approx(6 * MS, rel=0.03)


def test_eight_that_share_a_disk_settle_too() -> None:
    frames = [of_vm(vm, 0) for vm in range(8)]
    time = solved(*frames, cpus=8, changes=("vm.count=8",), instances=8, jobs=20)
    assert time.total_ns == pytest.approx(24 * MS, rel=0.03)


def test_a_file_server_serves_one_after_the_other() -> None:
    """Two clients with disks of their own behind one server."""
    nfs = {"cpus": 2, "changes": ("vm.count=2", "vm.nfs=true"), "instances": 2, "jobs": 50}
    assert solved(of_vm(0, 0), of_vm(1, 1), **nfs).total_ns == pytest.approx(6 * MS, rel=0.03)


def test_the_server_s_own_time_is_not_waited_for_twice() -> None:
    """One job: what it waits for the server is in its time already (nfs_request_us, 0.1 ms each)."""
    nfs = {"cpus": 2, "changes": ("vm.count=2", "vm.nfs=true"), "instances": 2}
    asking = rows("nfs_requests", 10, cpu=1, vm=1)
    work = rows("instructions", 400_000, cpu=1, vm=1)
    assert solved(work, asking, asked(1, vm=1, cpu=1), **nfs).total_ns == pytest.approx(3 * MS)
