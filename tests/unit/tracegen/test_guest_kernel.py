"""The guest kernel: structure of services, faults, page cache, mappings, life of processes."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import resources

import numpy as np
import pytest

from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.guest_kernel import GuestKernel
from discotrace.tracegen.kernel_layout import KernelLayout
from discotrace.tracegen.kernel_parameters import Parameters, default_parameters, parse_parameters
from discotrace.tracegen.rules import FormatChecker
from discotrace.tracegen.schema import (
    KERNEL_BASE,
    KSEG0_END,
    KSEG0_START,
    KSEG2_START,
    Kind,
    Privileged,
    Process,
    Rows,
    Segment,
    Service,
    TraceMeta,
    concat_rows,
    rows_from_records,
)

PAGE = 4096
HEAP = 0x10_0000
STACK_TOP = 0x7FFF_0000
TEXT = 0x40_0000
DATA = 0x50_0000
FILE_BYTES = 40 * PAGE
INSTRUCTIONS = default_parameters().instructions


@dataclass
class Session:
    """A guest kernel with one running process (asid 1) that has text, data, heap and stack; keeps all rows."""

    parameters: Parameters = field(default_factory=default_parameters)

    def __post_init__(self) -> None:
        self.meta = TraceMeta(cpus=2)
        self.parts: list[Rows] = []
        self.kernel = GuestKernel(self.meta, self.parts.append, self.parameters)
        self.file = self.kernel.add_file("/bin/cc", FILE_BYTES)
        self.kernel.start_process(Process(1, "cc"))
        self.kernel.switch(0, 0, 1)
        self.kernel.map(0, 1, Segment(1, TEXT, TEXT + FILE_BYTES, "file", self.file, writable=False))
        self.kernel.map(0, 1, Segment(1, DATA, DATA + 8 * PAGE, "file", self.file, 8 * PAGE))
        self.kernel.map(0, 1, Segment(1, HEAP, HEAP + 256 * PAGE, "anonymous"))
        self.kernel.map(0, 1, Segment(1, STACK_TOP - PAGE, STACK_TOP, "anonymous"))

    def rows_of(self, action: Callable[[], None]) -> Rows:
        """The rows that an action emits."""
        before = len(self.parts)
        action()
        return concat_rows(self.parts[before:])

    def touch(self, *accesses: tuple[int, int], asid: int = 1) -> Rows:
        """The rows that LOADs of (vaddr, size) turn into."""
        rows = rows_from_records([(0, asid, Kind.LOAD, vaddr, size, 0) for vaddr, size in accesses])
        return self.rows_of(lambda: self.kernel.user(0, asid, rows))

    def violations(self) -> list[object]:
        """What the format's rules say of everything so far."""
        checker = FormatChecker(self.meta)
        return [*checker.check(concat_rows(self.parts)), *checker.finish()]


@pytest.fixture
def session() -> Session:
    return Session()


def entered(rows: Rows) -> list[Service]:
    return [Service(arg) for arg in rows.arg[rows.kind == Kind.ENTER].tolist()]


def wired(rows: Rows) -> list[int]:
    return rows.vaddr[(rows.kind == Kind.PRIVILEGED) & (rows.arg == Privileged.WIRED)].tolist()


def of_kind(rows: Rows, kind: Kind) -> list[tuple[int, int, int]]:
    chosen = rows.kind == kind
    return list(zip(rows.vaddr[chosen].tolist(), rows.size[chosen].tolist(), rows.arg[chosen].tolist(), strict=True))


def instructions(rows: Rows) -> int:
    return int(rows.arg[rows.kind == Kind.FETCH].sum())


def is_in_user_space(rows: Rows) -> np.ndarray:
    return (rows.kind <= Kind.STORE) & (rows.vaddr < np.uint64(KERNEL_BASE))


SIMPLE_CALLS = {
    "open": lambda s: s.kernel.open(0, 1, s.file),
    "close": lambda s: s.kernel.close(0, 1, s.file),
    "stat": lambda s: s.kernel.stat(0, 1, s.file),
    "mmap": lambda s: s.kernel.mmap_call(0, 1),
    "brk": lambda s: s.kernel.brk_call(0, 1),
    "wait": lambda s: s.kernel.wait(0, 1),
    "syscall": lambda s: s.kernel.syscall(0, 1),
    "tick": lambda s: s.kernel.tick(0, 1),
    "demand_zero": lambda s: s.kernel.demand_zero(0, 1, HEAP),
    "read": lambda s: s.kernel.read(0, 1, s.file, 0, 0, HEAP),
    "write": lambda s: s.kernel.write(0, 1, s.file, 0, 0, HEAP),
}


@pytest.mark.parametrize("name", SIMPLE_CALLS)
def test_a_service_from_user_mode_is_one_bracket_with_the_wired_entry_set_and_emptied(
    session: Session, name: str
) -> None:
    rows = session.rows_of(lambda: SIMPLE_CALLS[name](session))
    service = Service[name.upper()]
    assert (rows.kind[0], rows.kind[-1]) == (Kind.ENTER, Kind.EXIT)
    assert (rows.arg[0], rows.arg[-1]) == (service, service)
    assert entered(rows) == [service]
    stack, none = wired(rows)
    assert stack >= KSEG2_START
    assert none == 0
    privileged = rows.arg[rows.kind == Kind.PRIVILEGED].tolist()
    assert privileged.count(Privileged.RETURN) == 1
    assert privileged.count(Privileged.INTERRUPT) == 2
    assert privileged.count(Privileged.REGISTER) == 2


@pytest.mark.parametrize("name", SIMPLE_CALLS)
@pytest.mark.parametrize("turn", range(4))
def test_the_instructions_of_a_service_are_its_parameter(session: Session, name: str, turn: int) -> None:
    for _ in range(turn):
        SIMPLE_CALLS[name](session)
    rows = session.rows_of(lambda: SIMPLE_CALLS[name](session))
    assert instructions(rows) == pytest.approx(INSTRUCTIONS[name], rel=0.01)


def test_scaling_a_parameter_scales_the_service() -> None:
    parameters = default_parameters()
    longer = Session(replace(parameters, instructions=parameters.instructions | {"open": 12345}))
    rows = longer.rows_of(lambda: longer.kernel.open(0, 1, longer.file))
    assert instructions(rows) == pytest.approx(12345, rel=0.001)


def test_kernel_references_stay_out_of_user_space_and_runs_are_short(session: Session) -> None:
    rows = session.rows_of(lambda: session.kernel.open(0, 1, session.file))
    assert not is_in_user_space(rows).any()
    fetch = rows.kind == Kind.FETCH
    low, high = rows.vaddr[fetch].min(), rows.vaddr[fetch].max()
    assert low >= KSEG0_START
    assert high < KSEG0_END
    assert 8 <= rows.arg[fetch].mean() <= 16
    assert (rows.size[fetch] == 4 * rows.arg[fetch]).all()


def test_loads_and_stores_have_the_shares_of_the_parameters(session: Session) -> None:
    rows = concat_rows([session.rows_of(lambda: session.kernel.stat(0, 1, session.file)) for _ in range(4)])
    walk = session.parameters.walk
    for kind, share in ((Kind.LOAD, walk.loads_per_instruction), (Kind.STORE, walk.stores_per_instruction)):
        assert (rows.kind == kind).sum() / instructions(rows) == pytest.approx(share, rel=0.1)


def test_locks_are_paired_and_their_words_are_touched_beside_them(session: Session) -> None:
    rows = session.rows_of(lambda: session.kernel.open(0, 1, session.file))
    locks, unlocks = np.flatnonzero(rows.kind == Kind.LOCK), np.flatnonzero(rows.kind == Kind.UNLOCK)
    assert len(locks) == len(unlocks) == 3
    assert rows.arg[locks].tolist() == rows.arg[unlocks].tolist()
    assert rows.vaddr[locks].tolist() == rows.vaddr[unlocks].tolist()
    for offset, kind in ((1, Kind.STORE), (2, Kind.LOAD)):
        assert (rows.kind[locks - offset] == kind).all()
        assert (rows.vaddr[locks - offset] == rows.vaddr[locks]).all()
    assert (rows.kind[unlocks - 1] == Kind.STORE).all()


def test_a_demand_zero_fault_holds_memlock(session: Session) -> None:
    rows = session.touch((HEAP, 4))
    assert session.parameters.locks["memlock"] in rows.arg[rows.kind == Kind.LOCK]


def test_files_have_locks_of_their_own(session: Session) -> None:
    other = session.kernel.add_file("/etc/passwd", 100)
    first, second = (session.rows_of(lambda f=f: session.kernel.stat(0, 1, f)) for f in (session.file, other))
    base = session.parameters.locks["file"]
    assert base + session.file in first.arg[first.kind == Kind.LOCK]
    assert base + other in second.arg[second.kind == Kind.LOCK]


def test_every_kernel_address_of_a_long_session_lies_in_its_segments(session: Session) -> None:
    run_everything(session)
    assert session.violations() == []


def run_everything(session: Session) -> None:
    """Every method at least once, on two CPUs."""
    kernel, file = session.kernel, session.file
    new = kernel.add_file("/tmp/out.o", 0)
    session.touch((TEXT, 8), (DATA, 8), (HEAP + 10, 9000), (STACK_TOP - 3 * PAGE, 8))
    for call in (*SIMPLE_CALLS.values(),)[:8]:
        call(session)
    kernel.write(0, 1, new, 0, 5 * PAGE + 77, HEAP + 100 * PAGE + 5)
    kernel.read(0, 1, new, 100, 2 * PAGE, HEAP + 200 * PAGE)
    kernel.pipe_write(0, 1, 5 * PAGE, HEAP)
    kernel.pipe_read(0, 1, 5 * PAGE, HEAP)
    kernel.open(0, 1, 0)
    kernel.start_process(Process(2, "make", 1))
    kernel.fork(0, 1, 2)
    kernel.switch(1, 0, 2)
    rows = rows_from_records([(0, 0, Kind.STORE, HEAP + 12, 4, 0), (0, 0, Kind.FETCH, TEXT, 9, 2)])
    kernel.user(1, 2, rows)
    kernel.execve(1, 2, file)
    kernel.map(1, 2, Segment(2, HEAP, HEAP + 8 * PAGE, "anonymous"))
    kernel.map(1, 2, Segment(2, HEAP + PAGE, HEAP + 2 * PAGE, "shared", 7))
    kernel.user(1, 2, rows_from_records([(0, 0, Kind.STORE, HEAP, 8 * PAGE, 0)]))
    kernel.unmap(1, 2, HEAP + 3 * PAGE, HEAP + 4 * PAGE)
    kernel.exit(1, 2)
    kernel.switch(1, 2, 0)
    kernel.tick(1, 0)
    kernel.idle(1, 10**10)
    kernel.exit(0, 1)
    kernel.switch(0, 1, 0)
    kernel.finish()


def test_two_runs_give_the_same_rows_and_metadata() -> None:
    first, second = Session(), Session()
    run_everything(first)
    run_everything(second)
    for one, other in zip(concat_rows(first.parts), concat_rows(second.parts), strict=True):
        assert np.array_equal(one, other)
    assert first.meta.to_json() == second.meta.to_json()


def test_another_seed_lays_out_other_paths() -> None:
    first, second = Session(), Session(replace(default_parameters(), seed=2))
    one, other = (s.rows_of(lambda s=s: s.kernel.syscall(0, 1)) for s in (first, second))
    assert one.vaddr.tolist() != other.vaddr.tolist()


# ---- faults ---------------------------------------------------------------------------------------------------


def test_demand_zero_comes_once_per_page_right_before_the_row_that_touches_it(session: Session) -> None:
    rows = session.touch((HEAP, 4), (HEAP + 8, 4), (HEAP + PAGE, 4), (HEAP, 4))
    assert entered(rows) == [Service.DEMAND_ZERO] * 2
    assert of_kind(rows, Kind.ZERO_PAGE) == [(HEAP, PAGE, 640), (HEAP + PAGE, PAGE, 640)]
    user = np.flatnonzero(is_in_user_space(rows))
    assert rows.vaddr[user].tolist() == [HEAP, HEAP + 8, HEAP + PAGE, HEAP]
    assert rows.kind[user[0] - 1] == rows.kind[user[2] - 1] == Kind.EXIT
    assert entered(session.touch((HEAP, 2 * PAGE))) == []


def test_a_row_across_pages_faults_on_each_untouched_one(session: Session) -> None:
    rows = session.touch((HEAP + PAGE - 4, 2 * PAGE))
    assert [page for page, _, _ in of_kind(rows, Kind.ZERO_PAGE)] == [HEAP, HEAP + PAGE, HEAP + 2 * PAGE]


def test_user_rows_get_the_cpu_and_process(session: Session) -> None:
    rows = session.touch((HEAP, 4))
    assert set(rows.vcpu.tolist()) == {0}
    assert set(rows.asid.tolist()) == {1}


def test_rows_without_a_fault_pass_unchanged(session: Session) -> None:
    session.touch((HEAP, 64))
    given = [(0, 1, Kind.FETCH, HEAP, 40, 7), (0, 1, Kind.STORE, HEAP + 8, 4, 0), (0, 1, Kind.BARRIER, 0, 4, 1)]
    rows = session.rows_of(lambda: session.kernel.user(0, 1, rows_from_records(given)))
    assert list(zip(*(column.tolist() for column in rows), strict=True)) == given


def test_a_cold_file_page_is_read_and_mapped_in_a_cluster(session: Session) -> None:
    rows = session.touch((TEXT + 5 * PAGE, 4), (TEXT + 6 * PAGE, 4), (TEXT + 9 * PAGE, 4))
    assert entered(rows) == [Service.PAGE_IN, Service.PAGE_IN]
    assert of_kind(rows, Kind.FILE_READ) == [
        (4 * PAGE, 4 * PAGE, session.file),
        (8 * PAGE, 4 * PAGE, session.file),
    ]


def test_a_cluster_ends_with_the_file(session: Session) -> None:
    short = session.kernel.add_file("/lib/short", 5 * PAGE + 10)
    session.kernel.map(0, 1, Segment(1, 0, 6 * PAGE, "file", short, writable=False))
    rows = session.touch((5 * PAGE, 4))
    assert of_kind(rows, Kind.FILE_READ) == [(4 * PAGE, PAGE + 10, short)]


def test_a_warm_page_cache_leaves_only_quick_faults() -> None:
    session = Session(replace(default_parameters(), warm_page_cache=True))
    rows = session.touch((TEXT, 4), (TEXT + 20 * PAGE, 4))
    assert entered(rows) == [Service.QUICK_FAULT] * 2
    assert session.violations() == []


def test_a_warm_file_is_told_of_cluster_by_cluster_before_its_first_use(session: Session) -> None:
    session.kernel.warm_file(session.file)
    cluster = default_parameters().memory.page_in_cluster_pages * PAGE
    rows = session.touch((TEXT, 4), (TEXT + PAGE, 4), (DATA, 4))
    assert of_kind(rows, Kind.FILE_READ) == []
    found = of_kind(rows, Kind.RESIDENT)
    assert found[0] == (0, cluster, session.file)
    assert len(found) == len(set(found))
    assert entered(rows) == [Service.QUICK_FAULT, Service.COPY_ON_WRITE]
    assert np.flatnonzero(rows.kind == Kind.RESIDENT)[0] < np.flatnonzero(rows.kind == Kind.ENTER)[0]
    assert of_kind(session.rows_of(lambda: session.kernel.execve(0, 1, session.file)), Kind.RESIDENT) == []
    assert session.violations() == []


def test_each_instance_is_told_of_a_warm_file(session: Session) -> None:
    session.kernel.warm_file(session.file)
    first = of_kind(session.touch((TEXT, 4)), Kind.RESIDENT)
    session.kernel.start_process(Process(2, "cc", instance=1))
    session.kernel.switch(0, 1, 2)
    session.kernel.map(0, 2, Segment(2, TEXT, TEXT + FILE_BYTES, "file", session.file, writable=False))
    assert of_kind(session.touch((TEXT, 4), asid=2), Kind.RESIDENT) == first
    assert session.violations() == []


def test_what_is_read_of_a_warm_file_needs_no_request(session: Session) -> None:
    buffer = STACK_TOP - 64
    session.touch((buffer, 8))
    session.kernel.warm_file(session.file)
    rows = session.rows_of(lambda: session.kernel.read(0, 1, session.file, 0, 64, buffer))
    assert len(of_kind(rows, Kind.RESIDENT)) == 1
    again = session.rows_of(lambda: session.kernel.read(0, 1, session.file, 64, 64, buffer))
    assert of_kind(again, Kind.RESIDENT) == []


def test_a_page_cached_for_one_process_is_quick_for_the_next(session: Session) -> None:
    session.touch((TEXT, 4))
    session.kernel.start_process(Process(2, "as"))
    session.kernel.switch(0, 1, 2)
    session.kernel.map(0, 2, Segment(2, TEXT, TEXT + PAGE, "file", session.file, writable=False))
    assert entered(session.touch((TEXT, 4), asid=2)) == [Service.QUICK_FAULT]


def test_a_quick_fault_maps_the_cached_pages_around_it_and_no_others(session: Session) -> None:
    session.touch((TEXT + 5 * PAGE, 4))
    session.kernel.start_process(Process(2, "as"))
    session.kernel.switch(0, 1, 2)
    session.kernel.map(0, 2, Segment(2, TEXT, TEXT + 7 * PAGE, "file", session.file, writable=False))
    touched = session.touch((TEXT + 6 * PAGE, 4), (TEXT + 4 * PAGE, 4), (TEXT + 3 * PAGE, 4), asid=2)
    assert entered(touched) == [Service.QUICK_FAULT, Service.PAGE_IN]


def test_a_private_file_page_is_copied_after_a_page_in_inside_the_fault(session: Session) -> None:
    rows = session.touch((DATA + 8, 4))
    assert entered(rows) == [Service.COPY_ON_WRITE, Service.PAGE_IN]
    assert len(wired(rows)) == 2  # the inner trap does not change the wired entry
    source = session.kernel.window_address(session.file, 8 * PAGE)
    assert (source, PAGE, 0) in of_kind(rows, Kind.LOAD)
    assert (DATA, PAGE, 0) in of_kind(rows, Kind.STORE)
    assert entered(session.touch((DATA + PAGE, 4))) == [Service.COPY_ON_WRITE]


def test_a_shared_page_is_cleared_for_the_first_process_only(session: Session) -> None:
    session.kernel.start_process(Process(2, "as"))
    for asid, service in ((1, Service.DEMAND_ZERO), (2, Service.QUICK_FAULT)):
        session.kernel.map(0, asid, Segment(asid, 0x1000, 0x2000, "shared", 9))
        assert entered(session.touch((0x1000, 4), asid=asid)) == [service]


def test_a_touch_below_the_stack_makes_it_grow_by_a_piece(session: Session) -> None:
    rows = session.touch((STACK_TOP - 3 * PAGE, 4))
    assert entered(rows) == [Service.DEMAND_ZERO]
    ((start, _, number),) = of_kind(rows, Kind.MAP)
    assert session.meta.segments[number].end == STACK_TOP - PAGE
    assert start == session.meta.segments[number].start == STACK_TOP - 16 * PAGE
    assert session.violations() == []


def test_a_touch_too_far_below_the_stack_is_an_error_that_names_the_address(session: Session) -> None:
    session.touch((STACK_TOP - PAGE - 2048 * PAGE, 4))
    fresh = Session()
    with pytest.raises(TraceError, match=hex(STACK_TOP - PAGE - 2049 * PAGE)):
        fresh.touch((STACK_TOP - PAGE - 2049 * PAGE, 4))


def test_a_touch_of_nothing_is_an_error(session: Session) -> None:
    with pytest.raises(TraceError, match="0x7fff0000"):
        session.touch((STACK_TOP, 4))


# ---- mappings -------------------------------------------------------------------------------------------------


def test_mapping_over_a_mapping_unmaps_it_and_maps_what_is_left(session: Session) -> None:
    session.touch((HEAP, 4), (HEAP + 10 * PAGE, 4))
    rows = session.rows_of(
        lambda: session.kernel.map(
            0, 1, Segment(1, HEAP + 8 * PAGE, HEAP + 16 * PAGE, "file", session.file, writable=False)
        )
    )
    assert [page for page, _, _ in of_kind(rows, Kind.FREE_PAGE)] == [HEAP, HEAP + 10 * PAGE]
    assert [start for start, _, _ in of_kind(rows, Kind.UNMAP)] == [HEAP]
    assert sorted(start for start, _, _ in of_kind(rows, Kind.MAP)) == [HEAP, HEAP + 8 * PAGE, HEAP + 16 * PAGE]
    again = session.touch((HEAP, 4), (HEAP + 8 * PAGE, 4), (HEAP + 16 * PAGE, 4))
    assert entered(again) == [Service.DEMAND_ZERO, Service.PAGE_IN, Service.DEMAND_ZERO]
    assert session.violations() == []


def test_unmapping_untouched_pages_costs_no_service(session: Session) -> None:
    rows = session.rows_of(lambda: session.kernel.unmap(0, 1, TEXT, TEXT + FILE_BYTES))
    assert rows.kind.tolist() == [Kind.UNMAP]


def test_freed_pages_have_their_path_each(session: Session) -> None:
    session.touch((HEAP, 10 * PAGE))
    rows = session.rows_of(lambda: session.kernel.unmap(0, 1, HEAP, HEAP + 256 * PAGE))
    assert entered(rows) == [Service.MMAP]
    assert instructions(rows) == pytest.approx(10 * INSTRUCTIONS["free_page"], rel=0.01)


@pytest.mark.parametrize(
    "segment",
    [
        Segment(2, 0, PAGE, "anonymous"),
        Segment(1, 10, PAGE, "anonymous"),
        Segment(1, PAGE, PAGE, "anonymous"),
        Segment(1, KERNEL_BASE, KERNEL_BASE + PAGE, "anonymous"),
        Segment(1, 0, PAGE, "file", object=99),
        Segment(1, 0, PAGE, "file", object=1, offset=5),
    ],
)
def test_impossible_segments_are_errors(session: Session, segment: Segment) -> None:
    with pytest.raises(TraceError):
        session.kernel.map(0, 1, segment)


# ---- reading and writing --------------------------------------------------------------------------------------


def test_read_copies_page_by_page_of_both_sides(session: Session) -> None:
    session.touch((HEAP, 4 * PAGE))
    rows = session.rows_of(lambda: session.kernel.read(0, 1, session.file, 100, PAGE, HEAP + PAGE - 50))
    window = session.kernel.window_address(session.file, 0)
    stores = [(vaddr, size) for vaddr, size, _ in of_kind(rows, Kind.STORE) if vaddr < KERNEL_BASE]
    assert stores == [(HEAP + PAGE - 50, 50), (HEAP + PAGE, 3946), (HEAP + 2 * PAGE - 150, 100)]
    loads = [(vaddr, size) for vaddr, size, _ in of_kind(rows, Kind.LOAD) if window <= vaddr < window + FILE_BYTES]
    assert loads == [(window + 100, 50), (window + 150, 3946), (window + PAGE, 100)]
    assert of_kind(rows, Kind.FILE_READ) == [(100, PAGE, session.file)]


def test_read_of_uncached_pages_walks_the_driver_once_per_cluster(session: Session) -> None:
    session.touch((HEAP, 16 * PAGE))
    cold, warm = (
        instructions(session.rows_of(lambda: session.kernel.read(0, 1, session.file, 0, 8 * PAGE, HEAP)))
        for _ in range(2)
    )
    assert cold - warm == pytest.approx(2 * INSTRUCTIONS["disk_request"], rel=0.01)


def test_an_untouched_buffer_faults_inside_read_without_wired_writes(session: Session) -> None:
    rows = session.rows_of(lambda: session.kernel.read(0, 1, session.file, 0, 2 * PAGE, HEAP))
    assert entered(rows) == [Service.READ, Service.DEMAND_ZERO, Service.DEMAND_ZERO]
    assert len(wired(rows)) == 2
    assert entered(session.touch((HEAP, 2 * PAGE))) == []


def test_a_write_that_begins_a_page_clears_it_unless_it_fills_it(session: Session) -> None:
    session.touch((HEAP, 4 * PAGE))
    new = session.kernel.add_file("/tmp/new", 0)
    window = session.kernel.window_address(new, 0)
    rows = session.rows_of(lambda: session.kernel.write(0, 1, new, 0, PAGE + 10, HEAP))
    assert [page for page, _, _ in of_kind(rows, Kind.ZERO_PAGE)] == [window + PAGE]
    assert of_kind(rows, Kind.FILE_WRITE) == [(0, PAGE + 10, new)]
    more = session.rows_of(lambda: session.kernel.write(0, 1, new, PAGE + 10, 10, HEAP))
    assert of_kind(more, Kind.ZERO_PAGE) == []
    assert next(f.size for f in session.meta.files if f.id == new) == PAGE + 20


def test_a_partial_write_of_an_uncached_page_reads_it_first(session: Session) -> None:
    session.touch((HEAP, PAGE))
    rows = session.rows_of(lambda: session.kernel.write(0, 1, session.file, 10, 10, HEAP))
    expected = INSTRUCTIONS["write"] + INSTRUCTIONS["disk_request"]
    assert instructions(rows) == pytest.approx(expected, rel=0.01)
    assert of_kind(rows, Kind.ZERO_PAGE) == []


def test_pipes_copy_through_one_kernel_buffer(session: Session) -> None:
    session.touch((HEAP, 2 * PAGE))
    for action, kind in ((session.kernel.write, Kind.STORE), (session.kernel.read, Kind.LOAD)):
        rows = session.rows_of(lambda action=action: action(0, 1, -1, 0, 100, HEAP))
        chunk = [vaddr for vaddr, size, _ in of_kind(rows, kind) if size == 100]
        assert chunk == [session.kernel.pipe_address]
        assert of_kind(rows, Kind.FILE_READ) == of_kind(rows, Kind.FILE_WRITE) == []


def test_a_file_has_one_id_and_a_window_that_grows(session: Session) -> None:
    again = session.kernel.add_file("/bin/cc", 2 * FILE_BYTES)
    assert again == session.file
    (window,) = (
        s
        for s in session.meta.segments
        if s.asid == 0 and s.backing == "file" and s.object == again and s.start < KSEG0_START
    )
    assert window.end - window.start == 2 * FILE_BYTES
    assert not window.writable


def test_a_file_beyond_its_window_is_an_error(session: Session) -> None:
    with pytest.raises(TraceError, match="file_window_stride_gib"):
        session.kernel.add_file("/huge", 5 << 30)


def test_an_unknown_file_is_an_error(session: Session) -> None:
    with pytest.raises(TraceError, match="file 77"):
        session.kernel.open(0, 1, 77)


# ---- life of processes ----------------------------------------------------------------------------------------


def test_exit_frees_private_pages_and_ends_the_process(session: Session) -> None:
    session.touch((HEAP, 3 * PAGE), (TEXT, 4), (DATA, 4))
    rows = session.rows_of(lambda: session.kernel.exit(0, 1))
    assert [page for page, _, _ in of_kind(rows, Kind.FREE_PAGE)] == [HEAP, HEAP + PAGE, HEAP + 2 * PAGE, DATA]
    assert rows.kind[-2:].tolist() == [Kind.EXIT, Kind.PROCESS_EXIT]
    assert instructions(rows) == pytest.approx(INSTRUCTIONS["exit"] + 4 * INSTRUCTIONS["free_page"], rel=0.01)
    with pytest.raises(TraceError, match="asid 1"):
        session.kernel.syscall(0, 1)


def test_after_an_exit_the_switch_row_comes_first(session: Session) -> None:
    session.kernel.exit(0, 1)
    rows = session.rows_of(lambda: session.kernel.switch(0, 1, 0))
    assert rows.kind[:2].tolist() == [Kind.SWITCH, Kind.ENTER]
    assert set(rows.asid.tolist()) == {0}
    assert session.violations() == []


def test_a_switch_changes_process_inside_the_service_and_wires_the_new_stack(session: Session) -> None:
    session.kernel.start_process(Process(2, "as"))
    session.kernel.switch(1, 0, 2)
    session.kernel.switch(1, 2, 0)
    rows = session.rows_of(lambda: session.kernel.switch(0, 1, 2))
    (switch,) = np.flatnonzero(rows.kind == Kind.SWITCH)
    assert set(rows.asid[:switch].tolist()) == {1}
    assert set(rows.asid[switch:].tolist()) == {2}
    assert rows.arg[switch] == 1
    stack, none = wired(rows)
    assert none == 0
    assert stack >= KSEG2_START
    assert instructions(rows) == pytest.approx(INSTRUCTIONS["switch"], rel=0.01)
    assert session.parameters.locks["runq"] in rows.arg[rows.kind == Kind.LOCK]


def test_processes_have_kernel_stacks_of_their_own(session: Session) -> None:
    session.kernel.start_process(Process(2, "as"))
    stacks = {wired(session.rows_of(lambda a=a: session.kernel.syscall(0, a)))[0] for a in (1, 2)}
    assert len({stack // (2 * PAGE) for stack in stacks}) == 2  # nor do they share a pair of pages


def test_execve_drops_the_old_address_space(session: Session) -> None:
    session.touch((HEAP, PAGE))
    rows = session.rows_of(lambda: session.kernel.execve(0, 1, session.file))
    assert len(of_kind(rows, Kind.UNMAP)) == 4
    assert len(of_kind(rows, Kind.FREE_PAGE)) == 1
    assert of_kind(rows, Kind.FILE_READ) == [(0, 4 * PAGE, session.file)]
    with pytest.raises(TraceError):
        session.touch((HEAP, 4))
    parts = INSTRUCTIONS["free_page"] + INSTRUCTIONS["disk_request"]
    assert instructions(rows) == pytest.approx(INSTRUCTIONS["execve"] + parts, rel=0.01)


def test_a_forked_child_has_the_segments_and_copies_private_pages_when_it_touches_them(session: Session) -> None:
    session.touch((HEAP, 4), (TEXT, 4))
    session.kernel.start_process(Process(2, "cc", 1))
    rows = session.rows_of(lambda: session.kernel.fork(0, 1, 2))
    assert entered(rows) == [Service.FORK]
    assert instructions(rows) == pytest.approx(INSTRUCTIONS["fork"] + INSTRUCTIONS["fork_page"], rel=0.01)
    session.kernel.switch(0, 1, 2)
    touched = session.touch((HEAP, 4), (HEAP + PAGE, 4), (TEXT, 4), asid=2)
    assert entered(touched) == [Service.COPY_ON_WRITE, Service.DEMAND_ZERO, Service.QUICK_FAULT]
    assert session.violations() == []


def test_a_child_with_segments_cannot_be_forked(session: Session) -> None:
    session.kernel.start_process(Process(2, "cc", 1))
    session.kernel.map(0, 2, Segment(2, 0, PAGE, "anonymous"))
    with pytest.raises(TraceError, match="map after fork"):
        session.kernel.fork(0, 1, 2)


def test_an_asid_starts_once(session: Session) -> None:
    session.kernel.exit(0, 1)
    with pytest.raises(TraceError, match="new asid"):
        session.kernel.start_process(Process(1, "again"))


def test_finish_records_the_constants(session: Session) -> None:
    session.kernel.finish()
    digest = session.meta.provenance["guest_kernel_sha256"]
    assert len(bytes.fromhex(digest)) == 32
    assert TraceMeta.from_json(session.meta.to_json()).provenance["guest_kernel_sha256"] == digest


# ---- parameters -----------------------------------------------------------------------------------------------


def packaged_toml() -> str:
    return (resources.files("discotrace.tracegen") / "guest_kernel.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed = 1997", "sead = 1997", "unknown key 'sead'|missing key 'seed'"),
        ("seed = 1997", 'seed = "x"', "seed is 'x', expected int"),
        ("seed = 1997", "seed = ", "not valid TOML"),
        ("brk = 1200", "brek = 1200", "brek|brk"),
        ('routine = "vfault", share = 0.5', 'routine = "vfoult", share = 0.5', "vfoult"),
        ('routine = "vfault", share = 0.5', 'routine = "vfault", share = 0.7', "add up to 1.2"),
        ('event = "zero_page"', 'event = "zero_pages"', "zero_pages"),
        ("proc = { bytes = 640", "proc = { bytes = 6400", "bytes <= stride"),
        ('key = "cpu"', 'key = "gpu"', "gpu"),
    ],
)
def test_a_wrong_constant_is_an_error_that_names_the_key(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_parameters(packaged_toml().replace(old, new, 1))


def test_too_few_instructions_for_entry_and_locks_is_an_error() -> None:
    parameters = default_parameters()
    session = Session(replace(parameters, instructions=parameters.instructions | {"tick": 50}))
    with pytest.raises(ConfigError, match=r"instructions\.tick is 50"):
        session.kernel.tick(0, 1)


def test_more_data_than_kseg0_holds_is_an_error() -> None:
    parameters = default_parameters()
    huge = replace(parameters.data["inode"], count=1 << 30)
    with pytest.raises(ConfigError, match="KSEG0"):
        KernelLayout(replace(parameters, data=parameters.data | {"inode": huge}))
