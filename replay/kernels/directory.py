"""Directory coherence over all second-level caches, and what an L1 loses when its L2 does.

``docs/model.md`` section 7. The directory is exact: it knows who holds each line and whether one holder owns it. All
is about one lane, ``Caches.lane``.
"""

import numpy as np

from discotrace.replay.counts import Event, NodeEvent
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.frames import count_at_home, note_write
from discotrace.replay.kernels.front import l1_shape, leave_front
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import (
    EXCLUSIVE,
    FIRST,
    I64,
    MASK,
    MODIFIED,
    SHARED,
    SHIFT,
    WAYS,
    Caches,
)

_ONE = np.uint64(1)

FETCH, LOAD, STORE = 0, 1, 2  # accesses, numbered as the kinds of the trace

# Who serves a miss: offset from L2_*_HITS.
LOCAL, REMOTE, DIRTY_LOCAL, DIRTY_REMOTE = 1, 2, 3, 4

# What is done to the first-level lines under a line of another CPU's L2.
REMOVE, CLEAN = 0, 1


@inlined
def bit(cpu: int) -> np.uint64:
    """The directory's bit of a CPU."""
    return _ONE << np.uint64(cpu)


@inlined
def remove_at(tags: I64, first: int, ways: int, way: int) -> None:
    """Take out one way of the set that begins at ``first``; less recent lines move up."""
    for w in range(way, ways - 1):
        tags[first + w] = tags[first + w + 1]
    tags[first + ways - 1] = -1


@inlined
def l2_set(c: Caches, cpu: int, line: int) -> int:
    """Where the CPU's L2 set of a line begins: indexed with the machine address."""
    lines = c.params.page_shift - c.lane.l2_shift
    machine_line = (signed(c.frames.mfn[line >> lines]) << lines) | (line & ((1 << lines) - 1))
    return c.lane.l2 + (cpu * c.lane.l2_sets + (machine_line & (c.lane.l2_sets - 1))) * c.lane.l2_ways


@inlined
def way_of(tags: I64, first: int, ways: int, line: int, flag_bits: int) -> int:
    """Way in which the set that begins at ``first`` holds a line, -1 if it does not."""
    for way in range(ways):
        if tags[first + way] >> flag_bits == line:
            return way
    return -1


@inlined
def l2_way(c: Caches, first: int, line: int) -> int:
    """Way in which the L2 set that begins at ``first`` holds a line, -1 if it does not."""
    return way_of(c.l2, first, c.lane.l2_ways, line, 2)


@inlined
def home_is_near(c: Caches, cpu: int, line: int) -> bool:
    """Whether the home of an L2 line is the CPU's own node."""
    return signed(c.frames.home[line >> (c.params.page_shift - c.lane.l2_shift)]) == cpu // c.params.per_node


@inlined
def l1_set(c: Caches, cpu: int, access: int, index: int) -> int:
    """Where a set begins in the CPU's first-level cache that serves an access."""
    first = cpu * c.lane.l1_lines + l1_shape(c, access, FIRST)
    return first + index * l1_shape(c, access, WAYS)


@kernel
def take_l1_lines(c: Caches, cpu: int, access: int, line2: int, effect: int) -> int:
    """Remove or clean what a first-level cache holds of an L2 line, at every virtual index it may have there.

    Returns how many lines were dirty.
    """
    shift = l1_shape(c, access, SHIFT)
    last_set = l1_shape(c, access, MASK)
    ways = l1_shape(c, access, WAYS)
    page_lines = 1 << (c.params.page_shift - shift)
    lines = 1 << (c.lane.l2_shift - shift)
    dirty = 0
    for line in range(line2 * lines, (line2 + 1) * lines):
        for index in range(line & (page_lines - 1) & last_set, last_set + 1, page_lines):
            first = l1_set(c, cpu, access, index)
            way = way_of(c.l1, first, ways, line, 1)
            if way >= 0:
                leave_front(c, cpu, access, index, line)
                dirty += c.l1[first + way] & 1
                if effect == REMOVE:
                    remove_at(c.l1, first, ways, way)
                else:
                    c.l1[first + way] = line << 1
    return dirty


@kernel
def drop_first_level(c: Caches, cpu: int, line: int) -> int:
    """Remove what L1I and L1D hold of an L2 line. Returns how many lines of L1D were dirty."""
    take_l1_lines(c, cpu, signed(FETCH), line, signed(REMOVE))
    return take_l1_lines(c, cpu, signed(LOAD), line, signed(REMOVE))


@kernel
def invalidate_others(c: Caches, cpu: int, base: int, line: int) -> None:
    """Remove a line from every other CPU that holds it."""
    others = c.directory.holders[c.lane.line + line] & ~bit(cpu)
    other = signed(0)
    while others:
        if others & _ONE:
            first = l2_set(c, other, line)
            remove_at(c.l2, first, c.lane.l2_ways, l2_way(c, first, line))
            drop_first_level(c, other, line)
            c.counts[base + Event.INVALIDATIONS] += 1
        others >>= _ONE
        other += 1
    c.directory.holders[c.lane.line + line] &= bit(cpu)


@kernel
def upgrade(c: Caches, cpu: int, base: int, line: int) -> None:
    """A store to a Shared line of the CPU's L2: everybody else loses it; the caller makes it Modified."""
    near = home_is_near(c, cpu, line)
    c.counts[base + (Event.UPGRADES_LOCAL if near else Event.UPGRADES_REMOTE)] += 1
    slot = line >> (c.params.page_shift - c.lane.l2_shift)
    count_at_home(c, base, slot, NodeEvent.MEMORY_REQUESTS)
    note_write(c, cpu, slot)
    invalidate_others(c, cpu, base, line)
    c.directory.owned[c.lane.line + line] = 1


@inlined
def owner(c: Caches, line: int) -> int:
    """The CPU that holds an owned line: the only bit of its holders."""
    holders = c.directory.holders[c.lane.line + line]
    cpu = signed(0)
    while holders != _ONE:
        holders >>= _ONE
        cpu += 1
    return cpu


@kernel
def share_owned(c: Caches, line: int) -> None:
    """The owner of a line becomes one of its sharers: its L2 line Shared, its L1D lines clean."""
    cpu = owner(c, line)
    first = l2_set(c, cpu, line)
    c.l2[first + l2_way(c, first, line)] = line << 2 | SHARED
    take_l1_lines(c, cpu, signed(LOAD), line, signed(CLEAN))
    c.directory.owned[c.lane.line + line] = 0


@inlined
def served_by(c: Caches, cpu: int, line: int) -> int:
    """Who serves the CPU's miss: another cache that holds the line Modified, else its home memory."""
    if c.directory.owned[c.lane.line + line]:
        other = owner(c, line)
        first = l2_set(c, other, line)
        if c.l2[first + l2_way(c, first, line)] & 3 == MODIFIED:
            return DIRTY_LOCAL if other // c.params.per_node == cpu // c.params.per_node else DIRTY_REMOTE
    return LOCAL if home_is_near(c, cpu, line) else REMOTE


@inlined
def obtain(c: Caches, cpu: int, base: int, line: int, is_store: bool) -> int:
    """Directory's part of a miss. Returns the state in which the CPU gets the line."""
    mine = bit(cpu)
    if is_store:
        invalidate_others(c, cpu, base, line)
        c.directory.holders[c.lane.line + line] = mine
        c.directory.owned[c.lane.line + line] = 1
        return MODIFIED
    if c.directory.owned[c.lane.line + line]:
        share_owned(c, line)
    alone = c.directory.holders[c.lane.line + line] == 0
    c.directory.holders[c.lane.line + line] |= mine
    c.directory.owned[c.lane.line + line] = alone
    return EXCLUSIVE if alone else SHARED


@inlined
def count_writeback(c: Caches, cpu: int, base: int, line: int) -> None:
    """A Modified L2 line, or a dirty L1D line that no L2 holds, goes to its home memory."""
    near = home_is_near(c, cpu, line)
    c.counts[base + (Event.WRITEBACKS_LOCAL if near else Event.WRITEBACKS_REMOTE)] += 1
    count_at_home(c, base, line >> (c.params.page_shift - c.lane.l2_shift), NodeEvent.MEMORY_WRITEBACKS)


@kernel
def evict_l2(c: Caches, cpu: int, base: int, tag: int) -> None:
    """A line leaves the CPU's L2 because its set is full. ``tag`` = line * 4 + state."""
    line = tag >> 2
    c.directory.holders[c.lane.line + line] &= ~bit(cpu)
    if tag & 3 != SHARED:
        c.directory.owned[c.lane.line + line] = 0
    if tag & 3 == MODIFIED:
        count_writeback(c, cpu, base, line)
    if c.lane.l2_inclusive:
        c.counts[base + Event.L1D_WRITEBACKS] += drop_first_level(c, cpu, line)
