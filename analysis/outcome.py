"""The answer of one system, from counts and prices.

Execution time and its parts, overheads, remote-miss ratio, rates, time per OS service.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from discotrace.analysis.ledger import Columns, Ledger, arranged, columns, flattened, total
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import ALL_PARTS, CONTEXTS, KEYS, PARTS, Floats
from discotrace.analysis.site import Site
from discotrace.analysis.waiting import Timing, timing
from discotrace.replay.counts import EVENT_NAMES, MONITOR, Event

ACCESSES = ("fetch", "load", "store")
MISSES = ("local", "remote", "dirty_local", "dirty_remote")
ACTIONS = ("hot_pages", "migrations", "replications", "collapses", "cow_faults", "shootdowns")
HANDLER = CONTEXTS.index("kernel:utlb_miss")
OF_HANDLER = [Event.GUEST_REFILLS, Event.SOFTWARE_TLB_HITS]
IS_MONITOR = np.array([int(part.startswith("monitor")) for part in PARTS])
STALL_PARTS = [PARTS.index("user_stall"), PARTS.index("kernel_stall")]
STALLS = {
    "second_level": ("l2.hit_ns",),
    "local": ("memory.local_ns", "memory.dirty_local_ns", "memory.upgrade_local_ns"),
    "remote": ("memory.remote_ns", "memory.dirty_remote_ns", "memory.upgrade_remote_ns"),
}


@dataclass(frozen=True)
class ServiceTime:
    """What one OS service took. ``kernel_us`` is the guest's own part per entry, ``monitor_us`` the monitor's."""

    service: str
    entries: int
    kernel_us: float
    monitor_us: float


@dataclass(frozen=True)
class Outcome:
    """Figures of one system. Times in ms, shares in percent, rates as named.

    Actions are per second of execution time: of the whole machine, and of each CPU on whose account they were done.
    ``stalls_ms``: stalls of user and kernel by who served them, waiting included, mean over the CPUs.
    ``memory_busy_ratio``: the highest share of an interval that a node's memory is busy; 0 without its prices.
    """

    system: str
    cpus: int
    time_ms: float
    parts_ms: dict[str, float]
    stalls_ms: dict[str, float]
    kernel_percent: float
    monitor_percent: float
    remote_miss_ratio: float
    memory_busy_ratio: float
    rates: dict[str, float]
    actions_per_second: dict[str, float]
    actions_per_second_by_cpu: dict[str, list[float]]
    totals: dict[str, int]
    services: list[ServiceTime]


@dataclass(frozen=True)
class Counted:
    """Counts of one system, ready to be priced again and again."""

    columns: Columns
    ledger: Ledger


def counted(system: str, counts: pl.DataFrame, site: Site) -> Counted:
    """Arrange the counts of one system (window, cpu, vm, lock, context, event, at, count) that ran at a site."""
    of = columns(counts)
    return Counted(of, arranged(system, of, site))


def outcome(system: str, counts: pl.DataFrame, site: Site, prices: Prices) -> Outcome:
    """Price the counts of one system; arguments as those of ``counted``."""
    return outcome_of(counted(system, counts, site), prices)


def outcome_of(made: Counted, prices: Prices) -> Outcome:
    """Price counts that are arranged."""
    of, site = made.columns, made.ledger.site
    timed = timing(made.ledger, prices)
    total_ns = timed.total_ns
    parts = timed.parts_ns()
    totals = event_totals(of)
    kernel = parts["kernel"] + parts["kernel_stall"]
    monitor = sum(ns for part, ns in parts.items() if part.startswith("monitor"))
    by_cpu = _actions_by_cpu(of, site.cpus)
    return Outcome(
        system=made.ledger.system,
        cpus=site.cpus,
        time_ms=total_ns / 1e6,
        parts_ms={part: parts[part] / 1e6 for part in ALL_PARTS},
        stalls_ms=_stalls_ms(timed),
        kernel_percent=_share(100 * kernel, total_ns),
        monitor_percent=_share(100 * monitor, total_ns),
        remote_miss_ratio=_share(_l2(totals, "remote") + _l2(totals, "dirty_remote"), _l2_misses(totals)),
        memory_busy_ratio=timed.utilisation(),
        rates=_rates(totals),
        actions_per_second={action: _share(totals[action] * 1e9, total_ns) for action in ACTIONS},
        actions_per_second_by_cpu={a: [_share(n * 1e9, total_ns) for n in by_cpu[a]] for a in ACTIONS},
        totals=totals,
        services=_services(of, timed),
    )


def event_totals(of: Columns) -> dict[str, int]:
    """Sum of each event over windows, CPUs, virtual machines, locks and contexts."""
    sums = total(of.event, of.count, (len(EVENT_NAMES),))
    return {event: int(count) for event, count in zip(EVENT_NAMES, sums, strict=True)}


def _actions_by_cpu(of: Columns, cpus: int) -> dict[str, list[int]]:
    sums = total(of.event * cpus + of.cpu, of.count, (len(EVENT_NAMES), cpus))
    return {action: [int(count) for count in sums[EVENT_NAMES.index(action)]] for action in ACTIONS}


def _stalls_ms(timed: Timing) -> dict[str, float]:
    ledger = timed.model.ledger
    place = flattened((ledger.part, len(PARTS)), (ledger.price, len(KEYS)))
    sums = total(place, timed.counter_ns, (len(PARTS), len(KEYS)))
    stalls = sums[STALL_PARTS].sum(axis=0) / ledger.site.cpus / 1e6
    return {where: float(sum(stalls[KEYS.index(key)] for key in keys)) for where, keys in STALLS.items()}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _l2(totals: dict[str, int], where: str) -> int:
    return sum(totals[f"l2_{access}_{where}"] for access in ACCESSES)


def _l2_misses(totals: dict[str, int]) -> int:
    return sum(_l2(totals, where) for where in MISSES)


def _rates(t: dict[str, int]) -> dict[str, float]:
    misses = t["tlb_misses"] + t["tlb_invalid"]
    fetches = t["l1i_hits"] + t["l1i_misses"]
    data_misses = t["l1d_load_misses"] + t["l1d_store_misses"]
    data = t["l1d_load_hits"] + t["l1d_store_hits"] + data_misses
    return {
        "tlb_misses_per_kilo_instruction": _share(1000 * misses, t["instructions"]),
        "tlb_miss_percent": _share(100 * misses, t["tlb_hits"] + misses),
        "tlb_misses_to_guest_percent": _share(100 * t["guest_refills"], misses),
        "tlb_misses_to_software_tlb_percent": _share(100 * t["software_tlb_hits"], misses),
        "tlb_misses_to_monitor_percent": _share(100 * t["kernel_tlb_refills"], misses),
        "l1i_miss_percent": _share(100 * t["l1i_misses"], fetches),
        "l1d_miss_percent": _share(100 * data_misses, data),
        "l2_miss_percent": _share(100 * _l2_misses(t), t["l1i_misses"] + data_misses),
        "l2_misses_per_kilo_instruction": _share(1000 * _l2_misses(t), t["instructions"]),
    }


def _services(of: Columns, timed: Timing) -> list[ServiceTime]:
    ledger = timed.model.ledger
    by_monitor = IS_MONITOR[ledger.part]
    service = np.where(ledger.context < MONITOR, ledger.context, ledger.context - MONITOR)
    spent = total(flattened((service, len(CONTEXTS)), (by_monitor, 2)), timed.counter_ns, (len(CONTEXTS), 2))
    entered = _entries(of)
    found = [
        ServiceTime(
            service=CONTEXTS[context].removeprefix("kernel:"),
            entries=int(entered[context]),
            kernel_us=float(spent[context, 0] / entered[context] / 1000),
            monitor_us=float(spent[context, 1] / entered[context] / 1000),
        )
        for context in np.flatnonzero(entered)
    ]
    return sorted(found, key=lambda one: one.service)


def _entries(of: Columns) -> Floats:
    """Entries per context; those of the refill handler are the TLB misses of user and KSEG2 addresses."""
    is_entry = of.event == Event.SERVICE_ENTRIES
    is_entry |= np.isin(of.event, OF_HANDLER) & (of.context == HANDLER)
    return total(of.context[is_entry], of.count[is_entry], (len(CONTEXTS),))
