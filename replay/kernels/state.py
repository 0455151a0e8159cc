"""The state of a machine under replay, as arrays that the kernels read and write in place.

Letters in shapes: C CPUs, V virtual CPUs, E TLB entries, G pages per TLB entry, S frames (dense slots), all arrays
one-dimensional and C-contiguous; ``[C, E]`` says that element (c, e) is at ``c * E + e``.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.replay.counts import N_CONTEXTS, Event
from discotrace.replay.machine import Cache, Machine

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]
T = TypeVar("T", bound=np.generic)

EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)  # key of an unused entry: keys are below 2^33
INVALID = -1  # frame of a page that an entry does not hold
PAGE_TABLE = np.uint64(1 << 32)  # added to a key: the page-table pages of that key
RECENT = 512  # slots of the per-CPU table of recent translations
STACK = 16  # how deep services nest

SHARED, EXCLUSIVE, MODIFIED = 1, 2, 3


class Params(NamedTuple):
    """Numbers of the machine that do not change during a replay. Shifts and masks are of bytes and sets."""

    vcpus: int
    cpus: int
    per_node: int
    page_shift: int
    tlb_entries: int
    tlb_wired: int
    group_shift: int  # log2 of pages per TLB entry
    asids: int
    l1i_ways: int
    l1i_sets: int
    l1i_shift: int
    l1d_ways: int
    l1d_sets: int
    l1d_shift: int
    l2_ways: int
    l2_sets: int
    l2_shift: int
    l2_inclusive: int
    refill_instructions: int


class Tlb(NamedTuple):
    """Hardware TLBs: tag (key, group) and a frame per page of the group."""

    key: U64  # [C, E]
    group: U64  # [C, E]
    frame: I64  # [C, E, 2]


class Recent(NamedTuple):
    """Translations that are known to need no refill: no part of the model, only quicker than a search of the TLB.

    A slot holds a page only while a valid TLB entry of the CPU maps it, or while the page is not translated at all.
    """

    key: U64  # [C, RECENT]
    vpn: U64  # [C, RECENT]
    frame: I64  # [C, RECENT]


class Caches(NamedTuple):
    """Tags; within a set the most recent line stands first, -1 = empty.

    First level: line * 2 + dirty. Second level: line * 4 + state.
    """

    l1i: I64  # [C, sets, ways]
    l1d: I64  # [C, sets, ways]
    l2: I64  # [C, sets, ways]


class Directory(NamedTuple):
    """Per L2 line of each frame in use: who holds it, and whether a single holder has it Exclusive or Modified."""

    holders: U64  # [S, lines of a page]: bit c = CPU c
    owned: U8  # [S, lines of a page]


class Frames(NamedTuple):
    """Machine frames in use, by slot."""

    mfn: I64  # [S]
    home: I64  # [S]
    misses: U32  # [S, C]: L2 misses by page and CPU, as FLASH counts them


class PageMap(NamedTuple):
    """Which pages are mapped to which frame: a hash table, open addressing, INVALID frame = free place."""

    key: U64  # [places], a power of two
    vpn: U64
    frame: I64


class Cpus(NamedTuple):
    """Registers of each CPU."""

    retired: I64  # [C]: instructions, for the Random register
    vcpu: I64  # [C]: who ran last, -1 = nobody
    user_key: U64  # [C]: key of the last user TLB access, EMPTY = none
    generation: I64  # [C]: of hardware ASIDs, from 1
    asids_used: I64  # [C]: in this generation
    asid_generation: I64  # [C, processes]: in which a process got its ASID


class Vcpus(NamedTuple):
    """Stack of services of each virtual CPU; the context is the innermost, or USER."""

    depth: I64  # [V]
    context: I64  # [V, STACK]; [v, 0] is USER


class State(NamedTuple):
    """All of it."""

    system: Any  # a NamedTuple of the system under test; its type chooses the system's functions
    params: Params
    counts: I64  # [C, contexts, events]
    tlb: Tlb
    recent: Recent
    caches: Caches
    directory: Directory
    frames: Frames
    pages: PageMap
    cpus: Cpus
    vcpus: Vcpus
    asids: U64  # declared processes, ascending


def new_state(system: Any, machine: Machine, vcpus: int, asids: list[int]) -> State:
    """The state at the beginning of a replay: everything empty, room for a few frames and pages."""
    m, c = machine, machine.cpu.count
    params = _params(machine, vcpus)
    return State(
        system=system,
        params=params,
        counts=np.zeros(c * N_CONTEXTS * len(Event), np.int64),
        tlb=Tlb(new_keys(c * m.tlb.entries), new_keys(c * m.tlb.entries), new_frames(c * m.tlb.entries * 2)),
        recent=Recent(new_keys(c * RECENT), new_keys(c * RECENT), new_frames(c * RECENT)),
        caches=Caches(_tags(m.l1i, c), _tags(m.l1d, c), _tags(m.l2, c)),
        directory=Directory(np.zeros(0, np.uint64), np.zeros(0, np.uint8)),
        frames=Frames(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint32)),
        pages=PageMap(new_keys(1024), new_keys(1024), new_frames(1024)),
        cpus=Cpus(
            retired=np.zeros(c, np.int64),
            vcpu=np.full(c, -1, np.int64),
            user_key=new_keys(c),
            generation=np.ones(c, np.int64),
            asids_used=np.zeros(c, np.int64),
            asid_generation=np.zeros(c * len(asids), np.int64),
        ),
        vcpus=Vcpus(np.zeros(vcpus, np.int64), np.zeros(vcpus * STACK, np.int64)),
        asids=np.array(sorted(asids), np.uint64),
    )


def with_room_for_frames(state: State, slots: int) -> State:
    """The same state, its per-frame arrays at least ``slots`` long (doubling)."""
    room = len(state.frames.mfn)
    if slots <= room:
        return state
    room = max(slots, 2 * room, 256)
    lines = 1 << (state.params.page_shift - state.params.l2_shift)
    return state._replace(
        directory=Directory(_longer(state.directory.holders, room * lines), _longer(state.directory.owned, room * lines)),
        frames=Frames(
            _longer(state.frames.mfn, room),
            _longer(state.frames.home, room),
            _longer(state.frames.misses, room * state.params.cpus),
        ),
    )


def _params(m: Machine, vcpus: int) -> Params:
    return Params(
        vcpus=vcpus,
        cpus=m.cpu.count,
        per_node=m.cpu.per_node,
        page_shift=_log2(m.page_bytes),
        tlb_entries=m.tlb.entries,
        tlb_wired=m.tlb.wired,
        group_shift=_log2(m.tlb.pages_per_entry),
        asids=1 << m.tlb.asid_bits,
        l1i_ways=m.l1i.ways,
        l1i_sets=m.l1i.sets,
        l1i_shift=_log2(m.l1i.line_b),
        l1d_ways=m.l1d.ways,
        l1d_sets=m.l1d.sets,
        l1d_shift=_log2(m.l1d.line_b),
        l2_ways=m.l2.ways,
        l2_sets=m.l2.sets,
        l2_shift=_log2(m.l2.line_b),
        l2_inclusive=int(m.l2.inclusive),
        refill_instructions=m.guest.refill_instructions,
    )


def _log2(power: int) -> int:
    return power.bit_length() - 1


def new_keys(n: int) -> U64:
    """``n`` unused keys, groups or page numbers."""
    return np.full(n, EMPTY, np.uint64)


def new_frames(n: int) -> I64:
    """``n`` frames, all INVALID."""
    return np.full(n, INVALID, np.int64)


def _tags(cache: Cache, cpus: int) -> I64:
    return np.full(cpus * cache.sets * cache.ways, -1, np.int64)


def _longer(array: npt.NDArray[T], length: int) -> npt.NDArray[T]:
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer
