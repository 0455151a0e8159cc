"""Pages: identity, sharing, and what UNMAP and PROCESS_EXIT take away."""

from collections.abc import Callable
from itertools import count

import pytest

from discotrace.replay.pages import PAGE_TABLE_KEY, Mapping, Pages
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import KSEG0_START, Process, Segment, TraceMeta

PAGE = 4096
AT = 0x40_0000
VPN = AT // PAGE


def pages(*segments: Segment, page_bytes: int = PAGE) -> Pages:
    return Pages(TraceMeta(1, [Process(1, "a"), Process(2, "b")], list(segments)), page_bytes)


def segment(asid: int = 1, backing: str = "anonymous", length: int = 16, at: int = AT, **more: int) -> Segment:
    return Segment(asid, at, at + length * PAGE, backing, **more)  # type: ignore[arg-type]


@pytest.fixture
def fresh() -> Callable[[], int]:
    """Slots 0, 1, 2 ..."""
    slots = count()
    return lambda: next(slots)


def test_map__a_private_page_takes_a_new_frame(fresh: Callable[[], int]) -> None:
    assert pages(segment()).map(1, VPN, AT, fresh) == (Mapping(0, private=True), True)


@pytest.mark.parametrize("backing", ["file", "shared"])
def test_map__the_same_page_of_an_object_is_one_frame(backing: str, fresh: Callable[[], int]) -> None:
    writable = backing == "shared"
    both = pages(*(segment(asid, backing, object=7, writable=writable) for asid in (1, 2)))
    assert both.map(1, VPN, AT, fresh) == (Mapping(0, private=False), True)
    assert both.map(2, VPN, AT, fresh) == (Mapping(0, private=False), False)


def test_map__other_pages_of_an_object_are_other_frames(fresh: Callable[[], int]) -> None:
    both = pages(*(segment(asid, "file", object=7, writable=False) for asid in (1, 2)))
    both.map(1, VPN, AT, fresh)
    assert both.map(2, VPN + 1, AT + PAGE, fresh) == (Mapping(1, private=False), True)


def test_map__the_offset_of_a_segment_counts(fresh: Callable[[], int]) -> None:
    shifted = segment(2, "file", object=7, writable=False, offset=2 * PAGE)
    both = pages(segment(1, "file", object=7, writable=False), shifted)
    both.map(1, VPN + 2, AT + 2 * PAGE, fresh)
    assert both.map(2, VPN, AT, fresh) == (Mapping(0, private=False), False)


def test_map__a_file_and_a_shared_object_of_one_number_are_two(fresh: Callable[[], int]) -> None:
    both = pages(segment(1, "file", object=7, writable=False), segment(2, "shared", object=7))
    both.map(1, VPN, AT, fresh)
    assert both.map(2, VPN, AT, fresh) == (Mapping(1, private=False), True)


def test_map__a_writable_page_of_a_file_is_a_copy(fresh: Callable[[], int]) -> None:
    both = pages(*(segment(asid, "file", object=7, writable=True) for asid in (1, 2)))
    assert [both.map(asid, VPN, AT, fresh)[0] for asid in (1, 2)] == [Mapping(0, True), Mapping(1, True)]


def test_map__a_page_of_page_table_is_private_and_needs_no_segment(fresh: Callable[[], int]) -> None:
    assert pages().map(1 + PAGE_TABLE_KEY, 5, 0, fresh) == (Mapping(0, private=True), True)


def test_map__large_pages_share_where_they_begin_at_a_whole_page(fresh: Callable[[], int]) -> None:
    large = 4 * PAGE
    both = pages(*(segment(asid, "file", object=7, writable=False) for asid in (1, 2)), page_bytes=large)
    both.map(1, AT // large, AT, fresh)
    assert both.map(2, AT // large, AT + PAGE, fresh)[1] is False


@pytest.mark.parametrize(("offset", "at"), [(PAGE, AT), (0, AT + PAGE)])
def test_map__large_pages_that_begin_between_pages_are_private(offset: int, at: int, fresh: Callable[[], int]) -> None:
    large = 4 * PAGE
    one = pages(segment(1, "file", at=at, object=7, writable=False, offset=offset), page_bytes=large)
    assert one.map(1, AT // large, at, fresh)[0].private


def test_map__the_first_and_the_last_byte_of_a_segment_are_in_it(fresh: Callable[[], int]) -> None:
    one = pages(segment(length=2))
    one.map(1, VPN, AT, fresh)
    one.map(1, VPN + 1, AT + 2 * PAGE - 1, fresh)


@pytest.mark.parametrize("address", [AT - 1, AT + 2 * PAGE, 0])
def test_map__outside_every_segment_is_an_error(address: int, fresh: Callable[[], int]) -> None:
    with pytest.raises(TraceError, match=f"address {address:#x} of process 1 lies in no segment that holds"):
        pages(segment(length=2)).map(1, address // PAGE, address, fresh)


def test_map__segments_of_others_do_not_help(fresh: Callable[[], int]) -> None:
    with pytest.raises(TraceError, match="of process 2 lies in no segment"):
        pages(segment(1)).map(2, VPN, AT, fresh)


def test_map__the_kernel_has_key_0(fresh: Callable[[], int]) -> None:
    kernel = segment(0, at=KSEG0_START, length=1)
    assert pages(kernel).map(0, KSEG0_START // PAGE, KSEG0_START, fresh)[1]
    with pytest.raises(TraceError, match="of the kernel lies in no segment"):
        pages(kernel).map(0, KSEG0_START // PAGE + 1, KSEG0_START + PAGE, fresh)


def test_begin__a_segment_by_event_holds_from_its_event_on(fresh: Callable[[], int]) -> None:
    later = pages(segment(by_event=True))
    with pytest.raises(TraceError, match="lies in no segment"):
        later.map(1, VPN, AT, fresh)
    later.begin_segment(0)
    later.map(1, VPN, AT, fresh)


def test_begin__a_segment_that_is_not_in_the_metadata_is_an_error() -> None:
    with pytest.raises(TraceError, match="segment 1 is not in the metadata, which has 1"):
        pages(segment()).begin_segment(1)


def test_end_segment__gives_its_pages_in_ascending_order(fresh: Callable[[], int]) -> None:
    one = pages(segment(length=4), segment(at=AT + 4 * PAGE))
    for page in (4, 3, 0, 1):
        one.map(1, VPN + page, AT + page * PAGE, fresh)
    key, gone = one.end_segment(0)
    assert key == 1
    assert list(gone) == [VPN, VPN + 1, VPN + 3]


def test_end_segment__its_pages_can_not_be_mapped_any_more(fresh: Callable[[], int]) -> None:
    one = pages(segment())
    one.end_segment(0)
    with pytest.raises(TraceError, match="lies in no segment"):
        one.map(1, VPN, AT, fresh)


def test_end_segment__twice_is_an_error() -> None:
    one = pages(segment())
    one.end_segment(0)
    with pytest.raises(TraceError, match="UNMAP of segment 0, which does not hold"):
        one.end_segment(0)


def test_end_segment__a_large_page_goes_with_the_segment_of_its_first_byte(fresh: Callable[[], int]) -> None:
    one = pages(segment(length=2), segment(at=AT + 2 * PAGE), page_bytes=4 * PAGE)
    one.map(1, AT // (4 * PAGE), AT + 3 * PAGE, fresh)
    assert one.end_segment(1) == (1, {})
    assert list(one.end_segment(0)[1]) == [AT // (4 * PAGE)]


def test_end_process__gives_its_pages_then_its_page_tables(fresh: Callable[[], int]) -> None:
    one = pages(segment(1), segment(2))
    one.map(1 + PAGE_TABLE_KEY, 1, 0, fresh)
    for key in (1, 2):
        one.map(key, VPN, AT, fresh)
    assert one.end_process(1) == [
        (1, {VPN: Mapping(1, private=True)}),
        (1 + PAGE_TABLE_KEY, {1: Mapping(0, private=True)}),
    ]


def test_end_process__its_segments_end_too(fresh: Callable[[], int]) -> None:
    one = pages(segment(1))
    one.end_process(1)
    with pytest.raises(TraceError, match="of process 1 lies in no segment that holds"):
        one.map(1, VPN, AT, fresh)


def test_end_process__an_object_keeps_its_frames_for_the_next_process(fresh: Callable[[], int]) -> None:
    both = pages(*(segment(asid, "file", object=7, writable=False) for asid in (1, 2)))
    both.map(1, VPN, AT, fresh)
    assert both.end_process(1)[0] == (1, {VPN: Mapping(0, private=False)})
    assert both.map(2, VPN, AT, fresh) == (Mapping(0, private=False), False)


def test_end_process__one_that_did_nothing_leaves_nothing() -> None:
    assert pages(segment()).end_process(2) == [(2, {}), (2 + PAGE_TABLE_KEY, {})]
