"""Segments: which holds where, and what a page of it is the page of."""

import pytest

from discotrace.replay.segments import Identity, Segments, kernel_files
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import KSEG0_START, KSEG2_START, XKPHYS_START, Process, Segment, TraceMeta

PAGE = 4096
AT = 0x40_0000
VPN = AT // PAGE
LARGE = 4 * PAGE


def segments(*some: Segment, page_bytes: int = PAGE) -> Segments:
    return Segments(TraceMeta(1, [Process(1, "a"), Process(2, "b")], list(some)), page_bytes)


def segment(asid: int = 1, backing: str = "anonymous", length: int = 16, at: int = AT, **more: int) -> Segment:
    return Segment(asid, at, at + length * PAGE, backing, **more)  # type: ignore[arg-type]


def of_file(asid: int = 1, at: int = AT, **more: int) -> Segment:
    """A read-only segment of file 7."""
    return segment(asid, "file", at=at, object=7, writable=False, **more)


def test_identity__an_anonymous_page_has_none() -> None:
    assert segments(segment()).identity(1, VPN, AT) is None


@pytest.mark.parametrize("backing", ["file", "shared"])
def test_identity__the_same_page_of_an_object_is_the_same_for_all(backing: str) -> None:
    writable = backing == "shared"
    both = segments(*(segment(asid, backing, object=7, writable=writable) for asid in (1, 2)))
    assert both.identity(1, VPN, AT) == both.identity(2, VPN, AT) == Identity(backing, 7, 0)


def test_identity__pages_of_an_object_are_numbered() -> None:
    assert segments(of_file()).identity(1, VPN + 3, AT + 3 * PAGE) == Identity("file", 7, 3)


def test_identity__the_offset_of_a_segment_counts() -> None:
    assert segments(of_file(offset=2 * PAGE)).identity(1, VPN, AT) == Identity("file", 7, 2)


def test_identity__a_file_and_a_shared_object_of_one_number_are_two() -> None:
    both = segments(of_file(), segment(2, "shared", object=7))
    assert both.identity(1, VPN, AT) != both.identity(2, VPN, AT)


def test_identity__a_writable_page_of_a_file_is_a_private_copy() -> None:
    assert segments(segment(1, "file", object=7, writable=True)).identity(1, VPN, AT) is None


def test_identity__large_pages_share_where_they_begin_at_a_whole_page() -> None:
    both = segments(of_file(1), of_file(2), page_bytes=LARGE)
    assert both.identity(1, AT // LARGE, AT) == both.identity(2, AT // LARGE, AT + PAGE) == Identity("file", 7, 0)


@pytest.mark.parametrize(("offset", "at"), [(PAGE, AT), (0, AT + PAGE)])
def test_identity__large_pages_that_begin_between_pages_are_private(offset: int, at: int) -> None:
    assert segments(of_file(at=at, offset=offset), page_bytes=LARGE).identity(1, AT // LARGE, at) is None


def test_hold__the_first_and_the_last_byte_of_a_segment_are_in_it() -> None:
    one = segments(segment(length=2))
    one.identity(1, VPN, AT)
    one.identity(1, VPN + 1, AT + 2 * PAGE - 1)


@pytest.mark.parametrize("address", [AT - 1, AT + 2 * PAGE, 0])
def test_hold__outside_every_segment_is_an_error(address: int) -> None:
    with pytest.raises(TraceError, match=f"address {address:#x} of process 1 lies in no segment that holds"):
        segments(segment(length=2)).identity(1, address // PAGE, address)


def test_hold__segments_of_others_do_not_help() -> None:
    with pytest.raises(TraceError, match="of process 2 lies in no segment"):
        segments(segment(1)).identity(2, VPN, AT)


def test_hold__the_kernel_has_asid_0() -> None:
    kernel = segments(segment(0, at=KSEG0_START, length=1))
    assert kernel.identity(0, KSEG0_START // PAGE, KSEG0_START) is None
    with pytest.raises(TraceError, match="of the kernel lies in no segment"):
        kernel.identity(0, KSEG0_START // PAGE + 1, KSEG0_START + PAGE)


def test_begin__a_segment_by_event_holds_from_its_event_on() -> None:
    later = segments(segment(by_event=True))
    with pytest.raises(TraceError, match="lies in no segment"):
        later.identity(1, VPN, AT)
    later.begin(0)
    later.identity(1, VPN, AT)


def test_begin__a_segment_that_is_not_in_the_metadata_is_an_error() -> None:
    with pytest.raises(TraceError, match="segment 1 is not in the metadata, which has 1"):
        segments(segment()).begin(1)


def test_end__the_segment_holds_no_more_and_its_neighbour_does() -> None:
    both = segments(segment(length=4), segment(at=AT + 4 * PAGE))
    assert both.end(0) == segment(length=4)
    both.identity(1, VPN + 4, AT + 4 * PAGE)
    with pytest.raises(TraceError, match="lies in no segment"):
        both.identity(1, VPN, AT)


def test_end__twice_is_an_error() -> None:
    one = segments(segment())
    one.end(0)
    with pytest.raises(TraceError, match="UNMAP of segment 0, which does not hold"):
        one.end(0)


def test_end_all__of_one_process_alone() -> None:
    both = segments(segment(1), segment(2))
    both.end_all(1)
    both.end_all(1)
    both.identity(2, VPN, AT)
    with pytest.raises(TraceError, match="of process 1 lies in no segment that holds"):
        both.identity(1, VPN, AT)


def test_kernel_files__are_those_that_the_kernel_shows_in_kseg0_and_cannot_write() -> None:
    some = [
        of_file(0, at=KSEG0_START),
        segment(0, "file", at=KSEG0_START + 16 * PAGE, object=1, writable=True),
        segment(0, "file", at=XKPHYS_START, object=2, writable=False),
        segment(0, "file", at=KSEG2_START, object=3, writable=False),
        segment(1, "file", object=4, writable=False),
        segment(0, "shared", at=KSEG0_START + 32 * PAGE, object=5, writable=False),
    ]
    assert kernel_files(TraceMeta(1, [Process(1, "a")], some)) == {7}


def test_hold__only_these_hold() -> None:
    some = segments(segment(), segment(at=2 * AT, by_event=True), segment(2))
    some.hold([1, 2])
    assert some.identity(1, 2 * VPN, 2 * AT) is None
    assert some.identity(2, VPN, AT) is None
    with pytest.raises(TraceError, match="lies in no segment that holds"):
        some.identity(1, VPN, AT)
