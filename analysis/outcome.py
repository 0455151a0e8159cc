"""The answer of one system, from counts and prices.

Execution time and its parts, overheads, remote-miss ratio, rates, time per OS service.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from discotrace.analysis.accounts import total
from discotrace.analysis.ledger import Columns, Ledger, arranged, columns
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import ALL_PARTS, CONTEXTS, STALLS, Floats
from discotrace.analysis.site import Site
from discotrace.analysis.waiting import Timing, timing
from discotrace.replay.counts import EVENT_NAMES, Event

ACCESSES = ("fetch", "load", "store")
MISSES = ("local", "remote", "dirty_local", "dirty_remote")
ACTIONS = ("hot_pages", "migrations", "replications", "collapses", "cow_faults", "shootdowns")
HANDLER = CONTEXTS.index("kernel:utlb_miss")
OF_HANDLER = [Event.GUEST_REFILLS, Event.SOFTWARE_TLB_HITS]


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

    @cached_property
    def totals(self) -> dict[str, int]:
        """Sum of each event."""
        return event_totals(self.columns)

    @cached_property
    def actions_by_cpu(self) -> dict[str, list[int]]:
        """Sum of each action, by CPU."""
        cpus = self.ledger.site.cpus
        sums = total(self.columns.event * cpus + self.columns.cpu, self.columns.count, (len(EVENT_NAMES), cpus))
        return {action: [int(count) for count in sums[EVENT_NAMES.index(action)]] for action in ACTIONS}

    @cached_property
    def entries(self) -> Floats:
        """Entries per context; those of the refill handler are the TLB misses of user and KSEG2 addresses."""
        of = self.columns
        is_entry = of.event == Event.SERVICE_ENTRIES
        is_entry |= np.isin(of.event, OF_HANDLER) & (of.context == HANDLER)
        return total(of.context[is_entry], of.count[is_entry], (len(CONTEXTS),))


def counted(system: str, counts: pl.DataFrame, site: Site) -> Counted:
    """Arrange the counts of one system (window, cpu, vm, lock, context, event, at, count) that ran at a site."""
    of = columns(counts)
    return Counted(of, arranged(system, of, site))


def outcome(system: str, counts: pl.DataFrame, site: Site, prices: Prices) -> Outcome:
    """Price the counts of one system; arguments as those of ``counted``."""
    return outcome_of(counted(system, counts, site), prices)


def outcome_of(made: Counted, prices: Prices) -> Outcome:
    """Price counts that are arranged."""
    timed = timing(made.ledger, prices)
    total_ns, totals = timed.total_ns, made.totals
    parts = timed.parts_ns()
    kernel = parts["kernel"] + parts["kernel_stall"]
    monitor = sum(ns for part, ns in parts.items() if part.startswith("monitor"))
    return Outcome(
        system=made.ledger.system,
        cpus=made.ledger.site.cpus,
        time_ms=total_ns / 1e6,
        parts_ms={part: parts[part] / 1e6 for part in ALL_PARTS},
        stalls_ms=dict(zip(STALLS, timed.times.stalls_ms()[0].tolist(), strict=True)),
        kernel_percent=_share(100 * kernel, total_ns),
        monitor_percent=_share(100 * monitor, total_ns),
        remote_miss_ratio=remote_miss_ratio(totals),
        memory_busy_ratio=timed.utilisation(),
        rates=rates(totals),
        actions_per_second={action: _share(totals[action] * 1e9, total_ns) for action in ACTIONS},
        actions_per_second_by_cpu={
            action: [_share(n * 1e9, total_ns) for n in by_cpu] for action, by_cpu in made.actions_by_cpu.items()
        },
        totals=dict(totals),
        services=_services(made.entries, timed),
    )


def event_totals(of: Columns) -> dict[str, int]:
    """Sum of each event over windows, CPUs, virtual machines, locks and contexts."""
    sums = total(of.event, of.count, (len(EVENT_NAMES),))
    return {event: int(count) for event, count in zip(EVENT_NAMES, sums, strict=True)}


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _l2(totals: Mapping[str, int], where: str) -> int:
    return sum(totals[f"l2_{access}_{where}"] for access in ACCESSES)


def _l2_misses(totals: Mapping[str, int]) -> int:
    return sum(_l2(totals, where) for where in MISSES)


def remote_miss_ratio(totals: Mapping[str, int]) -> float:
    """Misses that another node's memory or caches served, of all L2 misses."""
    return _share(_l2(totals, "remote") + _l2(totals, "dirty_remote"), _l2_misses(totals))


def rates(t: Mapping[str, int]) -> dict[str, float]:
    """Rates of misses, from the sum of each event."""
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


def _services(entered: Floats, timed: Timing) -> list[ServiceTime]:
    spent = timed.model.time_of(timed.model.sums.by_service, timed.times.waits)[0]
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
