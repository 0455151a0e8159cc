"""The native system: its memory, and what UNMAP, PROCESS_EXIT and the buffer cache do to it."""

import pytest

from discotrace.replay.counts import Event
from discotrace.replay.placement import splitmix64
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import File, Kind, Segment
from tests.unit.replay.driving import (
    AT,
    FILE_AT,
    PAGE,
    WINDOW_AT,
    event,
    file_read,
    load,
    native,
    trace,
    trace_with_file,
)

LARGE = 256 * 1024
HERE = 0x2000_0000


@pytest.mark.parametrize(
    ("placement", "nodes"),
    [
        ("round-robin", [0, 2, 3, 0]),
        ("first-touch", [2, 2, 2, 2]),
        ("random", [splitmix64(k) % 4 for k in (0, 2, 3, 4)]),
    ],
)
def test_placement__pages_come_from_where_it_says(placement: str, nodes: list[int]) -> None:
    """Frame 1 is the page of page table."""
    run = native(trace(4), placement__native=placement)
    run.feed(*(load(AT + page * PAGE, 2) for page in range(4)))
    assert [run.node(AT + page * PAGE) for page in range(4)] == nodes
    assert run.count(Event.FRAMES_ALLOCATED) == 5


def test_placement__goes_on_after_a_free() -> None:
    run = native(trace(4, 2))
    run.feed(load(), event(Kind.PROCESS_EXIT), load(AT, 1, 2))
    assert run.node(AT, 2) == 2, "two frames were dealt out before"


def test_layout__frames_are_numbered_round_the_nodes() -> None:
    run = native(trace(2))
    run.feed(load(size=4 * PAGE))
    assert [frame.mfn for frame in run.system.memory.frames] == [0, 1, 2, 3, 4]


def test_memory__full_names_the_remedy() -> None:
    run = native(trace(2, more=[Segment(1, HERE, HERE + 9 * LARGE, "anonymous")]), memory__page_kib=LARGE // 1024)
    run.feed(load(HERE, size=7 * LARGE))
    assert run.frames_in_use == 8
    with pytest.raises(ConfigError, match="out of memory: all 2 nodes of 1 MiB are full; give more with --set memory"):
        run.feed(load(HERE + 7 * LARGE))


def test_memory__full_evicts_from_the_buffer_cache() -> None:
    more = [Segment(1, HERE, HERE + 9 * LARGE, "anonymous")]
    meta = trace(1, more=more, files=[File(1, "/f", 9 * LARGE)])
    run = native(meta, memory__page_kib=LARGE // 1024)
    run.feed(event(Kind.FILE_READ, 0, 3 * LARGE, 1), load(HERE, size=2 * LARGE))
    assert run.counts(Event.BUFFER_EVICTIONS, Event.DISK_WRITES) == {Event.BUFFER_EVICTIONS: 2, Event.DISK_WRITES: 0}
    assert run.frames_in_use == 4


def test_buffer_cache__is_so_many_percent_of_memory() -> None:
    """Four pages of 256 KiB; at least one, even of none."""
    for percent, evicted in ((100, 0), (75, 1), (50, 2), (49, 3), (0, 3)):
        meta = trace(1, files=[File(1, "/f", 9 * LARGE)])
        run = native(meta, memory__page_kib=LARGE // 1024, guest__buffer_cache_percent=percent)
        run.feed(*(event(Kind.FILE_READ, page * LARGE, LARGE, 1) for page in range(4)))
        assert run.count(Event.BUFFER_EVICTIONS) == evicted, percent


def test_eviction__takes_the_kernels_mappings() -> None:
    run = native(trace_with_file(1, 1), guest__buffer_cache_percent=0)
    run.feed(load(WINDOW_AT), file_read(1))
    mapped = run.count(Event.PAGES_MAPPED)
    run.feed(load(WINDOW_AT))
    assert run.count(Event.PAGES_MAPPED) == mapped + 1
    assert run.count(Event.DISK_READS) == 3


def test_eviction__spares_what_a_process_maps() -> None:
    run = native(trace_with_file(1, 1), guest__buffer_cache_percent=0)
    run.feed(load(FILE_AT), file_read(1), file_read(2), load(FILE_AT))
    assert run.count(Event.BUFFER_EVICTIONS) == 1, "page 1; for it there was nothing to evict"


def test_unmap__private_frames_are_free_in_ascending_order() -> None:
    """Frames 0 (page 3), 1 (page table), 2 (page 0): the last that is freed is page 3's, and is used first."""
    again = Segment(1, HERE, HERE + 4 * PAGE, "anonymous", by_event=True)
    run = native(trace(1, more=[Segment(1, HERE, HERE + 4 * PAGE, "anonymous"), again]))
    run.feed(load(HERE + 3 * PAGE), load(HERE))
    slots = [run.slot(HERE + 3 * PAGE), run.slot(HERE)]
    run.feed(event(Kind.UNMAP, HERE, arg=3), event(Kind.MAP, HERE, arg=4), load(HERE), load(HERE + PAGE))
    assert [run.slot(HERE), run.slot(HERE + PAGE)] == slots


def test_unmap__a_large_page_goes_with_the_segment_of_its_first_byte() -> None:
    segments = [
        Segment(1, HERE, HERE + 2 * PAGE, "anonymous"),
        Segment(1, HERE + 2 * PAGE, HERE + 4 * PAGE, "anonymous"),
    ]
    run = native(trace(1, more=segments), memory__page_kib=16)
    run.feed(load(HERE + 3 * PAGE))
    used = run.frames_in_use
    run.feed(event(Kind.UNMAP, HERE + 2 * PAGE, arg=4))
    assert run.frames_in_use == used
    run.feed(event(Kind.UNMAP, HERE, arg=3))
    assert run.frames_in_use == used - 1


def test_process_exit__pages_go_before_page_tables() -> None:
    """The page table is freed last and so serves the next process's first page."""
    run = native(trace(1, 2))
    run.feed(load())
    page, table = run.slot(), 1
    run.feed(event(Kind.PROCESS_EXIT), load(AT, 0, 2))
    assert (page, run.slot(AT, 2)) == (0, table)
    assert run.frames_in_use == 2


def test_footprint__virtual_and_machine_are_the_same() -> None:
    run = native(trace_with_file(1, 1))
    run.feed(load(), load(FILE_AT), file_read(1), event(Kind.PROCESS_EXIT))
    footprints = run.replay.footprints
    assert footprints.end.virtual == {"text": 0, "data": 0, "buffer": 2, "user": 0}
    assert footprints.peak.virtual == {"text": 0, "data": 2, "buffer": 2, "user": 1}
    for one in (footprints.end, footprints.peak):
        assert {name: n for name, n in one.machine.items() if name in one.virtual} == one.virtual
