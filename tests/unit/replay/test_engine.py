"""The engine: windows, faults with the number of the row, room that grows, counters of misses by page."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from discotrace.replay.engine import FAULTS, Replay, RowFault
from discotrace.replay.kernels import walk
from discotrace.replay.native import NativeSystem
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import Kind, Process, Segment, TraceMeta, rows_from_records
from tests.machines import machine
from tests.property.engine import as_dict
from tests.unit.replay.driving import disco, trace

AT = 0x40_0000
PAGE = 4096
Record = tuple[int, int, int, int, int, int]

META = TraceMeta(2, [Process(1, "a"), Process(5, "b")], [Segment(asid, 0, 1 << 30, "anonymous") for asid in (1, 5)])


def new_replay(window: int = 1000, **changes: int) -> Replay:
    resolved = machine(**changes).for_trace(META.cpus)
    return Replay(META, NativeSystem(META, resolved), window)


def feed(run: Replay, *records: Record) -> None:
    run.feed(rows_from_records(list(records)))


def fetch(instructions: int, vcpu: int = 0) -> Record:
    return (vcpu, 1, Kind.FETCH, AT, 4, instructions)


def load(vaddr: int = AT, vcpu: int = 0, size: int = 4) -> Record:
    return (vcpu, 1, Kind.LOAD, vaddr, size, 0)


def event(run: Replay, name: str) -> dict[int, int]:
    """How often something happened, by window."""
    found: dict[int, int] = {}
    for key, number in as_dict(run.finish()).items():
        if key.event == name:
            found[key.window] = found.get(key.window, 0) + number
    return found


def test_windows__a_row_belongs_to_the_window_of_the_instructions_before_it() -> None:
    run = new_replay(window=100)
    feed(run, fetch(99), load(), fetch(1), load(), fetch(100), load())
    assert event(run, "load_rows") == {0: 1, 1: 1, 2: 1}
    assert event(run, "fetch_rows") == {0: 2, 1: 1}


def test_windows__a_long_run_counts_where_it_begins_and_leaves_windows_empty() -> None:
    run = new_replay(window=100)
    feed(run, fetch(250), fetch(1))
    assert event(run, "fetch_rows") == {0: 1, 2: 1}


def test_windows__instructions_of_a_cleared_page_move_them_on() -> None:
    run = new_replay(window=100)
    feed(run, (0, 1, Kind.ZERO_PAGE, AT, 64, 100), load())
    assert event(run, "load_rows") == {1: 1}


def test_windows__the_handlers_instructions_do_not() -> None:
    run = new_replay(window=10, guest__refill_instructions=1000)
    feed(run, load(), load(AT + 8 * PAGE), load(AT + 16 * PAGE))
    assert event(run, "load_rows") == {0: 3}


def test_windows__idle_does_not() -> None:
    run = new_replay(window=10)
    feed(run, (0, 1, Kind.IDLE, 0, 1000, 0), load())
    assert event(run, "load_rows") == {0: 1}


@pytest.mark.parametrize("fed_before", [0, 1, 100])
def test_faults__the_number_of_the_row_counts_from_the_beginning_of_the_trace(fed_before: int) -> None:
    run = new_replay()
    for _ in range(fed_before):
        feed(run, load())
    with pytest.raises(RowFault) as caught:
        feed(run, load(), load(), (0, 1, 77, 0, 0, 0))
    assert caught.value.row == fed_before + 2
    assert caught.value.message == "kind 77 is unknown"


def test_faults__each_has_a_sentence() -> None:
    reasons_to_go_on = {walk.END, walk.WINDOW, walk.MAP_PAGE, walk.EVENT, walk.WRITE_FAULT, walk.HOT}
    assert not reasons_to_go_on & set(FAULTS)
    assert all(text.format(kind=1, vcpu=2, cpus=3, asid=4, arg=5) for text in FAULTS.values())


def test_faults__declared_processes_need_not_be_numbered_in_a_row() -> None:
    for asid, is_known in ((1, True), (2, False), (5, True), (6, False)):
        run = new_replay()
        if is_known:
            feed(run, (0, asid, Kind.LOAD, AT, 4, 0))
        else:
            with pytest.raises(RowFault):
                feed(run, (0, asid, Kind.LOAD, AT, 4, 0))


def test_faults__services_nest_fifteen_deep_and_no_deeper() -> None:
    run = new_replay()
    feed(run, *[(0, 1, Kind.ENTER, 0, 0, 5)] * 15)
    with pytest.raises(RowFault, match="more than 15"):
        feed(run, (0, 1, Kind.ENTER, 0, 0, 5))


def test_memory__full_is_an_error_of_the_configuration() -> None:
    run = new_replay(memory__mib_per_node=1, memory__page_kib=256)
    with pytest.raises(ConfigError, match="out of memory"):
        feed(run, load(size=3 << 20))


def test_room__thousands_of_pages_and_frames_fit() -> None:
    """More than the page map (1024 places, half of them used) and the frames (256) have room for at the beginning."""
    run = new_replay()
    feed(run, load(size=5000 * PAGE), load(size=5000 * PAGE))
    assert event(run, "pages_mapped") == {0: 5000 + 5}, "with one page of page table for 1024 pages, aligned"


def test_unmap__the_page_is_invalid_in_the_tlb_and_its_neighbour_is_not() -> None:
    """Pages 0 and 1 share an entry; each is a segment of its own."""
    segments = [Segment(1, page * PAGE, (page + 1) * PAGE, "anonymous") for page in (0, 1)]
    again = Segment(1, 0, PAGE, "anonymous", by_event=True)
    meta = TraceMeta(1, [Process(1, "a")], [*segments, again])
    run = Replay(meta, NativeSystem(meta, machine().for_trace(1)), 1000)
    feed(run, load(0), load(PAGE), load(0), (0, 1, Kind.UNMAP, 0, 0, 0), (0, 1, Kind.MAP, 0, 0, 2))
    feed(run, load(PAGE), load(0), load(0), load(PAGE))
    assert event(run, "tlb_invalid") == {0: 2}, "page 1 when it was new, page 0 when it came back"
    assert event(run, "tlb_misses") == {0: 1}


def test_misses_by_page__one_row_for_each_frame_one_column_for_each_cpu() -> None:
    run = new_replay()
    feed(run, load(), load(AT + 128), load(vcpu=1), load(AT + 64 * PAGE, vcpu=1))
    slots = {frame: misses.tolist() for frame, misses in enumerate(run.misses_by_page) if misses.any()}
    data = [misses for misses in slots.values() if sum(misses) > 1 or misses == [0, 1]]
    assert [2, 1] in data
    assert run.misses_by_page.shape == (len(run.system.memory.frames), 2)


def test_arrays_that_may_be_written_and_that_may_not_are_taken() -> None:
    writable, read_only = (rows_from_records([load()] * 3) for _ in range(2))
    for column in read_only:
        column.setflags(write=False)
    run = new_replay()
    run.feed(read_only)
    run.feed(writable)
    assert event(run, "load_rows") == {0: 6}


def test_no_rows_are_no_counts() -> None:
    run = new_replay()
    run.feed(rows_from_records([]))
    assert run.finish().table().num_rows == 0


def test_faults__pass_through_context_managers() -> None:
    """Those assign to the traceback of what passes through them."""

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    with pytest.raises(RowFault), nothing():
        raise RowFault(3, "kind 77 is unknown")


@pytest.mark.parametrize("window", [1, 60, 100, 1 << 40])
def test_windows__the_time_at_which_hot_pages_cool_ends_none(window: int) -> None:
    """Counters of heat are set to zero after 100 instructions of each of two CPUs."""
    run = new_replay(window, migration__reset_instructions=100)
    feed(run, *[fetch(90)] * 5)
    windows = sorted(event(run, "fetch_rows"))
    assert windows == sorted({before // window for before in range(0, 450, 90)})


def test_windows__counts_of_two_vms_stand_apart() -> None:
    meta = trace(1, 2)
    run = disco(meta, vm__count=2, cpu__count=1).replay
    feed(run, load(), (0, 2, Kind.LOAD, AT, 4, 0), load())
    counted = {key[1:3]: number for key, number in as_dict(run.finish()).items() if key.event == "load_rows"}
    assert counted == {(0, 0): 2, (0, 1): 1}


def test_finish__may_come_in_the_middle_of_a_window() -> None:
    run = new_replay(window=100)
    feed(run, fetch(250))
    assert event(run, "fetch_rows") == {0: 1}
