"""Address spaces, page cache and page descriptors of the guest kernel."""

import numpy as np
import pytest

from discotrace.tracegen.address_space import (
    FILTER_ENTRIES,
    AddressSpace,
    Mapping,
    PageCache,
    PageDescriptors,
    cut_segment,
    pages_of,
)
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import KSEG0_START, Kind, Rows, Segment, rows_from_records

PAGE = 4096


def loads(*accesses: tuple[int, int]) -> Rows:
    """LOAD rows of (vaddr, size)."""
    return rows_from_records([(0, 1, Kind.LOAD, vaddr, size, 0) for vaddr, size in accesses])


def space_with(*spans: tuple[int, int]) -> AddressSpace:
    space = AddressSpace()
    for number, (start, end) in enumerate(spans):
        space.insert(Mapping(number, Segment(1, start, end, "anonymous")))
    return space


def touch_all(space: AddressSpace, rows: Rows) -> list[tuple[int, int]]:
    found = list(space.first_touches(rows.kind, rows.vaddr, rows.size))
    for _, page in found:
        space.touch(page)
    return found


def test_pages_of_a_byte_range_are_all_that_it_touches() -> None:
    assert pages_of(PAGE - 1, PAGE + 1) == range(0, 2)
    assert pages_of(PAGE, 2 * PAGE) == range(1, 2)
    assert pages_of(PAGE, PAGE) == range(1, 1)


def test_a_first_touch_is_reported_once_with_its_row() -> None:
    space = AddressSpace()
    assert touch_all(space, loads((0, 4), (8, 4), (3 * PAGE, 4), (0, 4))) == [(0, 0), (2, 3)]
    assert touch_all(space, loads((16, 4), (3 * PAGE + 8, 4))) == []


def test_a_row_across_a_boundary_touches_both_pages_in_order() -> None:
    assert touch_all(AddressSpace(), loads((PAGE - 2, 4))) == [(0, 0), (0, 1)]


def test_a_long_row_touches_the_pages_in_its_middle_even_when_its_ends_are_known() -> None:
    space = AddressSpace()
    touch_all(space, loads((0, 4), (4 * PAGE, 4)))
    assert touch_all(space, loads((0, 4 * PAGE + 4))) == [(0, 1), (0, 2), (0, 3)]


def test_pages_that_share_a_place_in_the_filter_are_kept_apart() -> None:
    space = AddressSpace()
    far = FILTER_ENTRIES * PAGE
    assert touch_all(space, loads((0, 4), (far, 4), (0, 4), (far, 4))) == [(0, 0), (1, FILTER_ENTRIES)]
    assert touch_all(space, loads((0, 4), (far, 4))) == []


def test_kernel_addresses_and_events_touch_no_user_page() -> None:
    rows = rows_from_records([(0, 1, Kind.LOAD, KSEG0_START, 8, 0), (0, 1, Kind.BARRIER, 0, 4, 1)])
    assert touch_all(AddressSpace(), rows) == []


def test_first_touches_equal_those_of_a_plain_loop_over_random_rows() -> None:
    random = np.random.default_rng(3)
    space, seen = AddressSpace(), set()
    for _ in range(20):
        accesses = list(
            zip(random.integers(0, 100 * PAGE, 200).tolist(), random.integers(1, 9000, 200).tolist(), strict=True)
        )
        expected = []
        for row, (vaddr, size) in enumerate(accesses):
            for page in range(vaddr // PAGE, (vaddr + size - 1) // PAGE + 1):
                if page not in seen:
                    seen.add(page)
                    expected.append((row, page))
        assert touch_all(space, loads(*accesses)) == expected


def test_find_knows_the_ends_of_mappings() -> None:
    space = space_with((PAGE, 2 * PAGE), (4 * PAGE, 5 * PAGE))
    assert space.find(PAGE - 1) is None
    assert space.find(2 * PAGE) is None
    found = space.find(2 * PAGE - 1)
    assert found is not None
    assert found.number == 0
    above = space.next_above(3 * PAGE)
    assert above is not None
    assert above.number == 1
    assert space.end_below(3 * PAGE) == 2 * PAGE
    assert space.end_below(0) == 0


@pytest.mark.parametrize(
    ("start", "end", "numbers"),
    [(0, 1, []), (0, 2, [0]), (1, 2, [0]), (2, 4, []), (1, 5, [0, 1]), (4, 9, [1]), (5, 9, [])],
)
def test_overlapping_finds_what_shares_a_page(start: int, end: int, numbers: list[int]) -> None:
    space = space_with((PAGE, 2 * PAGE), (4 * PAGE, 5 * PAGE))
    assert [m.number for m in space.overlapping(start * PAGE, end * PAGE)] == numbers


def test_a_removed_mapping_gives_back_its_private_pages_and_faults_again() -> None:
    space = space_with((0, 2 * PAGE), (2 * PAGE, 3 * PAGE))
    touch_all(space, loads((0, 3 * PAGE)))
    space.private = {0: 10, 1: 11, 2: 12}
    assert space.remove(space.mappings()[0]) == [10, 11]
    assert space.private == {2: 12}
    assert touch_all(space, loads((0, 3 * PAGE))) == [(0, 0), (0, 1)]


def test_a_child_inherits_private_pages_until_it_touches_them() -> None:
    parent, child = AddressSpace(), AddressSpace()
    parent.private, parent.inherited = {1: 10}, {2: 11}
    child.inherit(parent)
    child.touch(1)
    assert child.inherited == {2: 11}
    assert parent.private == {1: 10}


def test_cutting_the_middle_leaves_two_pieces_with_right_offsets() -> None:
    segment = Segment(1, 0, 10 * PAGE, "file", object=3, offset=PAGE, writable=False)
    left, right = cut_segment(segment, 2 * PAGE, 5 * PAGE)
    assert (left.start, left.end, left.offset) == (0, 2 * PAGE, PAGE)
    assert (right.start, right.end, right.offset) == (5 * PAGE, 10 * PAGE, 6 * PAGE)
    assert left.by_event
    assert right.by_event


def test_cutting_all_leaves_nothing() -> None:
    assert cut_segment(Segment(1, PAGE, 2 * PAGE, "anonymous"), 0, 3 * PAGE) == []


def test_the_descriptor_given_back_last_is_taken_first() -> None:
    descriptors = PageDescriptors(3)
    assert [descriptors.take() for _ in range(2)] == [0, 1]
    descriptors.give_back([0, 1])
    assert [descriptors.take() for _ in range(3)] == [1, 0, 2]


def test_running_out_of_descriptors_is_an_error_that_names_the_key() -> None:
    descriptors = PageDescriptors(1)
    descriptors.take()
    with pytest.raises(TraceError, match="page_descriptors"):
        descriptors.take()


def test_the_page_cache_holds_what_was_asked_of_it() -> None:
    cache = PageCache(PageDescriptors(9), warm=False)
    assert not cache.has(1, 0)
    assert cache.descriptor(1, 0) == cache.descriptor(1, 0)
    assert cache.has(1, 0)
    assert not cache.has(2, 0)


def test_a_warm_page_cache_holds_everything() -> None:
    assert PageCache(PageDescriptors(9), warm=True).has(5, 7)
