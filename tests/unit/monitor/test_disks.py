"""Disks: what virtual machines share of them, what each has for itself, what the disk must be asked for.

Two virtual machines on a CPU each. Files have eight pages of 4 KiB; the buffer cache of a VM is as large as it is said.
"""

from typing import Any

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import KSEG0_START, File, Kind, Segment
from tests.unit.replay.driving import (
    FILE_AT,
    FILE_PAGES,
    PAGE,
    WINDOW_AT,
    Driven,
    disco,
    event,
    file_read,
    file_write,
    load,
    native,
    store,
    trace,
    trace_with_file,
)

SMALL = {"guest__buffer_cache_percent": 0}  # a buffer cache of one page
OTHER_VM = {"vcpu": 1, "asid": 2}


def driven(size: int = FILE_PAGES * PAGE, **changes: Any) -> Driven[DiscoSystem]:
    return disco(trace_with_file(size=size), **{"vm__count": 2} | changes)


def test_read__a_run_of_missing_pages_is_one_request() -> None:
    run = driven()
    run.feed(file_read(2), file_read(0, 6))
    assert run.counts(Event.DISK_READS, Event.DISK_READ_PAGES, Event.BUFFER_HITS) == {
        Event.DISK_READS: 3,
        Event.DISK_READ_PAGES: 6,
        Event.BUFFER_HITS: 1,
    }


def test_read__consecutive_pages_are_read_at_once() -> None:
    """The other VM has pages 2 and 5: of 0 to 7 the disk reads 0-1, 3-4 and 6-7."""
    run = driven()
    run.feed(file_read(2), file_read(5))
    before = run.counts(Event.DISK_READS_DONE, Event.DISK_PAGES_DONE)
    run.feed(file_read(0, 8, **OTHER_VM))
    assert run.count(Event.DISK_READS_DONE) == before[Event.DISK_READS_DONE] + 3
    assert run.count(Event.DISK_PAGES_DONE) == before[Event.DISK_PAGES_DONE] + 6
    assert run.count(Event.DISK_PAGES_SHARED) == 2
    assert run.count(Event.DISK_READS, vm=1) == 1


def test_cow__the_second_vm_gets_the_first_ones_frame() -> None:
    run = driven()
    run.feed(file_read(0), load(FILE_AT))
    used = run.frames_in_use
    run.feed(file_read(0, **OTHER_VM))
    assert run.frames_in_use == used
    run.feed(load(FILE_AT, 1, 2))
    assert run.slot(FILE_AT) == run.slot(FILE_AT, 2)
    assert run.counts(Event.PAGES_REMAPPED, Event.DISK_PAGES_DONE, Event.DISK_PAGES_SHARED) == {
        Event.PAGES_REMAPPED: 2,
        Event.DISK_PAGES_DONE: 1,
        Event.DISK_PAGES_SHARED: 1,
    }


def test_cow__a_mapped_page_that_is_not_there_is_a_request() -> None:
    run = driven()
    run.feed(load(FILE_AT))
    assert run.counts(Event.DISK_READS, Event.DISK_READ_PAGES) == {Event.DISK_READS: 1, Event.DISK_READ_PAGES: 1}


@pytest.mark.parametrize(("bytes_in_last", "copied"), [(0, 0), (1, 2), (PAGE - 1, 2), (PAGE, 0)])
def test_cow__a_page_in_which_the_file_ends_is_copied(bytes_in_last: int, copied: int) -> None:
    """Page 3, by both VMs. With 0 bytes the file ends before the page, which was never written whole or in part."""
    run = driven(size=3 * PAGE + bytes_in_last)
    run.feed(file_read(3), file_read(3, **OTHER_VM))
    assert run.counts(Event.PAGES_COPIED, Event.PAGES_REMAPPED) == {
        Event.PAGES_COPIED: copied,
        Event.PAGES_REMAPPED: 2 - copied,
    }


def test_cow__a_copied_page_takes_a_frame_for_each_vm_and_one_for_the_cache() -> None:
    run = driven(size=PAGE // 2)
    run.feed(file_read(0))
    assert run.frames_in_use == 2
    run.feed(file_read(0, **OTHER_VM))
    assert run.frames_in_use == 3
    run.feed(store(WINDOW_AT))
    assert run.count(Event.COW_FAULTS) == 0, "it may be written"


def test_cow__frames_stay_in_the_disk_cache_when_the_guest_evicts() -> None:
    run = driven(**SMALL)
    run.feed(file_read(0), file_read(1), file_read(0))
    assert run.counts(Event.BUFFER_EVICTIONS, Event.DISK_WRITES, Event.DISK_PAGES_DONE, Event.DISK_PAGES_SHARED) == {
        Event.BUFFER_EVICTIONS: 2,
        Event.DISK_WRITES: 0,
        Event.DISK_PAGES_DONE: 2,
        Event.DISK_PAGES_SHARED: 1,
    }


def test_write__nothing_is_read_where_the_write_begins_with_the_page() -> None:
    run = driven()
    run.feed(file_write(0, 2))
    assert run.counts(Event.DISK_READS, Event.FRAMES_ALLOCATED) == {Event.DISK_READS: 0, Event.FRAMES_ALLOCATED: 2}


def test_write__only_the_first_page_can_begin_inside() -> None:
    run = driven()
    run.feed(event(Kind.FILE_WRITE, 1, 2 * PAGE, 1))
    assert run.counts(Event.DISK_READS, Event.DISK_READ_PAGES) == {Event.DISK_READS: 1, Event.DISK_READ_PAGES: 1}


def test_write__of_a_page_that_is_there_is_a_hit() -> None:
    run = driven()
    run.feed(file_read(0), file_write(0))
    assert run.counts(Event.BUFFER_HITS, Event.DISK_READS) == {Event.BUFFER_HITS: 1, Event.DISK_READS: 1}


def test_log__a_written_page_survives_eviction() -> None:
    run = driven(**SMALL)
    run.feed(file_write(0), load(WINDOW_AT))
    written = run.slot(WINDOW_AT)
    run.feed(file_read(1))
    assert run.counts(Event.BUFFER_EVICTIONS, Event.DISK_WRITES, Event.DISK_PAGES_LOGGED) == {
        Event.BUFFER_EVICTIONS: 1,
        Event.DISK_WRITES: 1,
        Event.DISK_PAGES_LOGGED: 1,
    }
    run.feed(load(WINDOW_AT))
    assert run.slot(WINDOW_AT) == written
    assert run.count(Event.DISK_PAGES_SHARED) == 1


def test_log__nobody_else_sees_it() -> None:
    run = driven(**SMALL)
    run.feed(file_write(0), load(WINDOW_AT), file_read(1), load(WINDOW_AT))
    run.feed(load(WINDOW_AT, **OTHER_VM))
    assert run.slot(WINDOW_AT, vm=1) != run.slot(WINDOW_AT)
    assert run.count(Event.DISK_PAGES_DONE, vm=1) == 1


def test_log__outlives_the_page_in_the_disk_cache() -> None:
    """The page was read first, so the cache has what it was before."""
    run = driven(**SMALL)
    run.feed(load(WINDOW_AT), file_write(0), store(WINDOW_AT))
    written = run.slot(WINDOW_AT)
    run.feed(file_read(1), load(WINDOW_AT))
    assert run.slot(WINDOW_AT) == written


def test_log__a_logged_page_that_is_written_again_is_copied_first() -> None:
    run = driven(**SMALL)
    run.feed(file_write(0), load(WINDOW_AT), file_read(1), file_write(0), store(WINDOW_AT))
    assert run.count(Event.COW_FAULTS) == 0, "the write took a new page, and reads nothing"
    run.feed(file_read(1), file_read(0), store(WINDOW_AT))
    assert run.count(Event.COW_FAULTS) == 1


def test_log__an_older_version_is_freed() -> None:
    run = driven(**SMALL)
    run.feed(file_write(0), file_read(1))
    used = run.frames_in_use
    run.feed(file_write(0), file_read(1))
    assert run.count(Event.DISK_PAGES_LOGGED) == 2
    assert run.frames_in_use == used


def test_persistent__pages_are_the_owners_alone() -> None:
    run = driven(disks__persistent=[0], **SMALL)
    run.feed(file_read(0), file_read(1), file_read(0))
    assert run.counts(Event.DISK_PAGES_DONE, Event.PAGES_REMAPPED, Event.DISK_PAGES_SHARED) == {
        Event.DISK_PAGES_DONE: 3,
        Event.PAGES_REMAPPED: 0,
        Event.DISK_PAGES_SHARED: 0,
    }
    assert run.frames_in_use == 1


def test_persistent__what_is_written_is_gone_from_memory() -> None:
    run = driven(disks__persistent=[0], **SMALL)
    run.feed(file_write(0), file_read(1))
    assert run.counts(Event.DISK_WRITES, Event.DISK_PAGES_LOGGED) == {Event.DISK_WRITES: 1, Event.DISK_PAGES_LOGGED: 0}
    assert run.frames_in_use == 1


@pytest.mark.parametrize("use", [file_read(0, **OTHER_VM), load(FILE_AT, 1, 2)])
def test_persistent__a_second_vm_may_not_use_it(use: tuple[int, int, int, int, int, int]) -> None:
    run = driven(disks__persistent=[0])
    run.feed(file_read(0))
    expected = "disk 0 is persistent and mounted by virtual machine 0, so virtual machine 1 cannot use it"
    with pytest.raises(ConfigError, match=expected):
        run.feed(use)


def test_persistent__each_disk_has_its_owner() -> None:
    files = [File(1, "/a", PAGE, 0), File(2, "/b", PAGE, 3)]
    run = disco(trace(2, 2, files=files), vm__count=2, disks__persistent=[0, 3])
    run.feed(file_read(0, file=2), file_read(0, file=1, **OTHER_VM))
    with pytest.raises(ConfigError, match="disk 3 is persistent and mounted by virtual machine 0"):
        run.feed(file_read(0, file=2, **OTHER_VM))


def test_kernel_files__kernels_share_their_text_and_read_no_disk() -> None:
    text = Segment(0, KSEG0_START + 0x100_0000, KSEG0_START + 0x100_1000, "file", 1, 0, False)
    run = disco(trace(2, 2, [text], [File(1, "/unix", PAGE // 2)]), vm__count=2)
    run.feed(load(text.start), load(text.start, **OTHER_VM), file_read(0), file_write(0))
    assert run.slot(text.start) == run.slot(text.start, vm=1)
    events = (Event.DISK_READS, Event.DISK_PAGES_SHARED, Event.PAGES_REMAPPED, Event.PAGES_COPIED, Event.BUFFER_HITS)
    assert set(run.counts(*events).values()) == {0}


def test_native__a_page_is_read_into_its_frame() -> None:
    run = native(trace_with_file(size=FILE_PAGES * PAGE - 1))
    run.feed(file_read(0, 8))
    assert run.counts(Event.DISK_READS, Event.DISK_PAGES_DONE, Event.DISK_READS_DONE, Event.PAGES_COPIED) == {
        Event.DISK_READS: 1,
        Event.DISK_PAGES_DONE: 8,
        Event.DISK_READS_DONE: 1,
        Event.PAGES_COPIED: 0,
    }
    assert run.frames_in_use == 8
