"""The state of a machine under replay, as arrays that the kernels read and write in place.

Letters in shapes: C CPUs, N nodes with CPUs, M virtual machines, V virtual CPUs of the trace (streams of rows),
E TLB entries, S frames (dense slots), all arrays one-dimensional and C-contiguous; ``[C, E]`` says that element (c, e)
is at ``c * E + e``. Virtual CPU (m, v) of VM m has the number ``m * V + v``.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.replay.counts import N_LOCKS, SEAT_COUNTERS, NodeEvent
from discotrace.replay.machine import Cache, Machine
from discotrace.replay.partition import Partition

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]
T = TypeVar("T", bound=np.generic)

EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)  # key of an unused entry
INVALID = -1  # frame of a page that an entry does not hold
PAGE_TABLE = np.uint64(1 << 32)  # added to a key: the page-table pages of that key
KERNEL_KEYS = np.uint64(33)  # key of VM m's kernel addresses: m << KERNEL_KEYS
LARGE = np.uint64(1 << 62)  # added to a kernel key: tags of large kernel pages
HOT_ROOM = 32  # hot pages noted in one row at most
RECENT = 1024  # slots of the per-CPU table of recent translations
FIRST, MASK, WAYS, SHIFT, SHAPE = 0, 1, 2, 3, 4  # a first-level cache: first tag, sets - 1, ways, log2 of line bytes
STACK = 16  # how deep services nest
LOCKS_HELD = 16  # by a virtual CPU of the trace at once, at most

SHARED, EXCLUSIVE, MODIFIED = 1, 2, 3


class Params(NamedTuple):
    """Numbers of the machine that do not change during a replay. Shifts and masks are of bytes and sets."""

    streams: int  # V
    cpus: int
    per_node: int
    cpu_nodes: int  # N
    nodes: int  # all of them
    page_shift: int
    kernel_page_shift: int  # of the pages that map KSEG0 under a monitor; at least page_shift
    hot_trigger: int  # heat at which a remote CPU makes a page hot; 0 = never
    tlb_entries: int
    tlb_wired: int
    group_shift: int  # log2 of pages per TLB entry
    asids: int
    l1_lines: int  # of L1I and L1D together
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


class Directory(NamedTuple):
    """Per L2 line of each frame in use: who holds it, and whether a single holder has it Exclusive or Modified."""

    holders: U64  # [S, lines of a page]: bit c = CPU c
    owned: U8  # [S, lines of a page]


class Frames(NamedTuple):
    """Machine frames in use, by slot."""

    mfn: I64  # [S]
    home: I64  # [S]
    near: I64  # [S, N]: the slot that CPUs of a node use for a page whose master this is: their copy, or itself
    read_only: U8  # [S]: a store is a fault
    misses: U32  # [S, C]: L2 misses by page and CPU
    heat: U32  # [S, C]: the same since the monitor last set it to zero, as FLASH counts them
    writes: U32  # [S, C]: store misses and upgrades likewise
    hot: I64  # [1 + 2 * HOT_ROOM]: how many pages became hot in this row, then slot and CPU of each


class Caches(NamedTuple):
    """All that an access needs once it is translated. In a set the most recent tag stands first, -1 = empty."""

    params: Params
    counts: I64  # [seats, locks, contexts, events]
    node_counts: I64  # [seats, nodes, node events]
    l1: I64  # [C, sets and ways of L1I, then of L1D]: line * 2 + dirty
    shapes: U64  # [access, SHAPE]: of the L1 that serves a FETCH, LOAD or STORE; places FIRST, MASK, WAYS, SHIFT
    l2: I64  # [C, sets, ways]: line * 4 + state
    directory: Directory
    frames: Frames


class PageMap(NamedTuple):
    """Which pages are mapped to which frame: a hash table, open addressing, INVALID frame = free place."""

    key: U64  # [places], a power of two
    vpn: U64
    frame: I64


class Cpus(NamedTuple):
    """Registers of each CPU."""

    retired: I64  # [C]: instructions, for the Random register
    vcpu: I64  # [C]: number of the virtual CPU that ran last, -1 = nobody
    plane: I64  # [C]: where the counters of its VM on this CPU under the lock held are, in units of contexts x events
    user_key: U64  # [C]: key of the last user TLB access, EMPTY = none
    generation: I64  # [C]: of hardware ASIDs, from 1
    asids_used: I64  # [C]: in this generation
    asid_generation: I64  # [C, processes]: in which a process got its ASID


class Streams(NamedTuple):
    """Virtual CPUs of the trace: stack of services, the context is the innermost or USER; locks held; whose rows."""

    depth: I64  # [V]
    context: I64  # [V, STACK]; [v, 0] is USER
    left_out: I64  # [V]: depth of the outermost service whose rows are not executed, 0 = none
    vm: I64  # [V]: VM of the row before
    locks_held: I64  # [V]: how many
    locks: I64  # [V, LOCKS_HELD]: their numbers in the trace, in the order in which they were taken


class Vms(NamedTuple):
    """Virtual machines."""

    first_cpu: I64  # [M]
    width: I64  # [M]: CPUs
    dead: U8  # [M]
    seat: I64  # [M, C]: number of (CPU, VM) among those that counts are kept for
    of_process: I64  # [processes], ascending by asid


class State(NamedTuple):
    """All of it."""

    system: Any  # a NamedTuple of the system under test; its type chooses the system's functions
    params: Params
    counts: I64  # [seats, locks, contexts, events]
    planes_used: U8  # [seats, locks]: whose counters this window may have changed
    tlb: Tlb
    recent: U64  # [C, RECENT, 2]: see ``tlb.remember``
    caches: Caches
    pages: PageMap
    cpus: Cpus
    streams: Streams
    vms: Vms
    asids: U64  # declared processes, ascending


def new_state(system: Any, machine: Machine, parts: Partition, asids: list[int], hot_trigger: int) -> State:
    """The state at the beginning of a replay: everything empty, room for a few frames and pages."""
    m, c = machine, machine.cpu.count
    params = _params(machine, parts.streams, hot_trigger)
    counts = np.zeros(len(parts.seats) * SEAT_COUNTERS, np.int64)
    return State(
        system=system,
        params=params,
        counts=counts,
        planes_used=np.zeros(len(parts.seats) * N_LOCKS, np.uint8),
        tlb=Tlb(new_keys(c * m.tlb.entries), new_keys(c * m.tlb.entries), new_frames(c * m.tlb.entries * 2)),
        recent=new_keys(c * RECENT * 2),
        caches=Caches(
            params=params,
            counts=counts,
            node_counts=np.zeros(len(parts.seats) * m.nodes * len(NodeEvent), np.int64),
            l1=_no_lines(c * params.l1_lines),
            shapes=_shapes(m),
            l2=_no_lines(c * _lines(m.l2)),
            directory=Directory(np.zeros(0, np.uint64), np.zeros(0, np.uint8)),
            frames=_no_frames(),
        ),
        pages=PageMap(new_keys(1024), new_keys(1024), new_frames(1024)),
        cpus=Cpus(
            retired=np.zeros(c, np.int64),
            vcpu=np.full(c, -1, np.int64),
            plane=np.zeros(c, np.int64),
            user_key=new_keys(c),
            generation=np.ones(c, np.int64),
            asids_used=np.zeros(c, np.int64),
            asid_generation=np.zeros(c * len(asids), np.int64),
        ),
        streams=_streams(parts),
        vms=_vms(parts),
        asids=np.array(sorted(asids), np.uint64),
    )


def with_room_for_frames(state: State, slots: int) -> State:
    """The same state, its per-frame arrays at least ``slots`` long (doubling)."""
    caches = state.caches
    room = len(caches.frames.mfn)
    if slots <= room:
        return state
    room = max(slots, 2 * room, 256)
    lines = room << (state.params.page_shift - state.params.l2_shift)
    directory = Directory(_longer(caches.directory.holders, lines), _longer(caches.directory.owned, lines))
    old = caches.frames
    by_cpu = room * state.params.cpus
    frames = Frames(
        _longer(old.mfn, room),
        _longer(old.home, room),
        _longer(old.near, room * state.params.cpu_nodes),
        _longer(old.read_only, room),
        _longer(old.misses, by_cpu),
        _longer(old.heat, by_cpu),
        _longer(old.writes, by_cpu),
        old.hot,
    )
    return state._replace(caches=caches._replace(directory=directory, frames=frames))


def _streams(parts: Partition) -> Streams:
    v = parts.streams
    vm = np.array(parts.vm_at_first, np.int64)
    return Streams(
        depth=np.zeros(v, np.int64),
        context=np.zeros(v * STACK, np.int64),
        left_out=np.zeros(v, np.int64),
        vm=vm,
        locks_held=np.zeros(v, np.int64),
        locks=np.zeros(v * LOCKS_HELD, np.int64),
    )


def _vms(parts: Partition) -> Vms:
    seat = np.zeros(parts.vms * parts.cpus, np.int64)
    for number, (cpu, vm) in enumerate(parts.seats):
        seat[vm * parts.cpus + cpu] = number
    return Vms(
        first_cpu=np.array([parts.first_cpu(vm) for vm in range(parts.vms)], np.int64),
        width=np.array([parts.width(vm) for vm in range(parts.vms)], np.int64),
        dead=np.zeros(parts.vms, np.uint8),
        seat=seat,
        of_process=np.array(parts.vm_of_process, np.int64),
    )


def _no_frames() -> Frames:
    i64, u32 = np.zeros(0, np.int64), np.zeros(0, np.uint32)
    hot = np.zeros(1 + 2 * HOT_ROOM, np.int64)
    return Frames(i64, i64, i64, np.zeros(0, np.uint8), u32, u32, u32, hot)


def _params(m: Machine, streams: int, hot_trigger: int) -> Params:
    return Params(
        streams=streams,
        cpus=m.cpu.count,
        per_node=m.cpu.per_node,
        cpu_nodes=m.cpu_nodes,
        nodes=m.nodes,
        page_shift=_log2(m.page_bytes),
        kernel_page_shift=_log2(max(m.page_bytes, m.monitor.kernel_page_kib * 1024)),
        hot_trigger=hot_trigger,
        tlb_entries=m.tlb.entries,
        tlb_wired=m.tlb.wired,
        group_shift=_log2(m.tlb.pages_per_entry),
        asids=1 << m.tlb.asid_bits,
        l1_lines=_lines(m.l1i) + _lines(m.l1d),
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


def _lines(cache: Cache) -> int:
    return cache.sets * cache.ways


def _no_lines(n: int) -> I64:
    return np.full(n, -1, np.int64)


def _shapes(m: Machine) -> U64:
    fetch = (0, m.l1i.sets - 1, m.l1i.ways, _log2(m.l1i.line_b))
    data = (_lines(m.l1i), m.l1d.sets - 1, m.l1d.ways, _log2(m.l1d.line_b))
    return np.array([*fetch, *data, *data], np.uint64)


def _longer(array: npt.NDArray[T], length: int) -> npt.NDArray[T]:
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer
