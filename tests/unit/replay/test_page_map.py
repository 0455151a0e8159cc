"""The page map against a dictionary: collisions, probe runs that wrap around, removal in the middle of a run."""

import random

import numba
import numpy as np
import pytest

from discotrace.replay.kernels.entries import (
    page_map_change,
    page_map_insert,
    page_map_insert_all,
    page_map_remove,
)
from discotrace.replay.kernels.page_map import find_page
from discotrace.replay.kernels.state import INVALID, PAGE_TABLE, PageMap, new_frames, new_keys

Page = tuple[int, int]


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def find(pages, key, vpn):  # type: ignore[no-untyped-def]
    return find_page(pages, key, vpn)


def new_map(places: int) -> PageMap:
    return PageMap(new_keys(places), new_keys(places), new_frames(places))


def insert(pages: PageMap, page: Page, frame: int) -> None:
    page_map_insert(pages, np.uint64(page[0]), np.uint64(page[1]), frame)


def remove(pages: PageMap, page: Page) -> None:
    page_map_remove(pages, np.uint64(page[0]), np.uint64(page[1]))


def change(pages: PageMap, page: Page, frame: int) -> None:
    page_map_change(pages, np.uint64(page[0]), np.uint64(page[1]), frame)


def frame_of(pages: PageMap, page: Page) -> int:
    return int(find(pages, np.uint64(page[0]), np.uint64(page[1])))


def contents(pages: PageMap) -> dict[Page, int]:
    used = np.flatnonzero(pages.frame != INVALID)
    return {(int(pages.key[at]), int(pages.vpn[at])): int(pages.frame[at]) for at in used}


def test_an_empty_map_finds_nothing() -> None:
    assert frame_of(new_map(4), (1, 0)) == INVALID


def test_keys_tell_pages_apart() -> None:
    pages = new_map(16)
    for frame, key in enumerate((0, 1, 2, int(PAGE_TABLE), int(PAGE_TABLE) + 1)):
        insert(pages, (key, 5), frame)
    assert [frame_of(pages, (key, 5)) for key in (0, 1, 2, int(PAGE_TABLE), int(PAGE_TABLE) + 1)] == [0, 1, 2, 3, 4]


def test_the_highest_page_can_be_mapped() -> None:
    pages = new_map(4)
    insert(pages, (0, (1 << 52) - 1), 9)
    assert frame_of(pages, (0, (1 << 52) - 1)) == 9


def test_frame_0_is_a_frame() -> None:
    pages = new_map(4)
    insert(pages, (1, 1), 0)
    assert frame_of(pages, (1, 1)) == 0


def test_a_removed_page_is_gone_and_can_come_back() -> None:
    pages = new_map(4)
    insert(pages, (1, 1), 3)
    remove(pages, (1, 1))
    assert contents(pages) == {}
    insert(pages, (1, 1), 4)
    assert frame_of(pages, (1, 1)) == 4


def test_a_page_gets_another_frame_and_others_keep_theirs() -> None:
    """Eight places, four pages: some stand in the probe runs of others."""
    pages = new_map(8)
    for vpn in range(4):
        insert(pages, (1, vpn), vpn)
    change(pages, (1, 2), 9)
    assert contents(pages) == {(1, 0): 0, (1, 1): 1, (1, 2): 9, (1, 3): 3}


@pytest.mark.parametrize("seed", range(20))
def test_a_crowded_map_does_what_a_dictionary_does(seed: int) -> None:
    """Three places of four taken, which is more than the engine allows: every run is long and some wrap around."""
    choose = random.Random(seed)
    pages = new_map(16)
    expected: dict[Page, int] = {}
    everything = [(key, vpn) for key in (0, 1, int(PAGE_TABLE)) for vpn in range(8)]
    for step in range(300):
        page = choose.choice(everything)
        if page in expected and choose.random() < 0.3:
            change(pages, page, step)
            expected[page] = step
        elif page in expected:
            remove(pages, page)
            del expected[page]
        elif len(expected) < 12:
            insert(pages, page, step)
            expected[page] = step
        assert contents(pages) == expected
        assert all(frame_of(pages, page) == expected.get(page, INVALID) for page in everything)


def test_a_copy_has_everything() -> None:
    small, large = new_map(16), new_map(64)
    for frame in range(8):
        insert(small, (frame % 2, frame), frame)
    page_map_insert_all(small, large)
    assert contents(large) == contents(small)
    assert all(frame_of(large, (frame % 2, frame)) == frame for frame in range(8))
