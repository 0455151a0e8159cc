"""The caches of one CPU: L1I and L1D (virtually indexed, physically tagged) over L2 (physically indexed).

``docs/model.md`` section 6. Within a set the tags stand in order of use, the most recent first. All is about one lane,
``Caches.lane``.
"""

import numpy as np

from discotrace.replay.counts import Event, NodeEvent
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.directory import (
    LOAD,
    STORE,
    bit,
    count_writeback,
    drop_first_level,
    evict_l2,
    l1_set,
    l2_set,
    l2_way,
    obtain,
    remove_at,
    served_by,
    upgrade,
    way_of,
)
from discotrace.replay.kernels.frames import count_at_home, note_miss, note_write
from discotrace.replay.kernels.front import l1_shape, leave_front
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import I64, MASK, MODIFIED, SHAPE, SHARED, SHIFT, WAYS, Caches

# The events of FETCH, LOAD and STORE follow each other at equal distances.
L1_HITS, L2_HITS = int(Event.L1I_HITS), int(Event.L2_FETCH_HITS)
L2_EVENTS = int(Event.L2_LOAD_HITS) - L2_HITS
_ONE = np.uint64(1)


@inlined
def push_front(tags: I64, first: int, way: int, tag: int) -> None:
    """Make ``tag`` the most recent of its set; what stood before ``way`` becomes less recent by one."""
    for w in range(way, 0, -1):
        tags[first + w] = tags[first + w - 1]
    tags[first] = tag


@inlined
def free_or_last_way(tags: I64, first: int, ways: int) -> int:
    """The first empty way of a set, else the least recent."""
    for way in range(ways):
        if tags[first + way] < 0:
            return way
    return ways - 1


@inlined
def access_l2(c: Caches, cpu: int, base: int, access: int, line: int) -> None:
    """An L1 miss reaches L2. Afterwards L2 holds the line as most recent, Modified if the access is a store."""
    hits = L2_HITS + L2_EVENTS * access
    first = l2_set(c, cpu, line)
    way = l2_way(c, first, line)
    if way >= 0:
        c.counts[base + hits] += 1
        state = c.l2[first + way] & 3
        if access == STORE:
            if state == SHARED:
                upgrade(c, cpu, base, line)
            state = MODIFIED
    else:
        c.counts[base + hits + served_by(c, cpu, line)] += 1
        slot = line >> (c.params.page_shift - c.lane.l2_shift)
        count_at_home(c, base, slot, NodeEvent.MEMORY_REQUESTS)
        note_miss(c, cpu, slot)
        if access == STORE:
            note_write(c, cpu, slot)
        state = obtain(c, cpu, base, line, access == STORE)
        way = free_or_last_way(c.l2, first, c.lane.l2_ways)
        victim = c.l2[first + way]
        if victim >= 0:
            evict_l2(c, cpu, base, victim)
    push_front(c.l2, first, way, line << 2 | state)


@kernel
def own_for_store(c: Caches, cpu: int, base: int, line: int) -> None:
    """A store hits a clean L1D line: its L2 line becomes Modified, at the cost of an upgrade if it was Shared."""
    first = l2_set(c, cpu, line)
    way = l2_way(c, first, line)
    if way < 0:
        return
    if c.l2[first + way] & 3 == SHARED:
        upgrade(c, cpu, base, line)
    c.l2[first + way] = line << 2 | MODIFIED


@kernel
def write_back_l1(c: Caches, cpu: int, base: int, line: int) -> None:
    """A dirty victim leaves L1D for L2, or, where L2 is not inclusive and holds it no more, for memory."""
    c.counts[base + Event.L1D_WRITEBACKS] += 1
    if c.lane.l2_inclusive:
        return  # L2 holds it Modified already
    line2 = line >> (c.lane.l2_shift - l1_shape(c, LOAD, SHIFT))
    first = l2_set(c, cpu, line2)
    way = l2_way(c, first, line2)
    if way >= 0:
        c.l2[first + way] = line2 << 2 | MODIFIED
    else:
        count_writeback(c, cpu, base, line2)


@kernel
def drop_line(c: Caches, cpu: int, line: int) -> None:
    """Remove an L2 line of a CPU from its caches. Without inclusion L1 may hold what L2 does not."""
    first = l2_set(c, cpu, line)
    way = l2_way(c, first, line)
    if way >= 0:
        remove_at(c.l2, first, c.lane.l2_ways, way)
    if way >= 0 or not c.lane.l2_inclusive:
        drop_first_level(c, cpu, line)


@kernel
def drop_frame_lines(c: Caches, frame: int) -> None:
    """All lines of a frame leave every cache and the directory; nothing is written back or counted."""
    lines = 1 << (c.params.page_shift - c.lane.l2_shift)
    for line in range(frame * lines, (frame + 1) * lines):
        for cpu in range(c.params.cpus):
            if c.directory.holders[c.lane.line + line] & bit(cpu) or not c.lane.l2_inclusive:
                drop_line(c, cpu, line)
        c.directory.holders[c.lane.line + line] = 0
        c.directory.owned[c.lane.line + line] = 0


@inlined
def drop_aliases(c: Caches, cpu: int, base: int, access: int, index: int, line: int) -> None:
    """Remove copies of a line at other virtual indices of the same L1 (the R10000 keeps one at most)."""
    tags, ways = c.l1, l1_shape(c, access, WAYS)
    page_lines = 1 << (c.params.page_shift - l1_shape(c, access, SHIFT))
    for other in range(index & (page_lines - 1), l1_shape(c, access, MASK) + 1, page_lines):
        if other == index:
            continue
        first = l1_set(c, cpu, access, other)
        way = way_of(tags, first, ways, line, 1)
        if way >= 0:
            c.counts[base + Event.ALIAS_EVICTIONS] += 1
            leave_front(c, cpu, access, other, line)
            dirty = tags[first + way] & 1
            remove_at(tags, first, ways, way)
            if dirty:
                write_back_l1(c, cpu, base, line)


@inlined
def fill_l1(c: Caches, cpu: int, base: int, access: int, index: int, line: int) -> None:
    """An L1 miss: L2 is accessed, aliases go, the line comes in and another may leave."""
    access_l2(c, cpu, base, access, line >> (c.lane.l2_shift - l1_shape(c, access, SHIFT)))
    drop_aliases(c, cpu, base, access, index, line)
    first = l1_set(c, cpu, access, index)
    way = free_or_last_way(c.l1, first, l1_shape(c, access, WAYS))
    victim = c.l1[first + way]
    if victim >= 0 and victim & 1:
        write_back_l1(c, cpu, base, victim >> 1)
    push_front(c.l1, first, way, line << 1 | (access == STORE))


@kernel
def access_l1(c: Caches, cpu: int, base: int, access: int, index: int, line: int) -> int:
    """Access one line of a first-level cache. Returns whether it is dirty then."""
    hits = base + L1_HITS + 2 * access
    first = l1_set(c, cpu, access, index)
    way = way_of(c.l1, first, l1_shape(c, access, WAYS), line, 1)
    if way < 0:
        c.counts[hits + 1] += 1
        fill_l1(c, cpu, base, access, index, line)
        return signed(access == STORE)
    c.counts[hits] += 1
    dirty = signed(c.l1[first + way] & 1)
    if access == STORE and not dirty:
        own_for_store(c, cpu, base, line >> (c.lane.l2_shift - l1_shape(c, access, SHIFT)))
        dirty = signed(1)
    push_front(c.l1, first, way, line << 1 | dirty)
    return dirty


@inlined
def access_lines(
    c: Caches, cpu: int, base: int, access: int, vaddr: np.uint64, maddr: np.uint64, size: np.uint64
) -> int:
    """Access the L1 lines of ``size`` bytes, all in one page: at ``vaddr``, which is ``maddr`` by frame slots.

    Returns whether the last one is dirty then.
    """
    shift = c.shapes[c.lane.shape + SHAPE * access + SHIFT]
    last_set = c.shapes[c.lane.shape + SHAPE * access + MASK]
    index = (vaddr >> shift) & last_set
    line = signed(maddr >> shift)
    last = signed((maddr + size - _ONE) >> shift)
    dirty = signed(0)
    while line <= last:
        dirty = access_l1(c, cpu, base, signed(access), signed(index), line)
        line += 1
        index = (index + _ONE) & last_set
    return dirty
