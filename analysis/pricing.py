"""Counts times prices: what every counted event costs, and to which part of the time it belongs.

Busy time only: waiting for memory under load, for locks and for disks is not part of it yet.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from discotrace.analysis.prices import Prices
from discotrace.replay.counts import CONTEXT_NAMES, IDLE, MONITOR, USER, Event, context_name

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
IDLE_PART = "idle"
NATIVE = "native"
LEFT_ALONE = ("WRITTEN", "CAPPED", "FULL", "PINNED", "OTHER")  # why a hot page stays where it is
IDLE_SPINS = Event.IDLE_SPINS.name.lower()


@dataclass(frozen=True)
class Tariff:
    """Price in ns of one event, and the part of the monitor's time it is.

    No part means that it is an instruction or a stall, and belongs to whoever the context says.
    """

    event: Event
    ns: float
    monitor_part: str | None = None


def tariffs(prices: Prices, system: str) -> list[Tariff]:
    """What each event costs under a system. Events that are not here cost nothing by themselves."""
    return _machine_tariffs(prices) + (_monitor_tariffs(prices) if system != NATIVE else [])


def _machine_tariffs(prices: Prices) -> list[Tariff]:
    memory = prices.memory
    served = {
        "HITS": prices.l2.hit_ns,
        "LOCAL": memory.local_ns,
        "REMOTE": memory.remote_ns,
        "DIRTY_LOCAL": memory.dirty_local_ns,
        "DIRTY_REMOTE": memory.dirty_remote_ns,
    }
    second_level = [
        Tariff(Event[f"L2_{access}_{where}"], ns)
        for access in ("FETCH", "LOAD", "STORE")
        for where, ns in served.items()
    ]
    return [
        Tariff(Event.INSTRUCTIONS, prices.instruction_ns),
        *second_level,
        Tariff(Event.UPGRADES_LOCAL, memory.upgrade_local_ns),
        Tariff(Event.UPGRADES_REMOTE, memory.upgrade_remote_ns),
    ]


def _monitor_tariffs(prices: Prices) -> list[Tariff]:
    """What the monitor does. Natively a disk request or a change of virtual CPU is in the OS's own instructions."""
    m = prices.monitor
    in_cycles = [
        (Event.SOFTWARE_TLB_HITS, m.software_tlb_hit_cycles, "monitor_tlb"),
        (Event.TLB_WRITES_EMULATED, m.tlb_write_cycles, "monitor_tlb_writes"),
        (Event.WIRED_WRITES_EMULATED, m.wired_write_cycles, "monitor_tlb_writes"),
        (Event.PRIVILEGED_EMULATED, m.privileged_cycles, "monitor_privileged"),
        (Event.PRIVILEGED_PATCHED, m.patched_cycles, "monitor_privileged"),
        (Event.ZERO_PAGE_CALLS, m.zero_page_cycles, "monitor_calls"),
        (Event.FREE_PAGE_CALLS, m.free_page_cycles, "monitor_calls"),
        (Event.KERNEL_TLB_REFILLS, m.kernel_tlb_refill_cycles, "monitor_kernel_tlb"),
        (Event.VCPU_SWITCHES, m.vcpu_switch_cycles, "monitor_vcpu_switches"),
        (Event.MONITOR_FAULTS, m.monitor_fault_cycles, "monitor_faults"),
        (Event.DISK_READS, m.disk_request_cycles, "monitor_io"),
        (Event.DISK_WRITES, m.disk_request_cycles, "monitor_io"),
    ]
    in_us = [
        (Event.COW_FAULTS, m.cow_fault_us, "monitor_faults"),
        (Event.MIGRATIONS, m.migration_us, "monitor_placement"),
        (Event.REPLICATIONS, m.replication_us, "monitor_placement"),
        (Event.COLLAPSES, m.collapse_us, "monitor_placement"),
        *((Event[f"HOT_LEFT_{why}"], m.hot_left_us, "monitor_placement") for why in LEFT_ALONE),
        (Event.PAGES_COPIED, m.page_copy_us, "monitor_io"),
        (Event.PAGES_REMAPPED, m.page_remap_us, "monitor_io"),
        (Event.NFS_REQUESTS, m.nfs_request_us, "monitor_io"),
    ]
    return [Tariff(event, prices.cycle_ns * cycles, part) for event, cycles, part in in_cycles] + [
        Tariff(event, 1000 * us, part) for event, us, part in in_us
    ]


def part_of(tariff: Tariff, context: int) -> str:
    """The part of the time to which an event counted in a context belongs."""
    if tariff.monitor_part:
        in_kernel_miss = tariff.event == Event.SOFTWARE_TLB_HITS and context_name(context) != "kernel:utlb_miss"
        return "monitor_kernel_tlb" if in_kernel_miss else tariff.monitor_part
    if context >= MONITOR:
        return "monitor_calls"
    place = "user" if context == USER else "kernel"
    return place if tariff.event == Event.INSTRUCTIONS else f"{place}_stall"


def tariff_table(prices: Prices, system: str) -> pl.DataFrame:
    """One row per context and event that costs something: context, event, part, ns."""
    rows = list(_tariff_rows(prices, system))
    return pl.DataFrame(
        rows, schema={"context": pl.String, "event": pl.String, "part": pl.String, "ns": pl.Float64}, orient="row"
    )


def _tariff_rows(prices: Prices, system: str) -> Iterator[tuple[str, str, str, float]]:
    for context in range(len(CONTEXT_NAMES)):
        if context == IDLE:
            continue
        for tariff in tariffs(prices, system):
            yield CONTEXT_NAMES[context], tariff.event.name.lower(), part_of(tariff, context), tariff.ns
    yield CONTEXT_NAMES[IDLE], IDLE_SPINS, "idle_loop", prices.instruction_ns


def priced(counts: pl.DataFrame, prices: Prices, system: str) -> pl.DataFrame:
    """Counts (window, cpu, vm, context, event, count) as time: window, cpu, context, part, ns."""
    rows = (
        _without_free_spins(counts.with_columns(pl.col("context", "event").cast(pl.String)))
        .lazy()
        .join(tariff_table(prices, system).lazy(), on=["context", "event"], how="inner")
        .with_columns((pl.col("count") * pl.col("ns")).alias("ns"))
        .sort("window", "cpu", "vm", "context", "part", "event")
        .collect()
    )
    return sum_by(rows, "window", "cpu", "context", "part")


def _without_free_spins(counts: pl.DataFrame) -> pl.DataFrame:
    """Without the idle loops that keep nobody waiting: those on CPUs that one virtual machine has for itself."""
    alone = pl.col("vm").n_unique().over("cpu") == 1
    return counts.filter(~(alone & (pl.col("event") == IDLE_SPINS)))


def sum_by(time: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """``ns`` summed by the keys, in ascending order of them.

    Within a group the rows are added in their order. Polars would add in an order that depends on how many threads
    it has, and a sum of floats then ends in other digits on another computer.
    """
    ordered = time.sort(*keys, maintain_order=True)
    is_first = ordered.select(pl.any_horizontal(pl.col(key).ne_missing(pl.col(key).shift()) for key in keys))
    starts = np.flatnonzero(is_first.to_series().to_numpy())
    sums = np.add.reduceat(ordered["ns"].to_numpy(), starts) if len(starts) else np.zeros(0)
    return ordered[starts].select(*keys, pl.Series("ns", sums))


def execution_ns(time: pl.DataFrame) -> float:
    """Execution time: CPUs run on by themselves within a window and meet at its end, so the slowest decides."""
    return math.fsum(_slowest_ns(sum_by(time, "window", "cpu")))


def _slowest_ns(busy: pl.DataFrame) -> pl.Series:
    return busy.group_by("window").agg(pl.col("ns").max()).sort("window")["ns"]


def parts_ns(time: pl.DataFrame, cpus: int) -> dict[str, float]:
    """Mean over the CPUs of each part of the time, idle last; they add up to the execution time."""
    sums = dict(sum_by(time, "part").iter_rows())
    return {part: sums.get(part, 0.0) / cpus for part in PARTS} | {IDLE_PART: _idle_ns(time, cpus)}


def _idle_ns(time: pl.DataFrame, cpus: int) -> float:
    """Mean over the CPUs of the time that they wait for the slowest: exactly 0 when there is only one."""
    busy = sum_by(time, "window", "cpu")
    waits = _slowest_ns(busy) * cpus - sum_by(busy, "window")["ns"]
    return math.fsum(waits) / cpus
