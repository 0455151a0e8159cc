"""The answer of one system, from counts and prices.

Execution time and its parts, overheads, remote-miss ratio, rates, time per OS service.
"""

from dataclasses import dataclass

import polars as pl

from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import execution_ns, parts_ns, priced, sum_by
from discotrace.replay.counts import EVENT_NAMES

ACCESSES = ("fetch", "load", "store")
MISSES = ("local", "remote", "dirty_local", "dirty_remote")
ACTIONS = ("hot_pages", "migrations", "replications", "collapses", "cow_faults", "shootdowns")


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
    """

    system: str
    cpus: int
    time_ms: float
    parts_ms: dict[str, float]
    kernel_percent: float
    monitor_percent: float
    remote_miss_ratio: float
    rates: dict[str, float]
    actions_per_second: dict[str, float]
    actions_per_second_by_cpu: dict[str, list[float]]
    totals: dict[str, int]
    services: list[ServiceTime]


def outcome(system: str, counts: pl.DataFrame, cpus: int, prices: Prices) -> Outcome:
    """Price the counts of one system (window, cpu, vm, context, event, count)."""
    time = priced(counts, prices, system)
    total = execution_ns(time)
    parts = parts_ns(time, cpus)
    totals = event_totals(counts)
    kernel = parts["kernel"] + parts["kernel_stall"]
    monitor = sum(ns for part, ns in parts.items() if part.startswith("monitor"))
    by_cpu = _actions_by_cpu(counts, cpus)
    return Outcome(
        system=system,
        cpus=cpus,
        time_ms=total / 1e6,
        parts_ms={part: ns / 1e6 for part, ns in parts.items()},
        kernel_percent=_share(100 * kernel, total),
        monitor_percent=_share(100 * monitor, total),
        remote_miss_ratio=_share(_l2(totals, "remote") + _l2(totals, "dirty_remote"), _l2_misses(totals)),
        rates=_rates(totals),
        actions_per_second={action: _share(totals[action] * 1e9, total) for action in ACTIONS},
        actions_per_second_by_cpu={a: [_share(n * 1e9, total) for n in by_cpu[a]] for a in ACTIONS},
        totals=totals,
        services=_services(counts, time),
    )


def event_totals(counts: pl.DataFrame) -> dict[str, int]:
    """Sum of each event over windows, CPUs, virtual machines and contexts."""
    sums = dict(counts.group_by(pl.col("event").cast(pl.String)).agg(pl.col("count").sum()).iter_rows())
    return {event: sums.get(event, 0) for event in EVENT_NAMES}


def _actions_by_cpu(counts: pl.DataFrame, cpus: int) -> dict[str, list[int]]:
    actions = counts.filter(pl.col("event").cast(pl.String).is_in(ACTIONS))
    sums = actions.group_by(pl.col("event").cast(pl.String), "cpu").agg(pl.col("count").sum())
    found = {(event, cpu): count for event, cpu, count in sums.iter_rows()}
    return {action: [found.get((action, cpu), 0) for cpu in range(cpus)] for action in ACTIONS}


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


def _services(counts: pl.DataFrame, time: pl.DataFrame) -> list[ServiceTime]:
    entries = _entries(counts)
    labelled = time.with_columns(
        pl.col("context").str.replace("monitor:", "kernel:").alias("service"),
        pl.col("part").str.starts_with("monitor").alias("by_monitor"),
    )
    spent = sum_by(labelled, "service", "by_monitor")
    ns = {(service, by_monitor): value for service, by_monitor, value in spent.iter_rows()}
    return [
        ServiceTime(
            service=context.removeprefix("kernel:"),
            entries=count,
            kernel_us=ns.get((context, False), 0.0) / count / 1000,
            monitor_us=ns.get((context, True), 0.0) / count / 1000,
        )
        for context, count in sorted(entries.items())
    ]


def _entries(counts: pl.DataFrame) -> dict[str, int]:
    """Entries per kernel context; those of the refill handler are the TLB misses of user and KSEG2 addresses."""
    of_handler = ("guest_refills", "software_tlb_hits")
    is_entry = (pl.col("event").cast(pl.String) == "service_entries") | (
        pl.col("event").cast(pl.String).is_in(of_handler) & (pl.col("context").cast(pl.String) == "kernel:utlb_miss")
    )
    found = counts.filter(is_entry).group_by(pl.col("context").cast(pl.String)).agg(pl.col("count").sum())
    return dict(found.iter_rows())
