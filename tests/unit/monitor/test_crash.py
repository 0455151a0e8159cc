"""A virtual machine that dies: nothing changes for the others, and what only it had is taken back.

Two virtual machines on two CPUs, which share a file.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from discotrace.replay.crash import Crash
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import KSEG0_START, Kind, Service
from tests.property.engine import as_dict
from tests.unit.replay.driving import (
    AT,
    FILE_AT,
    PAGE,
    WINDOW_AT,
    Driven,
    Record,
    disco,
    event,
    fetch,
    file_read,
    file_write,
    load,
    native,
    splashos,
    store,
    trace_with_file,
)

CRASH_ROW = 14


def rows_of(vm: int) -> list[Record]:
    """What each VM does: pages, file, kernel, a service that is open at the crash, a page that it frees."""
    who: dict[str, int] = {"vcpu": vm, "asid": vm + 1}
    first = [fetch(50, **who), store(AT + PAGE, **who), load(FILE_AT, **who), load(KSEG0_START, **who)]
    middle = [event(Kind.ENTER, arg=Service.READ, **who), file_read(vm, 3, **who), store(WINDOW_AT, **who)]
    last = [load(FILE_AT, **who), event(Kind.EXIT, arg=Service.READ, **who), fetch(200, **who), store(FILE_AT, **who)]
    return [*first, *middle, *last, file_read(5, 2, **who), store(AT + 9 * PAGE, **who, size=3 * PAGE)]


def interleaved() -> list[Record]:
    return [row for both in zip(rows_of(0), rows_of(1), strict=True) for row in both]


def counts_of_vm(run: Driven[Any], vm: int) -> dict[tuple[object, ...], int]:
    return {key: count for key, count in as_dict(run.replay.finish()).items() if key[2] == vm}


def driven(rows: Sequence[Record], crash: Crash | None, **changes: Any) -> Driven[DiscoSystem]:
    run = disco(trace_with_file(), crash, vm__count=2, **changes)
    run.feed(*rows)
    return run


@pytest.mark.parametrize("row", [0, 1, 7, CRASH_ROW, 25])
@pytest.mark.parametrize("vm", [0, 1])
@pytest.mark.parametrize("build", [disco, splashos])
def test_the_others_count_as_if_the_dead_had_nothing_more_to_do(build: Any, vm: int, row: int) -> None:
    rows = interleaved()
    crashed = build(trace_with_file(), Crash(vm, row), vm__count=2)
    crashed.feed(*rows)
    silent = build(trace_with_file(), vm__count=2)
    silent.feed(*rows[:row], *(one for one in rows[row:] if one[0] != vm))
    assert counts_of_vm(crashed, 1 - vm) == counts_of_vm(silent, 1 - vm)
    assert counts_of_vm(crashed, vm) == counts_of_vm(silent, vm)


def test_the_row_of_the_crash_is_not_executed_and_the_one_before_is() -> None:
    run = driven([load()] * 5, Crash(0, 3))
    assert run.count(Event.LOAD_ROWS) == 3


@pytest.mark.parametrize("batch", [1, 3, CRASH_ROW, 100])
def test_it_does_not_matter_how_the_rows_come(batch: int) -> None:
    rows = interleaved()
    run = disco(trace_with_file(), Crash(1, CRASH_ROW), vm__count=2)
    for start in range(0, len(rows), batch):
        run.feed(*rows[start : start + batch])
    whole = driven(rows, Crash(1, CRASH_ROW))
    assert run.replay.loss == whole.replay.loss
    assert as_dict(run.replay.finish()) == as_dict(whole.replay.finish())


def test_its_services_still_nest() -> None:
    """A row of no process goes with the row before it, so that the dead VM's rows must be known."""
    run = driven([event(Kind.ENTER, arg=Service.READ), load()], Crash(0, 1))
    run.feed(
        event(Kind.ENTER, arg=Service.OPEN), event(Kind.EXIT, arg=Service.OPEN), event(Kind.EXIT, arg=Service.READ)
    )
    assert run.count(Event.SERVICE_ENTRIES) == 1


def test_loss__frames_that_others_need_survive() -> None:
    """VM 0 has three private frames (a page, page table and kernel), the file's page with VM 1, another alone."""
    rows = [load(), load(KSEG0_START), load(FILE_AT), load(FILE_AT, 1, 2), file_read(3), load(AT, 1, 2)]
    run = driven(rows, Crash(0, 5))
    assert run.replay.loss is not None
    assert run.replay.loss.frames_reclaimed == 4, "a page, two of page table (user and file), one of the kernel"
    assert run.replay.loss.frames_surviving == 2, "one that VM 1 shows too, one in the disk cache alone"


def test_loss__processes_and_rows() -> None:
    rows = [load(), load(vcpu=1, asid=2), load(), load(), load(KSEG0_START, 0, 0), load(vcpu=1, asid=2)]
    run = driven(rows, Crash(0, 2))
    assert run.replay.loss is not None
    assert (run.replay.loss.vm, run.replay.loss.processes, run.replay.loss.rows) == (0, [1], 2)


def test_loss__a_process_that_has_exited_is_not_lost() -> None:
    run = driven([load(), event(Kind.PROCESS_EXIT), load(vcpu=1, asid=2)], Crash(0, 2))
    assert run.replay.loss is not None
    assert run.replay.loss.processes == []


def test_loss__none_without_a_crash() -> None:
    assert driven([load()], None).replay.loss is None
    assert driven([load()], Crash(0, 1)).replay.loss is None, "the trace ends before"


def test_its_frames_are_free_again() -> None:
    rows = [load(), store(AT + PAGE), load(KSEG0_START), load(AT, 1, 2), load(AT, 1, 2)]
    run = driven(rows, None)
    alone = run.frames_in_use
    assert alone - driven(rows, Crash(0, 4)).frames_in_use == 4


def test_its_log_is_lost() -> None:
    small = {"guest__buffer_cache_percent": 0}
    rows = [file_write(0), file_read(1), load(vcpu=1, asid=2), load(vcpu=1, asid=2)]
    run = driven(rows, Crash(0, 3), **small)
    assert run.count(Event.DISK_PAGES_LOGGED) == 1
    assert run.replay.loss is not None
    assert (run.replay.loss.frames_reclaimed, run.replay.loss.frames_surviving) == (1, 1)


def test_reclaimed_frames_are_used_last() -> None:
    run = driven([load(), load(AT, 1, 2), load(AT + PAGE, 1, 2), load(AT + 2 * PAGE, 1, 2)], Crash(0, 2))
    indices = [run.system.memory.frames[run.slot(AT + page * PAGE, 2)].index for page in range(3)]
    assert indices == [0, 2, 3], "1 is the page table"


def test_its_persistent_disks_are_nobodys() -> None:
    rows = [file_read(0), load(vcpu=1, asid=2), file_read(0, vcpu=1, asid=2)]
    assert driven(rows, Crash(0, 1), disks__persistent=[0]).count(Event.DISK_PAGES_DONE) == 2


def test_a_vm_that_there_is_not_cannot_crash() -> None:
    with pytest.raises(ConfigError, match="there is no virtual machine 2 to crash: there are 2"):
        driven([load()], Crash(2, 0))


def test_the_nfs_server_cannot_crash() -> None:
    with pytest.raises(ConfigError, match="virtual machine 0 serves the files of all others"):
        driven([load()], Crash(0, 0), vm__nfs=True)
    assert driven([load()], Crash(1, 0), vm__nfs=True).replay.loss is not None


def test_natively_everything_ends() -> None:
    rows = interleaved()
    crashed = native(trace_with_file(), Crash(1, CRASH_ROW))
    crashed.feed(*rows)
    cut_short = native(trace_with_file())
    cut_short.feed(*rows[:CRASH_ROW])
    assert crashed.replay.loss is not None
    assert crashed.replay.loss.processes == [1, 2]
    assert crashed.replay.loss.rows == len(rows) - CRASH_ROW
    assert as_dict(crashed.replay.finish()) == as_dict(cut_short.replay.finish())


def test_its_log_may_hold_one_frame_at_two_places() -> None:
    """Without the hint a guest page that was written out keeps its frame, and shows the next page of the file in it."""
    rows = [file_write(0), file_write(1), file_write(2), load(vcpu=1, asid=2), load(vcpu=1, asid=2)]
    small = {"guest__buffer_cache_percent": 0, "monitor__free_page_hint": False}
    run = driven(rows, Crash(0, 4), **small)
    assert run.replay.loss is not None
    assert (run.replay.loss.frames_reclaimed, run.replay.loss.frames_surviving) == (1, 0)
