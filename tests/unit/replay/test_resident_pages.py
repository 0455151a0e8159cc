"""Pages that were in memory before the trace began: they are where a read or a touch would put them, uncounted."""

import pytest

from discotrace.replay.counts import Event
from discotrace.replay.engine import RowFault
from discotrace.tracegen.schema import KSEG0_START, KSEG2_START, Kind, Service
from tests.unit.replay.driving import (
    AT,
    FILE_AT,
    FILE_PAGES,
    PAGE,
    WINDOW_AT,
    AnySystem,
    Driven,
    event,
    file_read,
    file_write,
    load,
    native,
    resident,
    trace,
    trace_with_file,
)


def counted(run: Driven[AnySystem]) -> dict[Event, int]:
    """All that has been counted."""
    return {one: count for one, count in run.counts(*Event).items() if count}


@pytest.mark.parametrize("row", [resident(0, 3, file=1), resident(AT, 3), resident(KSEG0_START, 3, asid=0)])
def test_nothing_is_counted_but_how_many_pages(row: tuple[int, int, int, int, int, int]) -> None:
    run = native(trace_with_file())
    run.feed(row)
    assert counted(run) == {Event.RESIDENT_PAGES: 3}
    assert run.frames_in_use == 3
    run.feed(row)
    assert counted(run) == {Event.RESIDENT_PAGES: 3}, "they were there already"


def test_a_resident_file_is_not_read_from_disk() -> None:
    run = native(trace_with_file())
    run.feed(resident(0, FILE_PAGES, file=1), file_read(0, FILE_PAGES), load(FILE_AT), load(WINDOW_AT))
    assert run.count(Event.DISK_READS) == 0
    assert run.count(Event.BUFFER_HITS) == FILE_PAGES


def test_a_resident_page_is_not_mapped_again() -> None:
    run = native(trace())
    run.feed(resident(AT))
    frame = run.slot(AT)
    run.feed(load(AT))
    assert run.slot(AT) == frame
    assert run.count(Event.PAGES_MAPPED) == 1, "the page of page table"


def test_the_pages_that_a_range_only_begins_and_ends_in_count_too() -> None:
    run = native(trace())
    run.feed(event(Kind.RESIDENT, AT + PAGE - 1, PAGE + 2, 0))
    assert counted(run) == {Event.RESIDENT_PAGES: 3}


def test_a_page_of_a_file_that_is_mapped_comes_into_the_buffer_cache() -> None:
    run = native(trace_with_file())
    run.feed(resident(FILE_AT), file_read(0))
    assert run.counts(Event.DISK_READS, Event.BUFFER_HITS) == {Event.DISK_READS: 0, Event.BUFFER_HITS: 1}


def test_what_it_drives_out_is_not_counted() -> None:
    run = native(trace_with_file(), guest__buffer_cache_percent=0)
    run.feed(file_write(0), resident(0, 2, file=2))
    assert run.counts(Event.BUFFER_EVICTIONS, Event.DISK_WRITES) == {Event.BUFFER_EVICTIONS: 0, Event.DISK_WRITES: 0}
    run.feed(file_read(0))
    assert run.count(Event.DISK_READS) == 1, "the page is gone all the same"


def test_frames_are_placed_for_the_cpu_of_the_row() -> None:
    run = native(trace(cpus=2), placement__native="first-touch")
    run.feed(resident(KSEG2_START, vcpu=1, asid=0), resident(KSEG2_START, 2, vcpu=0, asid=0))
    assert [run.node(KSEG2_START), run.node(KSEG2_START + PAGE)] == [1, 0]


def test_no_virtual_cpu_runs_for_it() -> None:
    run = native(trace(cpus=2), cpu__count=1)
    run.feed(load(vcpu=0), resident(AT + PAGE, vcpu=1), load(vcpu=0))
    assert run.count(Event.VCPU_SWITCHES) == 0
    run.feed(load(vcpu=1))
    assert run.count(Event.VCPU_SWITCHES) == 1


def test_pages_count_in_the_service_that_the_row_is_in() -> None:
    run = native(trace())
    run.feed(event(Kind.ENTER, arg=Service.EXECVE), resident(AT), event(Kind.EXIT, arg=Service.EXECVE))
    assert run.count(Event.RESIDENT_PAGES, context=Service.EXECVE) == 1


def test_an_address_that_no_segment_holds_is_an_error_with_the_row() -> None:
    run = native(trace())
    with pytest.raises(RowFault, match="lies in no segment") as caught:
        run.feed(load(), resident(0x1000))
    assert caught.value.row == 1
    run = native(trace())
    run.feed(resident(AT))
    assert counted(run) == {Event.RESIDENT_PAGES: 1}
