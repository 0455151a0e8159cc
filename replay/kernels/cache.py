"""The caches of one CPU: L1I and L1D (virtually indexed, physically tagged) over L2 (physically indexed).

``docs/model.md`` section 6. Within a set the tags stand in order of use, the most recent first.
"""

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.directory import (
    evict_l2,
    home_is_near,
    l2_set,
    l2_way,
    obtain,
    remove_at,
    served_by,
    upgrade,
)
from discotrace.replay.kernels.state import MODIFIED, SHARED, State

L2_HITS = (int(Event.L2_FETCH_HITS), int(Event.L2_LOAD_HITS), int(Event.L2_STORE_HITS))
FETCH, LOAD, STORE = 0, 1, 2


@inlined
def push_front(tags: np.ndarray, first: int, way: int, tag: int) -> None:
    """Make ``tag`` the most recent of its set; what stood before ``way`` becomes less recent by one."""
    for w in range(way, 0, -1):
        tags[first + w] = tags[first + w - 1]
    tags[first] = tag


@inlined
def free_or_last_way(tags: np.ndarray, first: int, ways: int) -> int:
    """The first empty way of a set, else the least recent."""
    for way in range(ways):
        if tags[first + way] < 0:
            return way
    return ways - 1


@kernel
def access_l2(s: State, cpu: int, base: int, access: int, line: int) -> None:
    """An L1 miss reaches L2. Afterwards L2 holds the line as most recent, Modified if the access is a store."""
    p = s.params
    hits = L2_HITS[access]
    first = l2_set(s, cpu, line)
    way = l2_way(s, first, line)
    if way >= 0:
        s.counts[base + hits] += 1
        state = s.caches.l2[first + way] & 3
        if access == STORE:
            if state == SHARED:
                upgrade(s, cpu, base, line)
            state = MODIFIED
    else:
        s.counts[base + hits + served_by(s, cpu, line)] += 1
        s.frames.misses[(line >> (p.page_shift - p.l2_shift)) * p.cpus + cpu] += np.uint32(1)
        state = obtain(s, cpu, base, line, access == STORE)
        way = free_or_last_way(s.caches.l2, first, p.l2_ways)
        victim = s.caches.l2[first + way]
        if victim >= 0:
            evict_l2(s, cpu, base, victim)
    push_front(s.caches.l2, first, way, line << 2 | state)


@kernel
def own_for_store(s: State, cpu: int, base: int, line: int) -> None:
    """A store hits a clean L1D line: its L2 line becomes Modified, at the cost of an upgrade if it was Shared."""
    first = l2_set(s, cpu, line)
    way = l2_way(s, first, line)
    if way < 0:
        return
    if s.caches.l2[first + way] & 3 == SHARED:
        upgrade(s, cpu, base, line)
    s.caches.l2[first + way] = line << 2 | MODIFIED


@kernel
def write_back_l1(s: State, cpu: int, base: int, line: int) -> None:
    """A dirty victim leaves L1D for L2, or, where L2 is not inclusive and holds it no more, for memory."""
    s.counts[base + Event.L1D_WRITEBACKS] += 1
    if s.params.l2_inclusive:
        return  # L2 holds it Modified already
    line2 = line >> (s.params.l2_shift - s.params.l1d_shift)
    first = l2_set(s, cpu, line2)
    way = l2_way(s, first, line2)
    if way >= 0:
        s.caches.l2[first + way] = line2 << 2 | MODIFIED
    else:
        near = home_is_near(s, cpu, line2)
        s.counts[base + (Event.WRITEBACKS_LOCAL if near else Event.WRITEBACKS_REMOTE)] += 1


@kernel
def drop_aliases(
    s: State, tags: np.ndarray, cpu: int, base: int, sets: int, ways: int, index: int, line: int, page_lines: int
) -> None:
    """Remove copies of a line at other virtual indices of the same L1 (the R10000 keeps one at most)."""
    other = index & (page_lines - 1)
    while other < sets:
        first = (cpu * sets + other) * ways
        for way in range(ways):
            tag = tags[first + way]
            if other != index and tag >> 1 == line:
                s.counts[base + Event.ALIAS_EVICTIONS] += 1
                remove_at(tags, first, ways, way)
                if tag & 1:
                    write_back_l1(s, cpu, base, line)
                break
        other += page_lines


@kernel
def fetch_beyond_first_way(s: State, cpu: int, base: int, index: int, line: int) -> None:
    """A fetch that the most recent way of its L1I set does not hold."""
    p = s.params
    tags = s.caches.l1i
    first = (cpu * p.l1i_sets + index) * p.l1i_ways
    for way in range(1, p.l1i_ways):
        if tags[first + way] >> 1 == line:
            s.counts[base + Event.L1I_HITS] += 1
            push_front(tags, first, way, line << 1)
            return
    s.counts[base + Event.L1I_MISSES] += 1
    access_l2(s, cpu, base, FETCH, line >> (p.l2_shift - p.l1i_shift))
    page_lines = 1 << (p.page_shift - p.l1i_shift)
    if page_lines < p.l1i_sets:
        drop_aliases(s, tags, cpu, base, p.l1i_sets, p.l1i_ways, index, line, page_lines)
    push_front(tags, first, free_or_last_way(tags, first, p.l1i_ways), line << 1)


@kernel
def data_beyond_first_way(s: State, cpu: int, base: int, access: int, index: int, line: int) -> None:
    """A load or store that the most recent way of its L1D set does not answer by itself."""
    p = s.params
    tags = s.caches.l1d
    first = (cpu * p.l1d_sets + index) * p.l1d_ways
    stores = access - LOAD  # 1 for a store: its line becomes dirty, its events follow those of a load by 2
    line2 = line >> (p.l2_shift - p.l1d_shift)
    for way in range(p.l1d_ways):
        if tags[first + way] >> 1 == line:
            s.counts[base + Event.L1D_LOAD_HITS + 2 * stores] += 1
            dirty = tags[first + way] & 1
            if stores and not dirty:
                own_for_store(s, cpu, base, line2)
            push_front(tags, first, way, line << 1 | dirty | stores)
            return
    s.counts[base + Event.L1D_LOAD_MISSES + 2 * stores] += 1
    access_l2(s, cpu, base, access, line2)
    page_lines = 1 << (p.page_shift - p.l1d_shift)
    if page_lines < p.l1d_sets:
        drop_aliases(s, tags, cpu, base, p.l1d_sets, p.l1d_ways, index, line, page_lines)
    way = free_or_last_way(tags, first, p.l1d_ways)
    victim = tags[first + way]
    if victim >= 0 and victim & 1:
        write_back_l1(s, cpu, base, victim >> 1)
    push_front(tags, first, way, line << 1 | stores)


@inlined
def fetch_lines(s: State, cpu: int, base: int, vaddr: np.uint64, size: int, frame: int) -> None:
    """Fetch ``size`` bytes from ``vaddr`` on, all in the page of ``frame``: one access per L1I line."""
    p = s.params
    lines = p.page_shift - p.l1i_shift
    first = np.int64(vaddr & np.uint64((1 << p.page_shift) - 1))
    index = np.int64((vaddr >> np.uint64(p.l1i_shift)) & np.uint64(p.l1i_sets - 1))
    line = (frame << lines) + (first >> p.l1i_shift)
    last = (frame << lines) + ((first + size - 1) >> p.l1i_shift)
    while line <= last:
        if s.caches.l1i[(cpu * p.l1i_sets + index) * p.l1i_ways] >> 1 == line:
            s.counts[base + Event.L1I_HITS] += 1
        else:
            fetch_beyond_first_way(s, cpu, base, index, line)
        line += 1
        index = (index + 1) & (p.l1i_sets - 1)


@inlined
def data_lines(s: State, cpu: int, base: int, access: int, vaddr: np.uint64, size: int, frame: int) -> None:
    """Load or store ``size`` bytes from ``vaddr`` on, all in the page of ``frame``: one access per L1D line."""
    p = s.params
    lines = p.page_shift - p.l1d_shift
    first = np.int64(vaddr & np.uint64((1 << p.page_shift) - 1))
    index = np.int64((vaddr >> np.uint64(p.l1d_shift)) & np.uint64(p.l1d_sets - 1))
    line = (frame << lines) + (first >> p.l1d_shift)
    last = (frame << lines) + ((first + size - 1) >> p.l1d_shift)
    stores = access - LOAD
    while line <= last:
        tag = s.caches.l1d[(cpu * p.l1d_sets + index) * p.l1d_ways]
        if tag >> 1 == line and (tag & 1) >= stores:
            s.counts[base + Event.L1D_LOAD_HITS + 2 * stores] += 1
        else:
            data_beyond_first_way(s, cpu, base, access, index, line)
        line += 1
        index = (index + 1) & (p.l1d_sets - 1)
