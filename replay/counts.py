"""The names of what is counted. ``docs/model.md`` defines each event; this file gives it its place in an array."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from discotrace.tracegen.schema import Service

I64 = npt.NDArray[np.int64]


class Event(IntEnum):
    """Column of the count array. Every event is an integer that only grows within a window."""

    INSTRUCTIONS = 0
    FETCH_ROWS = 1
    LOAD_ROWS = 2
    STORE_ROWS = 3
    TLB_HITS = 4
    TLB_MISSES = 5
    TLB_INVALID = 6
    GUEST_REFILLS = 7
    SOFTWARE_TLB_HITS = 8
    KERNEL_TLB_REFILLS = 9
    PAGE_TABLE_LOADS = 10
    TLB_WRITES_EMULATED = 11
    WIRED_WRITES_EMULATED = 12
    TLB_FLUSHES = 13
    L1I_HITS = 14
    L1I_MISSES = 15
    L1D_LOAD_HITS = 16
    L1D_LOAD_MISSES = 17
    L1D_STORE_HITS = 18
    L1D_STORE_MISSES = 19
    L1D_WRITEBACKS = 20
    ALIAS_EVICTIONS = 21
    L2_FETCH_HITS = 22
    L2_FETCH_LOCAL = 23
    L2_FETCH_REMOTE = 24
    L2_FETCH_DIRTY_LOCAL = 25
    L2_FETCH_DIRTY_REMOTE = 26
    L2_LOAD_HITS = 27
    L2_LOAD_LOCAL = 28
    L2_LOAD_REMOTE = 29
    L2_LOAD_DIRTY_LOCAL = 30
    L2_LOAD_DIRTY_REMOTE = 31
    L2_STORE_HITS = 32
    L2_STORE_LOCAL = 33
    L2_STORE_REMOTE = 34
    L2_STORE_DIRTY_LOCAL = 35
    L2_STORE_DIRTY_REMOTE = 36
    UPGRADES_LOCAL = 37
    UPGRADES_REMOTE = 38
    INVALIDATIONS = 39
    WRITEBACKS_LOCAL = 40
    WRITEBACKS_REMOTE = 41
    PRIVILEGED = 42
    PRIVILEGED_EMULATED = 43
    PRIVILEGED_PATCHED = 44
    ZERO_PAGE_CALLS = 45
    PAGES_MAPPED = 46
    FRAMES_ALLOCATED = 47
    VCPU_SWITCHES = 48
    SWITCHES = 49
    SERVICE_ENTRIES = 50
    LOCK_ACQUIRES = 51
    LOCK_RELEASES = 52
    BARRIERS = 53
    IDLE_INSTRUCTIONS = 54
    FREE_PAGES = 55
    FILE_READS = 56
    FILE_READ_BYTES = 57
    FILE_WRITES = 58
    FILE_WRITE_BYTES = 59
    PROCESS_EXITS = 60
    FREE_PAGE_CALLS = 61
    IDLE_SPINS = 62
    MONITOR_FAULTS = 63
    BUFFER_HITS = 64
    BUFFER_EVICTIONS = 65
    DISK_READS = 66
    DISK_READ_PAGES = 67
    DISK_PAGES_SHARED = 68
    DISK_READS_DONE = 69
    DISK_PAGES_DONE = 70
    DISK_WRITES = 71
    DISK_PAGES_LOGGED = 72
    NFS_REQUESTS = 73
    PAGES_REMAPPED = 74
    PAGES_COPIED = 75
    COW_FAULTS = 76
    HOT_PAGES = 77
    MIGRATIONS = 78
    REPLICATIONS = 79
    COLLAPSES = 80
    HOT_LEFT_WRITTEN = 81
    HOT_LEFT_CAPPED = 82
    HOT_LEFT_FULL = 83
    HOT_LEFT_PINNED = 84
    HOT_LEFT_OTHER = 85
    SHOOTDOWNS = 86
    TLBS_SHOT_DOWN = 87
    RESIDENT_PAGES = 88


# What caches count: all else is the same whatever the caches are.
FIRST_CACHE_EVENT, LAST_CACHE_EVENT = Event.L1I_HITS, Event.WRITEBACKS_REMOTE


class NodeEvent(IntEnum):
    """Column of the node array: what the memory of a node is asked for, whoever asks in whatever context."""

    MEMORY_REQUESTS = 0
    MEMORY_WRITEBACKS = 1


class DiskEvent(IntEnum):
    """Column of the disk array: what is asked of a disk, and how many files are made anew on it."""

    DISK_REQUESTS = 0
    DISK_PAGES = 1
    FILES_CREATED = 2


EVENT_NAMES = [event.name.lower() for kind in (Event, NodeEvent, DiskEvent) for event in kind]

# Contexts: 0 user, 1..19 kernel services, 31 idle; MONITOR + c is the monitor's own work on behalf of context c.
USER = 0
IDLE = 31
MONITOR = 32
N_CONTEXTS = 64
ANY_CONTEXT = "any"  # of events of nodes and disks, for which no context is kept

# Locks: 0 = none is held, 1..6 the guest kernel's own, OTHER_LOCK all others (of files and the like).
OTHER_LOCK = 7
N_LOCKS = 8
SEAT_COUNTERS = N_LOCKS * N_CONTEXTS * len(Event)  # how many counters of events a seat has


def context_name(context: int) -> str:
    """``user``, ``idle``, ``kernel:open``, ``monitor:user``, ``monitor:open`` ... for a context number."""
    if context >= MONITOR:
        return "monitor:" + context_name(context - MONITOR).removeprefix("kernel:")
    if context in (USER, IDLE):
        return "user" if context == USER else "idle"
    return "kernel:" + (Service(context).name.lower() if context in list(Service) else str(context))


CONTEXT_NAMES = [context_name(context) for context in range(N_CONTEXTS)]


class Counters(NamedTuple):
    """Non-zero counters of an array: their places in it, flattened, and their values."""

    places: I64
    values: I64


class WindowCounts(NamedTuple):
    """Counters of one window."""

    window: int
    events: Counters  # [seats, locks, contexts, events]
    nodes: Counters  # [seats, nodes, node events]
    disks: Counters  # [seats, disks, disk events]


class _Columns(NamedTuple):
    """Codes of the counters of one array: a number for each counter and column."""

    window: I64
    seat: I64
    lock: I64
    context: I64
    event: I64
    at: I64
    number: I64


@dataclass(frozen=True)
class Counts:
    """What one replay counted, by window, CPU, VM, lock, context, event, and node or disk.

    ``seats``: (CPU, VM) pairs, ascending; ``nodes`` of the machine; ``disks``: their numbers in the trace, ascending.
    """

    windows: list[WindowCounts]
    seats: list[tuple[int, int]]
    nodes: int
    disks: list[int]

    def table(self) -> pa.Table:
        """Tidy form: window, cpu, vm, lock, context, event, at, count; one row per non-zero counter, in that order.

        ``at`` is the node or disk of an event that has one, else 0.
        """
        parts = (self._events(), self._of_nodes(), self._of_disks())
        whole = _Columns._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((whole.at, whole.event, whole.context, whole.lock, whole.seat, whole.window))
        ordered = _Columns._make(column[order] for column in whole)
        cpus, vms = np.array(self.seats, np.uint16).reshape(-1, 2).T
        return pa.table(
            {
                "window": ordered.window,
                "cpu": cpus[ordered.seat],
                "vm": vms[ordered.seat],
                "lock": ordered.lock.astype(np.uint8),
                "context": _names(ordered.context, [*CONTEXT_NAMES, ANY_CONTEXT]),
                "event": _names(ordered.event, EVENT_NAMES),
                "at": ordered.at,
                "count": ordered.number,
            }
        )

    def at_disks(self) -> I64:
        """What was asked of each disk, by its number in the trace: [disks, disk events]."""
        asked = np.zeros((max(self.disks, default=0) + 1, len(DiskEvent)), np.int64)
        for one in self.windows:
            _, disk, event = np.unravel_index(
                one.disks.places, (len(self.seats), max(1, len(self.disks)), len(DiskEvent))
            )
            np.add.at(asked, (np.array(self.disks, np.int64)[disk], event), one.disks.values)
        return asked

    def _events(self) -> _Columns:
        window, places, values = _joined(self.windows, [one.events for one in self.windows])
        shape = (len(self.seats), N_LOCKS, N_CONTEXTS, len(Event))
        seat, lock, context, event = np.unravel_index(places, shape)
        return _Columns(window, seat, lock, context, event, np.zeros_like(places), values)

    def _of_nodes(self) -> _Columns:
        window, places, values = _joined(self.windows, [one.nodes for one in self.windows])
        seat, node, event = np.unravel_index(places, (len(self.seats), self.nodes, len(NodeEvent)))
        return _anywhere(window, seat, event + len(Event), node, values)

    def _of_disks(self) -> _Columns:
        window, places, values = _joined(self.windows, [one.disks for one in self.windows])
        seat, disk, event = np.unravel_index(places, (len(self.seats), max(1, len(self.disks)), len(DiskEvent)))
        at = np.array(self.disks, np.int64)[disk]
        return _anywhere(window, seat, event + len(Event) + len(NodeEvent), at, values)


def non_zero(counters: I64) -> Counters:
    """The counters of an array that are not zero."""
    places = np.flatnonzero(counters)
    return Counters(places, counters[places])


def with_cache_events_of(counters: Counters, of: Counters) -> Counters:
    """The counters of events that are no cache's, with the cache events of another hierarchy beside it."""
    kept, taken = ~_is_of_cache(counters.places), _is_of_cache(of.places)
    return Counters(
        np.concatenate([counters.places[kept], of.places[taken]]),
        np.concatenate([counters.values[kept], of.values[taken]]),
    )


def _is_of_cache(places: I64) -> npt.NDArray[np.bool_]:
    event = places % len(Event)
    is_of_cache: npt.NDArray[np.bool_] = (event >= FIRST_CACHE_EVENT) & (event <= LAST_CACHE_EVENT)
    return is_of_cache


def _joined(windows: list[WindowCounts], of_windows: list[Counters]) -> tuple[I64, I64, I64]:
    """Window, place and value of the counters of all windows."""
    sizes = [len(one.places) for one in of_windows]
    window = np.repeat(np.array([one.window for one in windows], np.int64), sizes)
    nothing = np.zeros(0, np.int64)
    places = np.concatenate([nothing, *(one.places for one in of_windows)])
    return window, places, np.concatenate([nothing, *(one.values for one in of_windows)])


def _anywhere(window: I64, seat: I64, event: I64, at: I64, number: I64) -> _Columns:
    """Columns of events of nodes or disks, which are kept by no lock and no context."""
    return _Columns(window, seat, np.zeros_like(seat), np.full_like(seat, N_CONTEXTS), event, at, number)


def _names(codes: I64, names: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names))
