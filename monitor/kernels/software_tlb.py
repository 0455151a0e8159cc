"""Disco's second-level software TLB (D 4.1): a table per virtual CPU that answers most TLB misses of its guest.

``docs/model.md`` section 5. Within a set the most recent entry stands first.
"""

from typing import NamedTuple

import numpy as np

from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.directory import bit
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import I64, INVALID, U64, State
from discotrace.replay.kernels.vms import cpu_of, vm_of_key

_KEY_MASK = np.uint64((1 << 33) - 1)  # the kernels of all VMs use the same sets
_KEY_FACTOR = np.uint64(2654435761)  # 2^32 / golden ratio (Knuth, TAOCP 3, 6.4): spreads the processes over the sets


class Disco(NamedTuple):
    """The monitor's numbers and its second-level software TLBs."""

    sets: int  # 0 = there is no software TLB
    ways: int
    key: U64  # [virtual CPUs, sets, ways]
    group: U64  # [virtual CPUs, sets, ways]
    frame: I64  # [virtual CPUs, sets, ways, 2]
    refill_instructions: int
    refill_registers: int
    patch_registers: int
    zero_page_hint: int
    free_page_hint: int
    idle_hint: int


@inlined
def first_of_set(s: State, vcpu: int, key: np.uint64, group: np.uint64) -> int:
    """Where the set of a tag begins in the virtual CPU's table."""
    sets, ways = s.system.sets, s.system.ways
    index = signed((group + (key & _KEY_MASK) * _KEY_FACTOR) & np.uint64(sets - 1))
    return signed((vcpu * sets + index) * ways)


@inlined
def make_most_recent(s: State, first: int, way: int, key: np.uint64, group: np.uint64, frames: tuple[int, int]) -> None:
    """Put an entry at the front of its set in place of the one at ``way``."""
    t = s.system
    for at in range(first + way, first, -1):
        t.key[at] = t.key[at - 1]
        t.group[at] = t.group[at - 1]
        t.frame[2 * at] = t.frame[2 * at - 2]
        t.frame[2 * at + 1] = t.frame[2 * at - 1]
    t.key[first] = key
    t.group[first] = group
    t.frame[2 * first] = frames[0]
    t.frame[2 * first + 1] = frames[1]


@inlined
def way_of(s: State, first: int, key: np.uint64, group: np.uint64) -> int:
    """Way of the set that begins at ``first`` with this tag, -1 if there is none."""
    for way in range(s.system.ways):
        if s.system.group[first + way] == group and s.system.key[first + way] == key:
            return way
    return -1


@kernel
def look_up(s: State, vcpu: int, key: np.uint64, group: np.uint64, page: int) -> tuple[int, int]:
    """Frames of a group if its entry is there with ``page`` valid, and is the most recent now; else INVALID twice."""
    if s.system.sets == 0:
        return INVALID, INVALID
    first = first_of_set(s, vcpu, key, group)
    way = way_of(s, first, key, group)
    if way < 0 or s.system.frame[2 * (first + way) + page] == INVALID:
        return INVALID, INVALID
    frames = (s.system.frame[2 * (first + way)], s.system.frame[2 * (first + way) + 1])
    make_most_recent(s, first, way, key, group, frames)
    return frames


@kernel
def write(s: State, vcpu: int, key: np.uint64, group: np.uint64, frames: tuple[int, int]) -> None:
    """Enter a group as most recent, in place of its own entry or of the least recent one."""
    if s.system.sets == 0:
        return
    first = first_of_set(s, vcpu, key, group)
    way = way_of(s, first, key, group)
    if way < 0:
        way = s.system.ways - 1
    make_most_recent(s, first, way, key, group, frames)


@kernel
def make_invalid(s: State, vcpu: int, key: np.uint64, group: np.uint64, page: int) -> None:
    """A page of a group is not valid any more; the entry, if there is one, stays where it is."""
    if s.system.sets == 0:
        return
    first = first_of_set(s, vcpu, key, group)
    way = way_of(s, first, key, group)
    if way >= 0:
        s.system.frame[2 * (first + way) + page] = INVALID


@kernel
def forget_page(s: State, key: np.uint64, vpn: np.uint64, cpus: np.uint64) -> None:
    """A page is not valid any more for the virtual CPUs that run on ``cpus``: bit c = CPU c."""
    vm = vm_of_key(s, key)
    page = signed(vpn & np.uint64((1 << s.params.group_shift) - 1))
    for stream in range(s.params.streams):
        if cpus & bit(cpu_of(s, vm, stream)):
            make_invalid(s, vm * s.params.streams + stream, key, vpn >> np.uint64(s.params.group_shift), page)
