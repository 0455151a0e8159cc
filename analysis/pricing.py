"""What every counted event is priced with, and to which part of the time it belongs.

Prices of what CPUs do. What they wait for (memory under load, kernel locks, disks) is in ``waiting``.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discotrace.analysis.prices import Prices
from discotrace.replay.counts import ANY_CONTEXT, CONTEXT_NAMES, EVENT_NAMES, IDLE, MONITOR, USER, Event, context_name

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Parts of the time, in the order of reports. The monitor's parts are those of table 2 of the Disco paper, and after
# them what table 2 does not have.
PARTS = (
    "user",
    "user_stall",
    "kernel",
    "kernel_stall",
    "monitor_tlb",
    "monitor_tlb_writes",
    "monitor_privileged",
    "monitor_calls",
    "monitor_kernel_tlb",
    "monitor_vcpu_switches",
    "monitor_faults",
    "monitor_placement",
    "monitor_io",
    "idle_loop",
)
SYNC_PART = "sync"
IDLE_PART = "idle"
ALL_PARTS = (*PARTS[:4], SYNC_PART, *PARTS[4:], IDLE_PART)
IS_MONITOR = np.array([int(part.startswith("monitor")) for part in PARTS])
STALL_PARTS = [PARTS.index("user_stall"), PARTS.index("kernel_stall")]
STALLS = {  # of user and kernel, by who served them, and the prices that say so
    "second_level": ("l2.hit_ns",),
    "local": ("memory.local_ns", "memory.dirty_local_ns", "memory.upgrade_local_ns"),
    "remote": ("memory.remote_ns", "memory.dirty_remote_ns", "memory.upgrade_remote_ns"),
}
NATIVE = "native"
LEFT_ALONE = ("WRITTEN", "CAPPED", "FULL", "PINNED", "OTHER")  # why a hot page stays where it is
CONTEXTS = [*CONTEXT_NAMES, ANY_CONTEXT]
FREE = -1  # instead of a price: the event costs nothing by itself


class Tariff(NamedTuple):
    """The configuration key of one event's price, and the part of the monitor's time it is.

    No part means that it is an instruction or a stall, and belongs to whoever the context says.
    """

    event: Event
    key: str
    monitor_part: str | None = None


INSTRUCTION = "cpu.cycles_per_instruction"
SERVED = {
    "HITS": "l2.hit_ns",
    "LOCAL": "memory.local_ns",
    "REMOTE": "memory.remote_ns",
    "DIRTY_LOCAL": "memory.dirty_local_ns",
    "DIRTY_REMOTE": "memory.dirty_remote_ns",
}
MACHINE_TARIFFS = [
    Tariff(Event.INSTRUCTIONS, INSTRUCTION),
    *(
        Tariff(Event[f"L2_{access}_{where}"], key)
        for access in ("FETCH", "LOAD", "STORE")
        for where, key in SERVED.items()
    ),
    Tariff(Event.UPGRADES_LOCAL, "memory.upgrade_local_ns"),
    Tariff(Event.UPGRADES_REMOTE, "memory.upgrade_remote_ns"),
]
# What the monitor does. Natively a disk request or a change of virtual CPU is in the OS's own instructions.
MONITOR_TARIFFS = [
    Tariff(event, f"monitor.{key}", f"monitor_{part}")
    for event, key, part in [
        (Event.SOFTWARE_TLB_HITS, "software_tlb_hit_cycles", "tlb"),
        (Event.TLB_WRITES_EMULATED, "tlb_write_cycles", "tlb_writes"),
        (Event.WIRED_WRITES_EMULATED, "wired_write_cycles", "tlb_writes"),
        (Event.PRIVILEGED_EMULATED, "privileged_cycles", "privileged"),
        (Event.PRIVILEGED_PATCHED, "patched_cycles", "privileged"),
        (Event.ZERO_PAGE_CALLS, "zero_page_cycles", "calls"),
        (Event.FREE_PAGE_CALLS, "free_page_cycles", "calls"),
        (Event.KERNEL_TLB_REFILLS, "kernel_tlb_refill_cycles", "kernel_tlb"),
        (Event.VCPU_SWITCHES, "vcpu_switch_cycles", "vcpu_switches"),
        (Event.MONITOR_FAULTS, "monitor_fault_cycles", "faults"),
        (Event.COW_FAULTS, "cow_fault_us", "faults"),
        (Event.MIGRATIONS, "migration_us", "placement"),
        (Event.REPLICATIONS, "replication_us", "placement"),
        (Event.COLLAPSES, "collapse_us", "placement"),
        *((Event[f"HOT_LEFT_{why}"], "hot_left_us", "placement") for why in LEFT_ALONE),
        (Event.DISK_READS, "disk_request_cycles", "io"),
        (Event.DISK_WRITES, "disk_request_cycles", "io"),
        (Event.PAGES_COPIED, "page_copy_us", "io"),
        (Event.PAGES_REMAPPED, "page_remap_us", "io"),
        (Event.NFS_REQUESTS, "nfs_request_us", "io"),
    ]
]
# A miss of the relocated kernel, in a mode that the hardware's fast way for misses is not made for (D 4.3).
KERNEL_SOFTWARE_TLB_HIT = Tariff(
    Event.SOFTWARE_TLB_HITS, "monitor.kernel_software_tlb_hit_cycles", "monitor_kernel_tlb"
)
KEYS = tuple(dict.fromkeys(tariff.key for tariff in (*MACHINE_TARIFFS, *MONITOR_TARIFFS, KERNEL_SOFTWARE_TLB_HIT)))

# Who waits where when memory is busy: at the own node, at other nodes, or at any (a line from another cache).
OWN_NODE, OTHER_NODES, ANY_NODE = range(3)
MISS_CLASSES = 3
CLASS_OF_KEY = {
    "memory.local_ns": OWN_NODE,
    "memory.upgrade_local_ns": OWN_NODE,
    "memory.remote_ns": OTHER_NODES,
    "memory.upgrade_remote_ns": OTHER_NODES,
    "memory.dirty_local_ns": ANY_NODE,
    "memory.dirty_remote_ns": ANY_NODE,
}


def tariffs(system: str) -> list[Tariff]:
    """How each event is priced under a system. Events that are not here cost nothing by themselves."""
    return MACHINE_TARIFFS + (MONITOR_TARIFFS if system != NATIVE else [])


def unit_ns(prices: Prices) -> Floats:
    """What one event of each key costs, in ns: [len(KEYS)]."""
    return np.array(units_ns(prices.to_tables()))


def units_ns(tables: Mapping[str, Mapping[str, float | Floats]]) -> list[float | Floats]:
    """The same one by one for tables of prices, each a number or an array."""
    cycle_ns = 1000 / tables["cpu"]["clock_mhz"]
    lengths = {"ns": 1.0, "us": 1000.0, "cycles": cycle_ns, "instruction": cycle_ns}
    names = [key.split(".") for key in KEYS]
    return [tables[table][name] * lengths[name.rpartition("_")[2]] for table, name in names]


def tariff_in(context: int, tariff: Tariff) -> Tariff:
    """The tariff that holds in a context. Refills of user pages count in the handler's; others are the kernel's."""
    is_kernel = context != USER and context_name(context) != "kernel:utlb_miss"
    return KERNEL_SOFTWARE_TLB_HIT if tariff.event == Event.SOFTWARE_TLB_HITS and is_kernel else tariff


def part_of(tariff: Tariff, context: int) -> str:
    """The part of the time to which an event counted in a context belongs."""
    if tariff.monitor_part:
        return tariff.monitor_part
    if context >= MONITOR:
        return "monitor_calls"
    place = "user" if context == USER else "kernel"
    return place if tariff.event == Event.INSTRUCTIONS else f"{place}_stall"


class PriceList(NamedTuple):
    """Place in ``KEYS`` (or ``FREE``) and place in ``PARTS`` of each event in each context: [contexts, events]."""

    key: Codes
    part: Codes


@cache
def price_list(system: str) -> PriceList:
    """What is paid for under a system, and as what."""
    key = np.full((len(CONTEXTS), len(EVENT_NAMES)), FREE, np.int64)
    part = np.zeros_like(key)
    for context in range(len(CONTEXT_NAMES)):
        if context == IDLE:
            continue
        for tariff in (tariff_in(context, one) for one in tariffs(system)):
            key[context, tariff.event] = KEYS.index(tariff.key)
            part[context, tariff.event] = PARTS.index(part_of(tariff, context))
    key[IDLE, Event.IDLE_SPINS] = KEYS.index(INSTRUCTION)
    part[IDLE, Event.IDLE_SPINS] = PARTS.index("idle_loop")
    return PriceList(key, part)
