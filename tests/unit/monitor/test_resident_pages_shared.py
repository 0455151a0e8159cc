"""Resident pages under the monitor: shared as reads share them, and for each virtual machine on its own."""

from typing import Any

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import KSEG0_START, File, Kind, Segment, Service
from tests.unit.replay.driving import (
    FILE_AT,
    FILE_PAGES,
    PAGE,
    Driven,
    disco,
    event,
    file_read,
    load,
    resident,
    splashos,
    store,
    trace,
    trace_with_file,
)

OTHER_VM = {"vcpu": 1, "asid": 2}


def driven(size: int = FILE_PAGES * PAGE, **changes: Any) -> Driven[DiscoSystem]:
    return disco(trace_with_file(size=size), **{"vm__count": 2} | changes)


def counted(run: Driven[DiscoSystem]) -> dict[Event, int]:
    """All that has been counted."""
    return {one: count for one, count in run.counts(*Event).items() if count}


def test_virtual_machines_share_the_frames_of_a_resident_file() -> None:
    run = driven()
    run.feed(resident(FILE_AT), resident(FILE_AT, **OTHER_VM))
    assert counted(run) == {Event.RESIDENT_PAGES: 2}
    assert run.slot(FILE_AT) == run.slot(FILE_AT, asid=2)
    assert run.frames_in_use == 1


def test_a_file_is_resident_in_the_virtual_machine_of_the_row_alone() -> None:
    run = driven()
    run.feed(resident(0, 2, file=1), file_read(0, 2, **OTHER_VM))
    assert run.count(Event.RESIDENT_PAGES, vm=0) == 2
    assert run.counts(Event.DISK_READS, Event.DISK_PAGES_SHARED, Event.DISK_PAGES_DONE) == {
        Event.DISK_READS: 1,
        Event.DISK_PAGES_SHARED: 2,
        Event.DISK_PAGES_DONE: 0,
    }


def test_a_page_in_which_the_file_ends_is_a_copy_of_its_own() -> None:
    run = driven(size=100)
    run.feed(resident(0, file=1), resident(0, file=1, **OTHER_VM))
    assert counted(run) == {Event.RESIDENT_PAGES: 2}
    assert run.frames_in_use == 3, "one in the global disk cache"


def test_a_store_to_a_resident_page_of_a_file_is_a_fault() -> None:
    run = driven()
    run.feed(resident(FILE_AT), store(FILE_AT))
    assert run.counts(Event.COW_FAULTS, Event.PAGES_COPIED) == {Event.COW_FAULTS: 1, Event.PAGES_COPIED: 1}


def test_nfs_leaves_the_page_with_server_and_client() -> None:
    run = driven(vm__nfs=True)
    run.feed(resident(0, 2, file=1, **OTHER_VM))
    assert counted(run) == {Event.RESIDENT_PAGES: 2}
    assert run.frames_in_use == 2
    run.feed(file_read(0, 2, **OTHER_VM), file_read(0, 2))
    assert run.counts(Event.NFS_REQUESTS, Event.DISK_READS, Event.BUFFER_HITS) == {
        Event.NFS_REQUESTS: 0,
        Event.DISK_READS: 0,
        Event.BUFFER_HITS: 4,
    }


def test_each_virtual_machine_has_booted_a_kernel_whose_text_they_share() -> None:
    text = Segment(0, KSEG0_START + (1 << 24), KSEG0_START + (1 << 24) + 2 * PAGE, "file", 7, 0, False)
    run = disco(trace(processes=2, more=[text], files=[File(7, "/unix", 2 * PAGE)]), vm__count=2)
    for vcpu in (0, 1, 0):
        run.feed(resident(text.start, 2, vcpu=vcpu, asid=0), resident(KSEG0_START, 3, vcpu=vcpu, asid=0))
    assert counted(run) == {Event.RESIDENT_PAGES: 10}
    assert run.frames_in_use == 2 + 2 * 3
    assert run.slot(text.start, vm=0) == run.slot(text.start, vm=1)


def test_the_tlb_of_a_shared_cpu_is_not_emptied() -> None:
    run = disco(trace(cpus=2), cpu__count=1)
    run.feed(load(vcpu=0), resident(KSEG0_START, vcpu=1, asid=0), load(vcpu=0))
    assert run.counts(Event.TLB_FLUSHES, Event.VCPU_SWITCHES) == {Event.TLB_FLUSHES: 0, Event.VCPU_SWITCHES: 0}


def test_a_persistent_disk_is_its_owners_from_then_on() -> None:
    run = driven(disks__persistent=[0])
    run.feed(resident(0, file=1))
    with pytest.raises(ConfigError, match="disk 0 is persistent"):
        run.feed(file_read(0, **OTHER_VM))


def test_splashos_finds_pages_in_memory_inside_a_service_that_it_leaves_out() -> None:
    run = splashos(trace_with_file(processes=1))
    run.feed(event(Kind.ENTER, arg=Service.TICK), resident(0, 2, file=1), event(Kind.EXIT, arg=Service.TICK))
    assert run.count(Event.RESIDENT_PAGES) == 2


def test_a_dead_virtual_machine_gets_no_pages() -> None:
    run = driven()
    run.system.crash(1)
    run.feed(resident(0, 2, file=1, **OTHER_VM))
    assert counted(run) == {}
    assert run.frames_in_use == 0
