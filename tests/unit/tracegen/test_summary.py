"""What `info` computes: each number on a trace small enough to count by hand, in any batches."""

from dataclasses import replace

import pytest

from discotrace.tracegen.schema import (
    KSEG0_START,
    KSEG2_START,
    XKPHYS_START,
    File,
    Kind,
    Process,
    Segment,
    Service,
    TraceMeta,
    rows_from_records,
    slice_rows,
)
from discotrace.tracegen.sharing import Sharing
from discotrace.tracegen.summary import Footprint, ServiceUse, Summarizer, Summary, sort_of_segment

Record = tuple[int, int, int, int, int, int]

PAGE = 4096
TEXT, STACK = 0x400000, 0x7FFF0000
META = TraceMeta(
    cpus=2,
    processes=[Process(1, "cc1"), Process(2, "cc1", parent=1)],
    segments=[
        Segment(1, TEXT, TEXT + 4 * PAGE, "file", object=5, writable=False),
        Segment(2, TEXT, TEXT + 4 * PAGE, "file", object=5, writable=False),
        Segment(1, STACK, STACK + 4 * PAGE, "anonymous"),
        Segment(2, STACK, STACK + 4 * PAGE, "anonymous"),
        Segment(0, KSEG0_START, KSEG0_START + 4 * PAGE, "anonymous"),
        Segment(1, 0, PAGE, "anonymous", by_event=True),
        Segment(1, 0, PAGE, "anonymous", by_event=True),
    ],
    files=[File(5, "/bin/cc1", 16384)],
)
RECORDS: list[Record] = [
    (0, 1, Kind.FETCH, TEXT, 40, 10),
    (1, 2, Kind.FETCH, TEXT + 8, 40, 20),
    (0, 1, Kind.LOAD, STACK, 8, 0),
    (0, 1, Kind.ENTER, 0, 0, Service.READ),
    (0, 1, Kind.FETCH, KSEG0_START, 40, 5),
    (1, 2, Kind.STORE, STACK, 2 * PAGE + 1, 0),
    (0, 1, Kind.ENTER, 0, 0, Service.DEMAND_ZERO),
    (0, 1, Kind.ZERO_PAGE, STACK + PAGE, PAGE, 100),
    (0, 1, Kind.EXIT, 0, 0, Service.DEMAND_ZERO),
    (0, 1, Kind.FETCH, KSEG0_START, 40, 7),
    (0, 1, Kind.EXIT, 0, 0, Service.READ),
    (0, 1, Kind.MAP, 0, 0, 5),
    (0, 1, Kind.LOAD, 8, 8, 0),
    (0, 1, Kind.UNMAP, 0, 0, 5),
    (0, 1, Kind.MAP, 0, 0, 6),
    (0, 1, Kind.LOAD, 16, 8, 0),
    (1, 2, Kind.FETCH, TEXT + PAGE, 4, 1),
    (1, 2, Kind.IDLE, 0, 1000, 0),
]
EXECUTING = (Kind.FETCH, Kind.ZERO_PAGE)


def summarize(batch: int = len(RECORDS)) -> Summary:
    rows = rows_from_records(RECORDS)
    summarizer = Summarizer(META, len(RECORDS))
    for start in range(0, len(RECORDS), batch):
        summarizer.add(slice_rows(rows, start, start + batch))
    return summarizer.finish()


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 7, 11])
def test_the_summary_does_not_depend_on_batches(batch: int) -> None:
    assert summarize(batch) == summarize()


def test_records_are_counted_by_kind() -> None:
    summary = summarize()
    assert summary.records == len(RECORDS) == sum(summary.records_by_kind.values())
    assert summary.records_by_kind[Kind.LOAD] == 3
    assert summary.records_by_kind[Kind.BARRIER] == 0


def test_instructions_are_those_of_fetch_and_zero_page() -> None:
    summary = summarize()
    assert summary.instructions == 143
    assert summary.instructions_by_cpu == [122, 21]
    assert summary.instructions_by_asid == {1: 122, 2: 21}
    assert summary.idle_instructions == 1000


def test_original_references_are_instructions_and_loads_and_stores() -> None:
    assert summarize().original_references == 143 + 3 + 1


def test_instructions_belong_to_the_innermost_service_of_their_cpu() -> None:
    summary = summarize()
    assert summary.services == [ServiceUse(Service.DEMAND_ZERO, 1, 100), ServiceUse(Service.READ, 1, 12)]
    assert summary.user_instructions == 31


def test_footprint_counts_shared_pages_once_when_distinct_and_mapped_again_pages_anew() -> None:
    assert summarize().footprint == [
        Footprint("user_text", virtual_kib=12, distinct_kib=8),
        Footprint("user_anonymous", virtual_kib=28, distinct_kib=28),
        Footprint("kernel_text_and_data", virtual_kib=4, distinct_kib=4),
    ]


def test_sharing__a_page_that_two_cpus_read_is_read_shared_and_one_of_a_cpu_alone_private() -> None:
    """Both processes run one program; each has a stack, and process 1 what it maps twice at address 0."""
    assert summarize().sharing == [
        Sharing("user", "private", kib=4 * (1 + 4 + 1 + 1 + 1), references=1 + 3 + 1 + 1 + 1 + 1),
        Sharing("user", "read_shared", kib=4, references=2),
        Sharing("kernel", "private", kib=4, references=2),
    ]


def sharing_of(*uses: tuple[int, Kind]) -> list[Sharing]:
    """Of one kernel page that these CPUs use in this order."""
    summarizer = Summarizer(META, len(uses))
    for cpu, kind in uses:
        summarizer.add(rows_from_records([(cpu, 0, kind, KSEG0_START, 8, 0)]))
    return summarizer.finish().sharing


@pytest.mark.parametrize("cpu", [0, 1])
@pytest.mark.parametrize("kind", [Kind.STORE, Kind.ZERO_PAGE])
def test_sharing__one_write_makes_a_shared_page_write_shared(kind: Kind, cpu: int) -> None:
    page = Sharing("kernel", "write_shared", kib=4, references=3)
    assert sharing_of((0, Kind.LOAD), (1, Kind.LOAD), (cpu, kind)) == [page]


def test_sharing__the_second_cpus_first_write_makes_a_page_write_shared() -> None:
    assert sharing_of((0, Kind.LOAD), (1, Kind.STORE)) == [Sharing("kernel", "write_shared", kib=4, references=2)]


def test_sharing__what_one_cpu_fills_before_others_read_it_is_read_shared() -> None:
    uses = [(1, Kind.ZERO_PAGE), (1, Kind.STORE), (0, Kind.LOAD), (1, Kind.LOAD)]
    assert sharing_of(*uses) == [Sharing("kernel", "read_shared", kib=4, references=4)]


@pytest.mark.parametrize("kernel_first", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_sharing__a_page_of_kernel_and_process_counts_as_the_first_ones(kernel_first: bool, batch: int) -> None:
    window = Segment(0, XKPHYS_START, XKPHYS_START + PAGE, "file", object=5, writable=False)
    meta = replace(META, segments=[*META.segments, window])
    records = [(0, 1, Kind.LOAD, TEXT, 8, 0), (1, 1, Kind.LOAD, XKPHYS_START, 8, 0)]
    rows = rows_from_records(records[::-1] if kernel_first else records)
    summarizer = Summarizer(meta, 2)
    for start in range(0, 2, batch):
        summarizer.add(slice_rows(rows, start, start + batch))
    space = "kernel" if kernel_first else "user"
    assert summarizer.finish().sharing == [Sharing(space, "read_shared", kib=4, references=2)]


def test_working_set_tells_the_pages_of_each_slice() -> None:
    working_set = summarize().working_set
    assert working_set.slice_records == 1
    assert working_set.instructions == [arg if kind in EXECUTING else 0 for _, _, kind, _, _, arg in RECORDS]
    assert working_set.user_code_kib == [4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]
    assert working_set.user_data_kib == [0, 0, 4, 0, 0, 12, 0, 4, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0]
    assert working_set.kernel_kib == [
        4 if kind == Kind.FETCH and vaddr >= KSEG0_START else 0 for _, _, kind, vaddr, _, _ in RECORDS
    ]


def test_a_page_counts_once_for_a_slice() -> None:
    rows = rows_from_records([(0, 1, Kind.LOAD, STACK + 8 * (i % 64), 8, 0) for i in range(600)])
    summarizer = Summarizer(META, 600)
    summarizer.add(rows)
    assert summarizer.finish().working_set.user_data_kib == [4] * 60


def test_an_empty_trace_has_a_summary() -> None:
    summary = Summarizer(META, 0).finish()
    assert (summary.records, summary.footprint, summary.working_set.user_data_kib) == (0, [], [])
    assert summary.sharing == []


@pytest.mark.parametrize(
    ("segment", "sort"),
    [
        (Segment(1, 0, PAGE, "file", writable=False), "user_text"),
        (Segment(1, 0, PAGE, "file"), "user_file_private"),
        (Segment(1, 0, PAGE, "shared"), "user_shared"),
        (Segment(0, XKPHYS_START, XKPHYS_START + PAGE, "file"), "kernel_file_windows"),
        (Segment(0, KSEG2_START, KSEG2_START + PAGE, "anonymous"), "kernel_stacks"),
    ],
)
def test_segments_are_sorted_by_backing_and_region(segment: Segment, sort: str) -> None:
    assert sort_of_segment(segment) == sort
