"""LRU lists of the sets of a cache, up to so many ways: at which depth of its set each access finds its line.

An access that finds its line at some depth hits in every cache with these sets and more ways, and misses in all others
(Mattson et al., IBM Systems Journal 9(2), 1970; sets: Hill and Smith, IEEE Trans. Computers 38(12), 1989). A line that
is taken out leaves a free way, which the next line to come down fills.
"""

from typing import NamedTuple

import numpy as np

from discotrace.replay.kernels.compile import entry, inlined, kernel
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import I64, U64

FREE = -1  # way without a line
_ONE = np.uint64(1)


class SetLists(NamedTuple):
    """The sets of one cache, virtually or physically indexed."""

    tags: I64  # [sets, ways]: the most recent line first, FREE
    depths: I64  # [ways + 1]: accesses that found their line at each depth; the last, all that did not
    elsewhere: I64  # [1]: of these, accesses whose line another set had: misses of every size
    ways: int
    mask: int  # sets - 1
    page_lines: int  # sets so many apart may have the same line, under other virtual addresses; at least sets: none may


def new_lists(sets: int, ways: int, page_lines: int) -> SetLists:
    """Empty sets; all numbers but the ways are powers of two."""
    tags, depths = np.full(sets * ways, FREE, np.int64), np.zeros(ways + 1, np.int64)
    return SetLists(tags, depths, np.zeros(1, np.int64), ways, sets - 1, page_lines)


@inlined
def bring_to_front(tags: I64, first: int, ways: int, line: int) -> int:
    """Make a line the most recent of the set that begins at ``first``. Returns its depth before, ``ways`` if none.

    The lines above go down by one, or those above the first free way on the way, which is filled.
    """
    carried = line
    for depth in range(ways):
        here = tags[first + depth]
        if here == line:
            tags[first + depth] = carried
            return depth
        if carried != FREE:
            tags[first + depth] = carried
            carried = here
    return ways


@kernel
def take_out(lists: SetLists, set_: int, line: int) -> bool:
    """Take a line out of the other sets that may have it, of which one does at most. Whether one did."""
    for other in range(set_ & (lists.page_lines - 1), lists.mask + 1, lists.page_lines):
        if other == set_:
            continue
        first = other * lists.ways
        for way in range(first, first + lists.ways):
            if lists.tags[way] == line:
                lists.tags[way] = FREE
                return True
    return False


@inlined
def see_line(lists: SetLists, line: np.uint64, index: np.uint64) -> bool:
    """An access to a line in the set that an index names. Whether a cache with all the ways has it."""
    tag, set_ = signed(line), signed(index & np.uint64(lists.mask))
    first = set_ * lists.ways
    if lists.tags[first] == tag:
        lists.depths[0] += 1
        return True
    depth = bring_to_front(lists.tags, first, lists.ways, tag)
    lists.depths[depth] += 1
    if depth < lists.ways:
        return True
    if lists.page_lines <= lists.mask and take_out(lists, set_, tag):
        lists.elsewhere[0] += 1
    return False


@entry
def see_lines(lists: SetLists, words: U64, stop: int) -> None:
    """The first ``stop`` of accesses ``words`` [accesses, 2]: line, index."""
    for access in range(stop):
        see_line(lists, words[2 * access], words[2 * access + 1])


@entry
def first_level_misses(
    l1i: SetLists,
    l1d: SetLists,
    words: U64,
    stop: int,
    shifts: tuple[int, int, int],
    mfn: I64,
    index_mask: np.uint64,
    missed: U64,
) -> int:
    """Accesses of the first-level caches that miss, as accesses of the second level. Returns how many.

    ``words`` [accesses, 2]: as ``recording.Recorder.lines`` has them. ``shifts``: log2 of how many lines of L1I and of
    L1D are one of L2, and of how many of L2 are a page. ``mfn`` [frame slots]. ``missed`` [accesses, 2] is filled with
    the L2 line by frame slots, and its masked number by machine frames, which indexes.
    """
    fetch_shift, data_shift, page_shift = np.uint64(shifts[0]), np.uint64(shifts[1]), np.uint64(shifts[2])
    in_page = (_ONE << page_shift) - _ONE
    misses = signed(0)
    for access in range(stop):
        line, index = words[2 * access] >> _ONE, words[2 * access + 1]
        if words[2 * access] & _ONE:
            hit, line2 = see_line(l1d, line, index), line >> data_shift
        else:
            hit, line2 = see_line(l1i, line, index), line >> fetch_shift
        if not hit:
            missed[2 * misses] = line2
            machine_line = np.uint64(mfn[signed(line2 >> page_shift)]) << page_shift | line2 & in_page
            missed[2 * misses + 1] = machine_line & index_mask
            misses += 1
    return misses
