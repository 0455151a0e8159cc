"""The front: lines that every lane's first-level cache holds as the most recent of its set.

An access to such a line is a hit in all lanes and changes nothing but counts, so one look answers for all. A line
leaves the front when another takes its place, or when any lane loses it or makes it clean. Two lines that share a set
in some lane share a place here (``lane_layout.front_shapes``), so what is in its place is the most recent everywhere.
The same line at another virtual index may be absent from a lane that has more colours than there are places: the tag
has the colour, bits of the virtual address that choose a set in some lanes only. ``docs/model.md`` knows no front: it
is no part of the model, only quicker than a search in each lane.
"""

import numpy as np

from discotrace.replay.kernels.compile import inlined
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import COLOUR_FROM, COLOURS, FIRST, FRONT_SHAPE, LOWEST, MASK, SHAPE, SHIFT, Caches
from discotrace.tracegen.schema import Kind

_ZERO, _ONE = np.uint64(0), np.uint64(1)
NOTHING = -1
COLOUR_SHIFT = np.uint64(43)  # in a tag; below it 42 bits of a line number and whether it is dirty
LINE_MASK = (1 << 43) - 1
STORE = int(Kind.STORE)


@inlined
def l1_shape(c: Caches, access: int, what: int) -> int:
    """A number of the lane's first-level cache that serves an access: FIRST, MASK, WAYS or SHIFT."""
    number: int = signed(c.shapes[c.lane.shape + SHAPE * access + what])
    return number


@inlined
def place_in_front(c: Caches, cpu: int, access: int, vaddr: np.uint64) -> np.uint64:
    """Where the front keeps the line of an address, if it does. ``access``: FETCH, LOAD or STORE."""
    shape = FRONT_SHAPE * access
    of_part = (vaddr >> c.front_shapes[shape + LOWEST]) & c.front_shapes[shape + MASK]
    place: np.uint64 = np.uint64(cpu * c.params.front_lines) + c.front_shapes[shape + FIRST] + of_part
    return place


@inlined
def tag_in_front(c: Caches, access: int, vaddr: np.uint64, line: np.uint64) -> np.uint64:
    """The tag of a clean line."""
    shape = FRONT_SHAPE * access
    colour = (vaddr >> c.front_shapes[shape + COLOUR_FROM]) & c.front_shapes[shape + COLOURS]
    tag: np.uint64 = colour << COLOUR_SHIFT | line << _ONE
    return tag


@inlined
def front_answers(c: Caches, cpu: int, access: int, vaddr: np.uint64, maddr: np.uint64, size: np.uint64) -> bool:
    """Whether the bytes are in one line of the front, for a store a dirty one: a hit in all lanes and no more."""
    tag = c.front[place_in_front(c, cpu, access, vaddr)]
    shift = c.front_shapes[FRONT_SHAPE * access + SHIFT]
    line = maddr >> shift
    in_one_line = (maddr + size - _ONE) >> shift == line
    differs = np.uint64(tag) ^ (tag_in_front(c, access, vaddr, line) | _ONE)  # 0 or 1 = the same line, 0 = and dirty
    return bool(in_one_line and differs >> np.uint64(access != STORE) == _ZERO)


@inlined
def come_to_front(c: Caches, cpu: int, access: int, vaddr: np.uint64, maddr: np.uint64, size: np.uint64) -> np.uint64:
    """The lines of an access come to the front before the lanes make it; those that a lane then loses leave again.

    Returns the place of the last one.
    """
    shift = c.front_shapes[FRONT_SHAPE * access + SHIFT]
    line, last = maddr >> shift, (maddr + size - _ONE) >> shift
    start = (vaddr >> shift) << shift
    place = _ZERO
    while line <= last:
        place = place_in_front(c, cpu, access, start)
        c.front[place] = signed(tag_in_front(c, access, start, line) | np.uint64(access == STORE))
        start += _ONE << shift
        line += _ONE
    return place


@inlined
def leave_front(c: Caches, cpu: int, access: int, index: int, line: int) -> None:
    """A lane has lost, or made clean, the line that it had in set ``index`` of the L1 for an access."""
    shift = l1_shape(c, access, SHIFT)
    place = place_in_front(c, cpu, access, np.uint64(index << shift))
    longer = shift - signed(c.front_shapes[FRONT_SHAPE * access + SHIFT])
    if (c.front[place] & LINE_MASK) >> (1 + longer) == line:
        c.front[place] = NOTHING
