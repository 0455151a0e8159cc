"""Directory coherence over all second-level caches, and what an L1 loses when its L2 does.

``docs/model.md`` section 7. The directory is exact: it knows who holds each line and whether one holder owns it.
"""

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.state import EXCLUSIVE, MODIFIED, SHARED, State

_ONE = np.uint64(1)

# Who serves a miss: offset from L2_*_HITS.
LOCAL, REMOTE, DIRTY_LOCAL, DIRTY_REMOTE = 1, 2, 3, 4

# What is done to the first-level lines under a line of another CPU's L2.
REMOVE, CLEAN = 0, 1


@inlined
def bit(cpu: int) -> np.uint64:
    """The directory's bit of a CPU."""
    return _ONE << np.uint64(cpu)


@inlined
def remove_at(tags: np.ndarray, first: int, ways: int, way: int) -> None:
    """Take out one way of the set that begins at ``first``; less recent lines move up."""
    for w in range(way, ways - 1):
        tags[first + w] = tags[first + w + 1]
    tags[first + ways - 1] = -1


@inlined
def l2_set(s: State, cpu: int, line: int) -> int:
    """Where the CPU's L2 set of a line begins: indexed with the machine address."""
    lines = s.params.page_shift - s.params.l2_shift
    machine_line = (s.frames.mfn[line >> lines] << lines) | (line & ((1 << lines) - 1))
    return (cpu * s.params.l2_sets + (machine_line & (s.params.l2_sets - 1))) * s.params.l2_ways


@inlined
def l2_way(s: State, first: int, line: int) -> int:
    """Way in which the set that begins at ``first`` holds a line, -1 if it does not."""
    for way in range(s.params.l2_ways):
        if s.caches.l2[first + way] >> 2 == line:
            return way
    return -1


@inlined
def home_is_near(s: State, cpu: int, line: int) -> bool:
    """Whether the home of an L2 line is the CPU's own node."""
    return s.frames.home[line >> (s.params.page_shift - s.params.l2_shift)] == cpu // s.params.per_node


@kernel
def drop_l1_lines(tags: np.ndarray, cpu: int, sets: int, ways: int, first_line: int, lines: int, page_lines: int) -> int:
    """Remove first-level lines ``first_line`` .. at every virtual index they may have. Returns how many were dirty."""
    dirty = 0
    for line in range(first_line, first_line + lines):
        index = line & (page_lines - 1) & (sets - 1)
        while index < sets:
            first = (cpu * sets + index) * ways
            for way in range(ways):
                if tags[first + way] >> 1 == line:
                    dirty += tags[first + way] & 1
                    remove_at(tags, first, ways, way)
                    break
            index += page_lines
    return dirty


@kernel
def clean_l1_lines(tags: np.ndarray, cpu: int, sets: int, ways: int, first_line: int, lines: int, page_lines: int) -> None:
    """Make first-level lines ``first_line`` .. clean at every virtual index they may have."""
    for line in range(first_line, first_line + lines):
        index = line & (page_lines - 1) & (sets - 1)
        while index < sets:
            first = (cpu * sets + index) * ways
            for way in range(ways):
                if tags[first + way] >> 1 == line:
                    tags[first + way] &= ~1
            index += page_lines


@kernel
def drop_first_level(s: State, cpu: int, line: int) -> int:
    """Remove what L1I and L1D hold of an L2 line. Returns how many lines of L1D were dirty."""
    p = s.params
    shift = p.l2_shift - p.l1i_shift
    drop_l1_lines(s.caches.l1i, cpu, p.l1i_sets, p.l1i_ways, line << shift, 1 << shift, 1 << (p.page_shift - p.l1i_shift))
    shift = p.l2_shift - p.l1d_shift
    return drop_l1_lines(
        s.caches.l1d, cpu, p.l1d_sets, p.l1d_ways, line << shift, 1 << shift, 1 << (p.page_shift - p.l1d_shift)
    )


@kernel
def invalidate_others(s: State, cpu: int, base: int, line: int) -> None:
    """Remove a line from every other CPU that holds it."""
    others = s.directory.holders[line] & ~bit(cpu)
    other = 0
    while others:
        if others & _ONE:
            first = l2_set(s, other, line)
            remove_at(s.caches.l2, first, s.params.l2_ways, l2_way(s, first, line))
            drop_first_level(s, other, line)
            s.counts[base + Event.INVALIDATIONS] += 1
        others >>= _ONE
        other += 1
    s.directory.holders[line] &= bit(cpu)


@kernel
def upgrade(s: State, cpu: int, base: int, line: int) -> None:
    """A store to a Shared line of the CPU's L2: everybody else loses it; the caller makes it Modified."""
    near = home_is_near(s, cpu, line)
    s.counts[base + (Event.UPGRADES_LOCAL if near else Event.UPGRADES_REMOTE)] += 1
    invalidate_others(s, cpu, base, line)
    s.directory.owned[line] = 1


@kernel
def owner(s: State, line: int) -> int:
    """The CPU that holds an owned line: the only bit of its holders."""
    holders = s.directory.holders[line]
    cpu = 0
    while holders != _ONE:
        holders >>= _ONE
        cpu += 1
    return cpu


@kernel
def share_owned(s: State, line: int) -> None:
    """The owner of a line becomes one of its sharers: its L2 line Shared, its L1D lines clean."""
    p = s.params
    cpu = owner(s, line)
    first = l2_set(s, cpu, line)
    s.caches.l2[first + l2_way(s, first, line)] = line << 2 | SHARED
    shift = p.l2_shift - p.l1d_shift
    clean_l1_lines(
        s.caches.l1d, cpu, p.l1d_sets, p.l1d_ways, line << shift, 1 << shift, 1 << (p.page_shift - p.l1d_shift)
    )
    s.directory.owned[line] = 0


@kernel
def served_by(s: State, cpu: int, line: int) -> int:
    """Who serves the CPU's miss: another cache that holds the line Modified, else its home memory."""
    if s.directory.owned[line]:
        other = owner(s, line)
        first = l2_set(s, other, line)
        if s.caches.l2[first + l2_way(s, first, line)] & 3 == MODIFIED:
            return DIRTY_LOCAL if other // s.params.per_node == cpu // s.params.per_node else DIRTY_REMOTE
    return LOCAL if home_is_near(s, cpu, line) else REMOTE


@kernel
def obtain(s: State, cpu: int, base: int, line: int, is_store: bool) -> int:
    """Directory's part of a miss. Returns the state in which the CPU gets the line."""
    mine = bit(cpu)
    if is_store:
        invalidate_others(s, cpu, base, line)
        s.directory.holders[line] = mine
        s.directory.owned[line] = 1
        return MODIFIED
    if s.directory.owned[line]:
        share_owned(s, line)
    alone = s.directory.holders[line] == 0
    s.directory.holders[line] |= mine
    s.directory.owned[line] = alone
    return EXCLUSIVE if alone else SHARED


@kernel
def evict_l2(s: State, cpu: int, base: int, tag: int) -> None:
    """A line leaves the CPU's L2 because its set is full. ``tag`` = line * 4 + state."""
    line = tag >> 2
    s.directory.holders[line] &= ~bit(cpu)
    if tag & 3 != SHARED:
        s.directory.owned[line] = 0
    if tag & 3 == MODIFIED:
        near = home_is_near(s, cpu, line)
        s.counts[base + (Event.WRITEBACKS_LOCAL if near else Event.WRITEBACKS_REMOTE)] += 1
    if s.params.l2_inclusive:
        s.counts[base + Event.L1D_WRITEBACKS] += drop_first_level(s, cpu, line)
