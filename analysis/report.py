"""Printers of outcomes: tables for the terminal, a tree for JSON."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from discotrace.analysis.configuration import from_tables
from discotrace.analysis.counts_file import CountsFile
from discotrace.analysis.outcome import Outcome, ServiceTime, outcome
from discotrace.analysis.text import figure

JSON_SCHEMA = 1

PART_LABELS = {
    "user": "user",
    "user_stall": "user stall",
    "kernel": "kernel",
    "kernel_stall": "kernel stall",
    "monitor_tlb": "monitor: second-level TLB",
    "monitor_tlb_writes": "monitor: TLB writes emulated",
    "monitor_privileged": "monitor: privileged emulated",
    "monitor_calls": "monitor: calls, page clearing",
    "monitor_kernel_tlb": "monitor: kernel TLB misses",
    "monitor_vcpu_switches": "monitor: virtual CPU switches",
    "idle": "idle",
}
RATE_LABELS = {
    "tlb_misses_per_kilo_instruction": "TLB misses / 1000 instr.",
    "tlb_miss_percent": "TLB miss rate, %",
    "tlb_misses_to_guest_percent": "  to the guest's handler, %",
    "tlb_misses_to_software_tlb_percent": "  to the second-level TLB, %",
    "tlb_misses_to_monitor_percent": "  to the monitor's pmap, %",
    "l1i_miss_percent": "L1I miss rate, %",
    "l1d_miss_percent": "L1D miss rate, %",
    "l2_miss_percent": "L2 miss rate (of L1 misses), %",
    "l2_misses_per_kilo_instruction": "L2 misses / 1000 instr.",
}


def outcomes(counts: CountsFile) -> list[Outcome]:
    """One outcome per system of a counts file, priced with the configuration that it carries."""
    prices = from_tables(counts.about["configuration"]).prices
    return [
        outcome(system, counts.of_system(system), counts.about["cpus"], prices) for system in counts.about["systems"]
    ]


def slowdown(one: Outcome, first: Outcome) -> float:
    """Execution time relative to the first system's."""
    return one.time_ms / first.time_ms if first.time_ms else 0.0


def json_of(counts: CountsFile, priced: list[Outcome]) -> dict[str, Any]:
    """Everything as plain values with stable names."""
    return {
        "schema": JSON_SCHEMA,
        **{key: value for key, value in counts.about.items() if key != "format_version"},
        "results": [asdict(one) | {"slowdown": slowdown(one, priced[0])} for one in priced],
    }


def tables_of(counts: CountsFile, priced: list[Outcome], services: bool) -> list[Table]:
    """The main table, one column per system, and if wanted the table of OS services."""
    main = _main_table(counts, priced)
    return [main, _services_table(priced)] if services else [main]


def _main_table(counts: CountsFile, priced: list[Outcome]) -> Table:
    trace = counts.about["trace"]
    title = Text(f"{trace['name']}: {trace['rows']:,} records on {counts.about['cpus']} CPUs", "table.title")
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for one in priced:
        table.add_column(one.system, justify="right")

    def row(label: str, value: Callable[[Outcome], str], style: str | None = None) -> None:
        table.add_row(label, *(value(one) for one in priced), style=style)

    row("execution time, ms", lambda one: figure(one.time_ms), "bold")
    row(f"slowdown against {priced[0].system}", lambda one: f"{slowdown(one, priced[0]):.3f}", "bold")
    row("kernel overhead, %", lambda one: figure(one.kernel_percent), "bold")
    row("monitor overhead, %", lambda one: figure(one.monitor_percent), "bold")
    row("remote-miss ratio", lambda one: f"{one.remote_miss_ratio:.3f}", "bold")
    table.add_section()
    for part, label in PART_LABELS.items():
        if any(one.parts_ms[part] for one in priced):
            row(f"{label}, ms", lambda one, part=part: figure(one.parts_ms[part]))  # type: ignore[misc]
    table.add_section()
    for rate, label in RATE_LABELS.items():
        row(label, lambda one, rate=rate: figure(one.rates[rate]))  # type: ignore[misc]
    return table


def _services_table(priced: list[Outcome]) -> Table:
    table = Table(title="OS services: mean time per entry, us (guest + monitor)", title_justify="left")
    table.add_column("service")
    table.add_column("entries", justify="right")
    for one in priced:
        table.add_column(one.system, justify="right")
    table.add_column("slowdown", justify="right")
    by_name = [{s.service: s for s in one.services} for one in priced]
    for first in sorted(priced[0].services, key=lambda s: -s.entries * s.kernel_us):
        found = [names.get(first.service) for names in by_name]
        cells = [f"{figure(s.kernel_us)} + {figure(s.monitor_us)}" if s else "-" for s in found]
        table.add_row(first.service, f"{first.entries:,}", *cells, _ratio(found[-1], first))
    return table


def _ratio(last: ServiceTime | None, first: ServiceTime) -> str:
    """How many times as long a service takes under the last system; - where one of them spends nothing."""
    if last is None or first.kernel_us + first.monitor_us == 0:
        return "-"
    return f"{(last.kernel_us + last.monitor_us) / (first.kernel_us + first.monitor_us):.2f}"
