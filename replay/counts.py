"""The names of what is counted. ``docs/model.md`` defines each event; this file gives it its place in an array."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from discotrace.tracegen.schema import Service


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


EVENT_NAMES = [event.name.lower() for event in Event]

# Contexts: 0 user, 1..19 kernel services, 31 idle; MONITOR + c is the monitor's own work on behalf of context c.
USER = 0
IDLE = 31
MONITOR = 32
N_CONTEXTS = 64


def context_name(context: int) -> str:
    """``user``, ``idle``, ``kernel:open``, ``monitor:user``, ``monitor:open`` ... for a context number."""
    if context >= MONITOR:
        return "monitor:" + context_name(context - MONITOR).removeprefix("kernel:")
    if context in (USER, IDLE):
        return "user" if context == USER else "idle"
    return "kernel:" + (Service(context).name.lower() if context in list(Service) else str(context))


CONTEXT_NAMES = [context_name(context) for context in range(N_CONTEXTS)]


class WindowCounts(NamedTuple):
    """Non-zero counters of one window: places in the flattened [seats, contexts, events] array, and their values."""

    window: int
    places: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Counts:
    """What one replay counted, by window, CPU, VM, context and event. ``seats``: (CPU, VM) pairs, ascending."""

    windows: list[WindowCounts]
    seats: list[tuple[int, int]]

    def table(self) -> pa.Table:
        """Tidy form: window, cpu, vm, context, event, count; one row per non-zero counter, in that order."""
        sizes = [len(w.places) for w in self.windows]
        window = np.repeat(np.array([w.window for w in self.windows], np.int64), sizes)
        places = np.concatenate([w.places for w in self.windows]) if self.windows else np.zeros(0, np.int64)
        values = np.concatenate([w.values for w in self.windows]) if self.windows else np.zeros(0, np.int64)
        seat, context, event = np.unravel_index(places, (len(self.seats), N_CONTEXTS, len(Event)))
        cpus, vms = np.array(self.seats, np.uint16).reshape(-1, 2).T
        return pa.table(
            {
                "window": window,
                "cpu": cpus[seat],
                "vm": vms[seat],
                "context": _names(context, CONTEXT_NAMES),
                "event": _names(event, EVENT_NAMES),
                "count": values,
            }
        )


def _names(codes: npt.NDArray[np.intp], names: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names))
