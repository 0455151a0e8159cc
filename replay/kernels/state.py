"""The state of a machine under replay, as arrays that the kernels read and write in place.

Letters in shapes: C CPUs, N nodes with CPUs, M virtual machines, V virtual CPUs of the trace (streams of rows),
E TLB entries, S frames (dense slots), all arrays one-dimensional and C-contiguous; ``[C, E]`` says that element (c, e)
is at ``c * E + e``. Virtual CPU (m, v) of VM m has the number ``m * V + v``.

A *lane* is one cache hierarchy. A replay has one or several that see the same accesses side by side: all that comes
before the caches is done once. Lanes have shapes of their own, so ``[lanes][C, ...]`` means one lane's part after the
other, each where its ``Lane`` says.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]

EMPTY = np.uint64(0xFFFF_FFFF_FFFF_FFFF)  # key of an unused entry
INVALID = -1  # frame of a page that an entry does not hold
PAGE_TABLE = np.uint64(1 << 32)  # added to a key: the page-table pages of that key
KERNEL_KEYS = np.uint64(33)  # key of VM m's kernel addresses: m << KERNEL_KEYS
LARGE = np.uint64(1 << 62)  # added to a kernel key: tags of large kernel pages
HOT_ROOM = 32  # hot pages noted in one row at most
RECENT = 1024  # slots of the per-CPU table of recent translations
FIRST, MASK, WAYS, SHIFT, SHAPE = 0, 1, 2, 3, 4  # a first-level cache: first tag, sets - 1, ways, log2 of line bytes
# A part of the front: FIRST place, MASK, the LOWEST bit of an address that chooses a place, SHIFT; and the bits of a
# virtual address that must agree too: from COLOUR_FROM on, a mask of as many as there are.
LOWEST, COLOUR_FROM, COLOURS, FRONT_SHAPE = 2, 4, 5, 6
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
    refill_instructions: int
    lanes: int
    front_lines: int  # places of a CPU in the front


class Tlb(NamedTuple):
    """Hardware TLBs: tag (key, group) and a frame per page of the group."""

    key: U64  # [C, E]
    group: U64  # [C, E]
    frame: I64  # [C, E, 2]


class Lane(NamedTuple):
    """One cache hierarchy: its shape, and where its parts of the arrays begin."""

    number: int
    counter: int  # of events; at 0 in the first lane
    shape: int  # of its L1 that serves a FETCH; those for LOAD and STORE follow
    l1_lines: int  # of a CPU's L1I and L1D together
    l2: int  # first tag
    l2_ways: int
    l2_sets: int
    l2_shift: int
    l2_inclusive: int
    line: int  # of the first frame, in the directory


class Directory(NamedTuple):
    """Per L2 line of each frame in use: who holds it, and whether a single holder has it Exclusive or Modified."""

    holders: U64  # [lanes][S, lines of a page]: bit c = CPU c
    owned: U8  # [lanes][S, lines of a page]


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
    lane: Lane  # the one that the functions for one lane work on
    lanes: I64  # [lanes, fields of Lane]
    counts: I64  # [lanes, seats, locks, contexts, events]: what is no cache's is counted in the first lane alone
    node_counts: I64  # [lanes, seats, nodes, node events]
    front: I64  # [C, places for L1I, then for L1D]: line * 2 + dirty, see ``front``
    front_shapes: U64  # [access, FRONT_SHAPE]: of its part for a FETCH, LOAD or STORE
    l1: I64  # [lanes][C, sets and ways of L1I, then of L1D]: line * 2 + dirty
    shapes: U64  # [lanes, access, SHAPE]: of the L1 that serves a FETCH, LOAD or STORE; FIRST, MASK, WAYS, SHIFT
    l2: I64  # [lanes][C, sets, ways]: line * 4 + state
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


def new_keys(n: int) -> U64:
    """``n`` unused keys, groups or page numbers."""
    return np.full(n, EMPTY, np.uint64)


def new_frames(n: int) -> I64:
    """``n`` frames, all INVALID."""
    return np.full(n, INVALID, np.int64)
