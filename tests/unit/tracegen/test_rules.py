"""Each rule of the format: what breaks it, what does not, and the same answer as a slow model on random traces."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discotrace.tracegen.meta_rules import metadata_faults
from discotrace.tracegen.rules import FormatChecker, Violation, check_rows
from discotrace.tracegen.schema import (
    KERNEL_BASE,
    KSEG0_START,
    File,
    Kind,
    Privileged,
    Process,
    Segment,
    Service,
    TraceMeta,
    rows_from_records,
    slice_rows,
)

Record = tuple[int, int, int, int, int, int]

PAGE = 4096
TEXT, HEAP, LATE, KERNEL, OTHER, TOP, NEXT = range(7)  # segments by number
META = TraceMeta(
    cpus=2,
    processes=[Process(1, "cc1"), Process(2, "ld", parent=1)],
    segments=[
        Segment(1, 0x400000, 0x402000, "file", object=5, writable=False),
        Segment(1, 0x402000, 0x404000, "anonymous"),
        Segment(1, 0x500000, 0x501000, "shared", object=1, by_event=True),
        Segment(0, KSEG0_START, KSEG0_START + 2 * PAGE, "anonymous"),
        Segment(2, 0x400000, 0x401000, "anonymous"),
        Segment(0, (1 << 64) - PAGE, 1 << 64, "anonymous"),
        Segment(1, 0x500000, 0x502000, "anonymous", by_event=True),
    ],
    files=[File(5, "/bin/cc1", 8192)],
)

FETCH, LOAD, STORE = Kind.FETCH, Kind.LOAD, Kind.STORE
MAP_LATE = (0, 1, Kind.MAP, 0x500000, 0, LATE)
UNMAP_LATE = (0, 1, Kind.UNMAP, 0x500000, 0, LATE)
LOAD_LATE = (0, 1, LOAD, 0x500008, 8, 0)
GOOD = (0, 1, LOAD, 0x402000, 8, 0)


def broken(*records: Record) -> list[tuple[str, int]]:
    return [(violation.rule, violation.row) for violation in check_rows(META, rows_from_records(list(records)))]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [(0, 1, FETCH, 0x400000, 64, 16), GOOD, (0, 1, STORE, 0x403FFF, 1, 0)],
        [(0, 1, LOAD, 0x401FFC, 8, 0)],  # from one segment into the one beside it
        [(0, 1, LOAD, 0x400000, 0x4000, 0)],
        [(0, 1, LOAD, KSEG0_START, 8, 0), (1, 0, LOAD, KSEG0_START + PAGE - 4, 8, 0)],
        [(0, 0, STORE, (1 << 64) - 8, 8, 0)],
        [MAP_LATE, LOAD_LATE, UNMAP_LATE],
        [MAP_LATE, UNMAP_LATE, (0, 1, Kind.MAP, 0x500000, 0, NEXT), (0, 1, LOAD, 0x501000, 8, 0)],
        [(0, 1, Kind.UNMAP, 0x402000, 0, HEAP)],
        [(0, 1, Kind.ENTER, 0, 0, Service.READ), (0, 1, Kind.EXIT, 0, 0, Service.READ)],
        [(0, 1, Kind.LOCK, 64, 0, 3), (1, 1, Kind.LOCK, 64, 0, 3), (0, 1, Kind.UNLOCK, 64, 0, 3)],
        [(0, 1, Kind.PRIVILEGED, 0, 3, Privileged.TLB), (0, 1, Kind.PRIVILEGED, 0, 1, Privileged.WIRED)],
        [(0, 1, Kind.PRIVILEGED, 0x402FFF, 3, Privileged.WIRED)],
        [GOOD, (0, 2, Kind.SWITCH, 0, 0, 1), (0, 2, LOAD, 0x400000, 8, 0), (1, 1, LOAD, 0x402000, 8, 0)],
        [(0, 1, Kind.FILE_READ, 1 << 40, 100, 5), (0, 1, Kind.FILE_WRITE, 0, 0, 5)],
        [(0, 1, Kind.ZERO_PAGE, 0x402000, PAGE, 1024), (0, 1, Kind.FREE_PAGE, 0x403000, PAGE, 0)],
        [GOOD, (0, 1, Kind.PROCESS_EXIT, 0, 0, 0), (0, 2, Kind.SWITCH, 0, 0, 1), (0, 2, LOAD, 0x400000, 8, 0)],
        [(0, 1, Kind.RESIDENT, 1 << 40, 100, 5), (0, 1, Kind.RESIDENT, 0x402FFF, PAGE, 0)],
        [(0, 0, Kind.RESIDENT, KSEG0_START, PAGE, 0), (1, 1, Kind.RESIDENT, KSEG0_START, 1, 0)],
        [(0, 1, Kind.IDLE, 0, 100, 0), (0, 1, Kind.BARRIER, 0, 2, 7)],
    ],
)
def test_sound_traces_break_no_rule(records: list[Record]) -> None:
    assert broken(*records) == []


@pytest.mark.parametrize(
    ("rule", "row", "records"),
    [
        ("kind", 1, [GOOD, (0, 1, 3, 0, 0, 0)]),
        ("kind", 0, [(0, 1, 24, 0, 0, 0)]),
        ("cpu", 1, [GOOD, (2, 1, LOAD, 0x402000, 8, 0)]),
        ("process", 0, [(0, 3, LOAD, KSEG0_START, 8, 0)]),
        ("process", 0, [(0, 0, Kind.PROCESS_EXIT, 0, 0, 0)]),
        ("process", 1, [(0, 1, Kind.PROCESS_EXIT, 0, 0, 0), (0, 1, LOAD, KSEG0_START, 8, 0)]),
        ("process", 1, [(0, 1, Kind.PROCESS_EXIT, 0, 0, 0), (0, 1, Kind.PROCESS_EXIT, 0, 0, 0)]),
        ("size", 0, [(0, 1, LOAD, 0x402000, 0, 0)]),
        ("arg", 0, [(0, 1, FETCH, 0x400000, 4, 0)]),
        ("arg", 0, [(0, 1, LOAD, 0x402000, 4, 1)]),
        ("arg", 1, [GOOD, (0, 1, STORE, 0x402000, 4, 1)]),
        ("segment", 0, [(0, 1, LOAD, 0x3FFFFF, 1, 0)]),
        ("segment", 0, [(0, 1, LOAD, 0x3FFFFC, 8, 0)]),
        ("segment", 1, [GOOD, (0, 1, LOAD, 0x403FFC, 8, 0)]),
        ("segment", 0, [(0, 1, LOAD, 0x400000, 0x4001, 0)]),
        ("segment", 0, [(0, 2, LOAD, 0x401000, 8, 0)]),
        ("segment", 0, [(0, 0, LOAD, 0x400000, 8, 0)]),
        ("segment", 0, [(0, 1, LOAD, KERNEL_BASE, 8, 0)]),
        ("segment", 0, [LOAD_LATE]),
        ("segment", 0, [LOAD_LATE, MAP_LATE, LOAD_LATE]),
        ("segment", 3, [MAP_LATE, LOAD_LATE, UNMAP_LATE, LOAD_LATE]),
        ("segment", 2, [GOOD, (0, 1, Kind.UNMAP, 0x402000, 0, HEAP), GOOD]),
        ("service", 0, [(0, 1, Kind.EXIT, 0, 0, Service.READ)]),
        ("service", 0, [(0, 1, Kind.ENTER, 0, 0, Service.READ), GOOD]),
        ("service", 1, [(0, 1, Kind.ENTER, 0, 0, Service.READ), (0, 1, Kind.EXIT, 0, 0, Service.OPEN)]),
        ("service", 0, [(0, 1, Kind.ENTER, 0, 0, Service.UTLB_MISS), (0, 1, Kind.EXIT, 0, 0, Service.UTLB_MISS)]),
        ("service", 0, [(0, 1, Kind.ENTER, 0, 0, 20), (0, 1, Kind.EXIT, 0, 0, 20)]),
        ("lock", 1, [(0, 1, Kind.LOCK, 64, 0, 3), (0, 1, Kind.LOCK, 64, 0, 3)]),
        ("lock", 1, [(0, 1, Kind.LOCK, 64, 0, 3), (1, 1, Kind.UNLOCK, 64, 0, 3)]),
        ("privileged", 0, [(0, 1, Kind.PRIVILEGED, 0, 1, 5)]),
        ("privileged", 0, [(0, 1, Kind.PRIVILEGED, 0, 0, Privileged.RETURN)]),
        ("switch", 2, [GOOD, (1, 1, LOAD, 0x402000, 8, 0), (0, 2, LOAD, 0x400000, 8, 0)]),
        ("file", 0, [(0, 1, Kind.FILE_READ, 0, 1, 6)]),
        ("file", 1, [(0, 1, Kind.FILE_READ, 0, 1, 5), (0, 1, Kind.FILE_WRITE, 0, 1, 0)]),
        ("file", 0, [(0, 1, Kind.RESIDENT, 0, 1, 6)]),
        ("map", 0, [(0, 1, Kind.MAP, 0x500000, 0, 99)]),
        ("map", 0, [(0, 1, Kind.MAP, 0x501000, 0, LATE)]),
        ("map", 0, [(0, 2, Kind.MAP, 0x500000, 0, LATE)]),
        ("map", 0, [(0, 1, Kind.MAP, 0x402000, 0, HEAP)]),
        ("map", 0, [UNMAP_LATE]),
        ("map", 1, [MAP_LATE, MAP_LATE]),
        ("map", 2, [MAP_LATE, UNMAP_LATE, MAP_LATE]),
        ("map", 2, [MAP_LATE, UNMAP_LATE, UNMAP_LATE]),
        ("map", 1, [MAP_LATE, (0, 1, Kind.MAP, 0x500000, 0, NEXT)]),
        ("page", 0, [(0, 1, Kind.ZERO_PAGE, 0x404000, PAGE, 1)]),
        ("page", 0, [(0, 1, Kind.FREE_PAGE, 0x403000, PAGE + 1, 0)]),
        ("page", 1, [GOOD, (0, 1, Kind.ZERO_PAGE, 0x402000, 0, 1)]),
        ("page", 0, [(0, 1, Kind.RESIDENT, 0x403000, PAGE + 1, 0)]),
        ("page", 0, [(0, 0, Kind.RESIDENT, 0x402000, PAGE, 0)]),
        ("page", 1, [GOOD, (0, 1, Kind.RESIDENT, 0x402000, 0, 0)]),
        ("page", 0, [(0, 1, Kind.RESIDENT, 0, 0, 5)]),
        ("page", 1, [GOOD, (0, 1, Kind.PRIVILEGED, 0x404000, 2, Privileged.WIRED)]),
    ],
)
def test_a_broken_rule_is_reported_with_its_first_row(rule: str, row: int, records: list[Record]) -> None:
    assert broken(*records) == [(rule, row)]


def test_a_reference_past_the_end_of_the_address_space_is_reported() -> None:
    assert ("size", 0) in broken((0, 0, LOAD, (1 << 64) - 4, 5, 0))


def test_messages_name_the_addresses() -> None:
    (violation,) = check_rows(META, rows_from_records([(0, 2, LOAD, 0x401000, 8, 0)]))
    assert violation == Violation("segment", 0, "no segment of asid 2 holds all of 0x401000 to 0x401007")


def test_each_rule_is_reported_once() -> None:
    bad = (0, 1, LOAD, 0x402000, 0, 0)
    checker = FormatChecker(META)
    assert len(checker.check(rows_from_records([bad, bad]))) == 1
    assert checker.check(rows_from_records([bad])) == []


def test_metadata_may_grow_before_the_rows_that_need_them() -> None:
    meta = TraceMeta(1)
    checker = FormatChecker(meta)
    assert checker.check(rows_from_records([(0, 0, Kind.IDLE, 0, 1, 0)])) == []
    meta.processes.append(Process(7, "sh"))
    meta.segments.append(Segment(7, 0, PAGE, "anonymous"))
    assert checker.check(rows_from_records([(0, 7, Kind.SWITCH, 0, 0, 0), (0, 7, LOAD, 0, 8, 0)])) == []
    assert checker.finish() == []


def test_a_segment_of_the_kernel_may_become_longer_before_the_rows_that_need_it() -> None:
    meta = TraceMeta(1, segments=[Segment(0, KSEG0_START, KSEG0_START + PAGE, "anonymous")])
    checker = FormatChecker(meta)
    assert checker.check(rows_from_records([(0, 0, LOAD, KSEG0_START, PAGE, 0)])) == []
    meta.segments[0] = replace(meta.segments[0], end=KSEG0_START + 2 * PAGE)
    within = [(0, 0, LOAD, KSEG0_START, 2 * PAGE, 0), (0, 0, LOAD, KSEG0_START + PAGE, 8, 0)]
    assert checker.check(rows_from_records(within)) == []
    beyond = checker.check(rows_from_records([(0, 0, LOAD, KSEG0_START + 2 * PAGE, 8, 0)]))
    assert [violation.rule for violation in beyond] == ["segment"]


def test_a_segment_of_the_kernel_may_not_grow_into_another() -> None:
    starts = (KSEG0_START, KSEG0_START + PAGE)
    meta = TraceMeta(1, segments=[Segment(0, start, start + PAGE, "anonymous") for start in starts])
    checker = FormatChecker(meta)
    assert checker.check(rows_from_records([(0, 0, LOAD, KSEG0_START, 8, 0)])) == []
    meta.segments[0] = replace(meta.segments[0], end=KSEG0_START + 2 * PAGE)
    assert [violation.rule for violation in checker.finish()] == ["metadata"]


def test_metadata_that_grow_wrongly_are_reported() -> None:
    meta = TraceMeta(1)
    checker = FormatChecker(meta)
    meta.segments.append(Segment(7, 0, PAGE, "anonymous"))
    assert [violation.rule for violation in checker.finish()] == ["metadata"]


def test_a_segment_from_the_first_record_may_not_overlap_one_that_was_mapped_before() -> None:
    meta = TraceMeta(1, [Process(1, "a")], [Segment(1, 0, PAGE, "anonymous", by_event=True)])
    checker = FormatChecker(meta)
    events = [(0, 1, Kind.MAP, 0, 0, 0), (0, 1, Kind.UNMAP, 0, 0, 0)]
    assert checker.check(rows_from_records(events)) == []
    meta.segments.append(Segment(1, 0, PAGE, "anonymous"))
    assert [violation.rule for violation in checker.finish()] == ["metadata"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cpus": 65537}, "cpus is 65537"),
        ({"processes": [Process(0, "none")]}, "asid 0"),
        ({"processes": [Process(1, "a"), Process(1, "b")]}, "asid 1 is declared twice"),
        ({"processes": [Process(1, "a", parent=9), Process(2, "b")]}, "parent 9"),
        ({"processes": [Process("1", "a")]}, "wrong type"),  # type: ignore[arg-type]
        ({"files": [File(5, "a", 0), File(5, "b", 0)]}, "file id 5 is declared twice"),
        ({"files": [File(5, "a", -1)]}, "out of range"),
        ({"files": []}, "file 5, which is not declared"),
        ({"segments": [Segment(3, 0, PAGE, "anonymous")]}, "asid 3, which is not declared"),
        ({"segments": [Segment(1, PAGE, PAGE, "anonymous")]}, "expected start < end"),
        ({"segments": [Segment(0, 0, (1 << 64) + PAGE, "anonymous")]}, "in 64 bits"),
        ({"segments": [Segment(1, 0, 100, "anonymous")]}, "multiples of 4096"),
        ({"segments": [Segment(1, KERNEL_BASE, KERNEL_BASE + PAGE, "anonymous")]}, "expected 0"),
        ({"segments": [Segment(1, 0, PAGE, "swap")]}, "backing 'swap'"),
        ({"segments": [Segment(1, 0, PAGE, "shared", object=-1)]}, "no negative number"),
        ({"segments": [Segment(1, 0, PAGE, "anonymous", writable=1)]}, "wrong type"),  # type: ignore[arg-type]
        ({"segments": [Segment(1, 0, 2 * PAGE, "anonymous"), Segment(1, PAGE, 2 * PAGE, "anonymous")]}, "overlaps"),
    ],
)
def test_unsound_metadata_are_described(change: dict[str, list[object]], message: str) -> None:
    assert message in metadata_faults(replace(META, **change))[0]  # type: ignore[arg-type]


def test_sound_metadata_have_no_faults() -> None:
    assert metadata_faults(META) == []


class SlowModel:
    """The rules that depend on state, one row and one byte range at a time."""

    def __init__(self, meta: TraceMeta) -> None:
        self.meta = meta
        self.live = {number for number, segment in enumerate(meta.segments) if not segment.by_event}
        self.mapped: set[int] = set()
        self.exited: set[int] = set()
        self.first: dict[str, int] = {}

    def run(self, records: list[Record]) -> dict[str, int]:
        for row, record in enumerate(records):
            for rule in self.step(*record):
                self.first.setdefault(rule, row)
        return self.first

    def step(self, _cpu: int, asid: int, kind: int, vaddr: int, size: int, arg: int) -> list[str]:
        rules = ["process"] if asid and (asid in self.exited or asid not in {1, 2}) else []
        if kind in (Kind.FETCH, Kind.LOAD, Kind.STORE) and not self.holds(asid, vaddr, size):
            rules.append("segment")
        if kind in (Kind.ZERO_PAGE, Kind.FREE_PAGE) and not self.holds(asid, vaddr, size):
            rules.append("page")
        if kind in (Kind.MAP, Kind.UNMAP) and not self.change(kind, asid, vaddr, arg):
            rules.append("map")
        if kind == Kind.PROCESS_EXIT:
            rules += [] if asid else ["process"]
            self.exited.add(asid)
            self.live -= {number for number in self.live if asid and self.meta.segments[number].asid == asid}
        return rules

    def holds(self, asid: int, vaddr: int, size: int) -> bool:
        key = asid if vaddr < KERNEL_BASE else 0
        spaces = [self.meta.segments[number] for number in self.live if self.meta.segments[number].asid == key]
        return all(
            any(s.start <= byte < s.end for s in spaces)
            for byte in {*range(vaddr, vaddr + size, 512)} | {vaddr + size - 1}
        )

    def change(self, kind: int, asid: int, vaddr: int, number: int) -> bool:
        segment = self.meta.segments[number]
        if segment.asid != (asid if vaddr < KERNEL_BASE else 0) or segment.start != vaddr:
            return False
        if kind == Kind.UNMAP:
            held = number in self.live
            self.live.discard(number)
            return held
        if not segment.by_event or number in self.mapped:
            return False
        self.mapped.add(number)
        others = [self.meta.segments[other] for other in self.live if self.meta.segments[other].asid == segment.asid]
        if any(segment.start < other.end and other.start < segment.end for other in others):
            return False
        self.live.add(number)
        return True


ADDRESSES = [0x3FF000, 0x400000, 0x401FFC, 0x402000, 0x403FF0, 0x500000, 0x501000, KSEG0_START, KSEG0_START + PAGE]
references = st.tuples(
    st.integers(0, 1),
    st.sampled_from([0, 1, 1, 1, 2]),
    st.sampled_from([Kind.LOAD, Kind.STORE, Kind.ZERO_PAGE, Kind.FREE_PAGE]),
    st.sampled_from(ADDRESSES),
    st.sampled_from([1, 8, 16, PAGE, 2 * PAGE + 1]),
    st.just(0),
)
mappings = st.builds(
    lambda kind, number: (0, META.segments[number].asid, kind, META.segments[number].start, 0, number),
    st.sampled_from([Kind.MAP, Kind.UNMAP]),
    st.sampled_from([TEXT, HEAP, LATE, KERNEL, NEXT]),
)
exits = st.builds(lambda asid: (0, asid, Kind.PROCESS_EXIT, 0, 0, 0), st.sampled_from([1, 2]))
mixed = st.lists(st.one_of(references, references, references, mappings, mappings, exits), max_size=40)


@settings(max_examples=300, deadline=None)
@given(records=mixed, batch=st.integers(1, 41))
def test_checker_agrees_with_the_slow_model_in_any_batches(records: list[Record], batch: int) -> None:
    checker = FormatChecker(META)
    rows = rows_from_records(records)
    found = []
    for start in range(0, len(records), batch):
        found += checker.check(slice_rows(rows, start, start + batch))
    stateful = {violation.rule: violation.row for violation in found if violation.rule != "switch"}
    assert stateful == SlowModel(META).run(records)
