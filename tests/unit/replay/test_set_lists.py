"""The lists of a cache's sets: depths, free ways, lines under several virtual addresses, misses of the first level."""

import random

import numpy as np
import pytest

from discotrace.replay.kernels.set_lists import FREE, SetLists, first_level_misses, new_lists, see_lines
from discotrace.replay.kernels.state import U64

NO_OTHER_INDEX = 1 << 20  # lines of a page of which no two sets may have the same


def see(lists: SetLists, *accesses: tuple[int, int]) -> None:
    """Accesses: line, index."""
    see_lines(lists, as_words(accesses), len(accesses))


def as_words(accesses: tuple[tuple[int, int], ...]) -> U64:
    return np.array(accesses, np.uint64).ravel()


def set_of(lists: SetLists, number: int) -> list[int]:
    return lists.tags.reshape(-1, lists.ways)[number].tolist()


def test_the_most_recent_line_stands_first() -> None:
    lists = new_lists(1, 4, NO_OTHER_INDEX)
    see(lists, (7, 0), (8, 0), (9, 0), (8, 0))
    assert set_of(lists, 0) == [8, 9, 7, FREE]
    assert lists.depths.tolist() == [0, 1, 0, 0, 3]


def test_the_lowest_bits_of_the_index_choose_the_set() -> None:
    lists = new_lists(4, 2, NO_OTHER_INDEX)
    see(lists, (5, (1 << 64) - 3), (5, 1), (6, 2))
    assert set_of(lists, 1) == [5, FREE]
    assert set_of(lists, 2) == [6, FREE]
    assert lists.depths.tolist() == [1, 0, 2]


def test_a_line_deeper_than_all_ways_is_not_found() -> None:
    lists = new_lists(1, 2, NO_OTHER_INDEX)
    see(lists, (1, 0), (2, 0), (3, 0), (1, 0))
    assert lists.depths.tolist() == [0, 0, 4]


def test_another_virtual_address_takes_the_line_out_of_its_set() -> None:
    """Pages of two lines, four sets: sets 0 and 2, 1 and 3 may have the same line."""
    lists = new_lists(4, 2, 2)
    see(lists, (8, 0), (10, 0), (8, 2))
    assert set_of(lists, 0) == [10, FREE]
    assert set_of(lists, 2) == [8, FREE]
    assert (lists.depths.tolist(), lists.elsewhere.tolist()) == ([0, 0, 3], [1])


def test_a_way_that_became_free_is_filled_before_a_line_leaves() -> None:
    lists = new_lists(4, 3, 2)
    see(lists, (8, 0), (10, 0), (12, 0), (10, 2))
    assert set_of(lists, 0) == [12, FREE, 8]
    see(lists, (14, 0))
    assert set_of(lists, 0) == [14, 12, 8]


def test_a_line_from_below_a_free_way_leaves_its_own_way_free() -> None:
    lists = new_lists(4, 3, 2)
    see(lists, (8, 0), (10, 0), (12, 0), (10, 2), (8, 0))
    assert set_of(lists, 0) == [8, 12, FREE]
    assert lists.depths.tolist() == [0, 0, 1, 4]


@pytest.mark.parametrize("seed", range(20))
def test_the_first_ways_are_those_of_every_smaller_cache(seed: int) -> None:
    """Misses by the depths of one pass = misses of each number of ways alone, with lines at several indices."""
    choose = random.Random(seed)
    sets, page_lines = choose.choice(((1, 4), (4, 1), (8, 2), (4, 16)))
    accesses = []
    for _ in range(500):
        line = choose.randrange(40)
        accesses.append((line, line % page_lines + page_lines * choose.randrange(4)))
    together = new_lists(sets, 12, page_lines)
    see(together, *accesses)
    for ways in range(1, 12):
        alone = new_lists(sets, ways, page_lines)
        see(alone, *accesses)
        assert alone.depths[-1] == together.depths[ways:].sum()


def test_what_misses_goes_on_to_the_second_level_in_order() -> None:
    """Lines of 64 and 32 bytes under lines of 128 in pages of 4 KiB; frame 0 is machine frame 5, frame 1 is 2."""
    l1i, l1d = new_lists(2, 1, 64), new_lists(2, 1, 128)
    fetches = [(line << 1, line) for line in (0, 0, 3, 64)]
    loads = [(line << 1 | 1, line) for line in (4, 5, 4)]
    words, missed = as_words((*fetches, *loads)), np.zeros(14, np.uint64)
    count = first_level_misses(l1i, l1d, words, 7, (1, 2, 5), np.array([5, 2]), np.uint64(1023), missed)
    assert missed.reshape(-1, 2)[:count].tolist() == [[0, 160], [1, 161], [32, 64], [1, 161], [1, 161]]
