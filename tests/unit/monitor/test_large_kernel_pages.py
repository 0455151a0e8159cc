"""Large pages for the relocated kernel: fewer TLB misses in KSEG0, and nowhere else."""

import pytest

from discotrace.replay.counts import Event
from tests.unit.replay.driving import AT, KSEG0_START, KSEG2_START, PAGE, WINDOW_AT, disco, load, trace, trace_with_file


def misses(start: int, pages: int, **changes: int) -> int:
    """TLB misses of a walk over pages, the monitor's alone."""
    run = disco(trace(), **changes)
    run.feed(*(load(start + page * PAGE) for page in range(pages)))
    return run.count(Event.TLB_MISSES) + run.count(Event.TLB_INVALID)


@pytest.mark.parametrize(
    ("kernel_page_kib", "pages", "expected"),
    [(4, 8, 8), (16, 8, 1), (16, 9, 2), (64, 32, 1), (64, 33, 2)],
)
def test_an_entry_covers_a_pair_of_large_pages_at_once(kernel_page_kib: int, pages: int, expected: int) -> None:
    """Of small pages each misses: the second of a pair is not mapped yet when the entry is written."""
    assert misses(KSEG0_START, pages, monitor__kernel_page_kib=kernel_page_kib) == expected


def test_without_pairs_an_entry_covers_one() -> None:
    for pages, expected in ((4, 1), (5, 2)):
        assert misses(KSEG0_START, pages, monitor__kernel_page_kib=16, tlb__pages_per_entry=1) == expected


@pytest.mark.parametrize("start", [KSEG2_START, AT])
def test_other_addresses_have_small_pages(start: int) -> None:
    assert misses(start, 8, monitor__kernel_page_kib=64) == misses(start, 8, monitor__kernel_page_kib=4)


def test_windows_on_files_have_small_pages() -> None:
    run = disco(trace_with_file(), monitor__kernel_page_kib=64)
    run.feed(*(load(WINDOW_AT + page * PAGE) for page in range(8)))
    assert run.count(Event.TLB_MISSES) + run.count(Event.TLB_INVALID) == 8


def test_pages_as_large_as_the_machines_are_small() -> None:
    assert misses(KSEG0_START, 8, monitor__kernel_page_kib=4) == misses(KSEG0_START, 8, monitor__kernel_page_kib=1)


def test_each_small_page_inside_is_mapped_when_it_is_touched() -> None:
    run = disco(trace(), monitor__kernel_page_kib=64)
    run.feed(*(load(KSEG0_START + page * PAGE) for page in range(5)))
    assert run.counts(Event.PAGES_MAPPED, Event.FRAMES_ALLOCATED) == {Event.PAGES_MAPPED: 5, Event.FRAMES_ALLOCATED: 5}


def test_the_software_tlb_knows_them_too() -> None:
    run = disco(trace(), monitor__kernel_page_kib=16, monitor__software_tlb_ways=4, tlb__entries=1, tlb__wired=0)
    run.feed(load(KSEG0_START), load(KSEG2_START), load(KSEG0_START + PAGE))
    assert run.count(Event.KERNEL_TLB_REFILLS) == 2, "KSEG0's, and the page table of KSEG2's"
    assert run.count(Event.SOFTWARE_TLB_HITS) == 1
