"""Printers of outcomes: tables for the terminal, a tree for JSON."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from discotrace.analysis.configuration import from_tables
from discotrace.analysis.counts_file import CountsFile
from discotrace.analysis.labels import ACTION_LABELS, IO_LABELS, LEFT_ALONE_LABELS, PART_LABELS, RATE_LABELS
from discotrace.analysis.outcome import Outcome, ServiceTime, outcome
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.remarks import remarks
from discotrace.analysis.site import Site
from discotrace.analysis.text import figure

JSON_SCHEMA = 3


def outcomes(counts: CountsFile) -> list[Outcome]:
    """One outcome per system of a counts file, priced with the configuration that it carries."""
    site, prices = site_of(counts), from_tables(counts.about["configuration"]).prices
    return [outcome(system, counts.of_system(system), site, prices) for system in counts.about["systems"]]


def site_of(counts: CountsFile) -> Site:
    """Where the counts of a file were made."""
    about = counts.about
    machine = from_tables(about["configuration"]).machine
    return Site(machine, about["instances"], about.get("jobs"), about.get("runs_on", False))


def slowdown(one: Outcome, first: Outcome) -> float:
    """Execution time relative to the first system's."""
    return one.time_ms / first.time_ms if first.time_ms else 0.0


def json_of(counts: CountsFile, priced: list[Outcome]) -> dict[str, Any]:
    """Everything as plain values with stable names."""
    return {
        "schema": JSON_SCHEMA,
        **{key: value for key, value in counts.about.items() if key not in ("format_version", "losses")},
        "remarks": remarks(counts.about, priced),
        "results": [
            asdict(one) | {"slowdown": slowdown(one, priced[0]), "loss": counts.about["losses"].get(one.system)}
            for one in priced
        ],
    }


def tables_of(counts: CountsFile, priced: list[Outcome], services: bool) -> list[Table]:
    """The main table, one column per system; after a crash what it cost; if wanted the OS services."""
    tables = [_main_table(counts, priced)]
    if counts.about["losses"]:
        tables.append(_loss_table(counts, priced))
    return [*tables, _services_table(priced)] if services else tables


def _main_table(counts: CountsFile, priced: list[Outcome]) -> Table:
    trace = counts.about["trace"]
    table = _table(f"{trace['name']}: {trace['rows']:,} records on {counts.about['cpus']} CPUs", priced)

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
    table.add_section()
    for action, label in ACTION_LABELS.items():
        if any(one.totals[action] for one in priced):
            row(f"{label} (mean of a CPU)", lambda one, action=action: _per_second(one, action))  # type: ignore[misc]
    table.add_section()
    for event, label in (LEFT_ALONE_LABELS | IO_LABELS).items():
        if any(one.totals[event] for one in priced):
            row(label, lambda one, event=event: f"{one.totals[event]:,}")  # type: ignore[misc]
    return table


def _table(title: str, priced: list[Outcome]) -> Table:
    """A table with a column per system; the title is plain text, whatever is in it."""
    table = Table(title=Text(title, "table.title"), title_justify="left")
    table.add_column("")
    for one in priced:
        table.add_column(one.system, justify="right")
    return table


def _per_second(one: Outcome, action: str) -> str:
    rate = one.actions_per_second[action]
    return f"{figure(rate)} ({figure(rate / one.cpus)})"


def _loss_table(counts: CountsFile, priced: list[Outcome]) -> Table:
    crash, losses = counts.about["crash"], counts.about["losses"]
    table = _table(f"Lost in the crash at row {crash['row']:,}", priced)
    found = [losses[one.system] for one in priced]
    died = f"VM {crash['vm']}"
    table.add_row("died", *("machine" if one.system == NATIVE else died for one in priced))
    table.add_row("processes", *(f"{len(loss['processes']):,}" for loss in found))
    table.add_row("rows not executed", *(f"{loss['rows']:,}" for loss in found))
    table.add_row("frames given back", *(f"{loss['frames_reclaimed']:,}" for loss in found))
    table.add_row("frames kept by others, the disk cache", *(f"{loss['frames_surviving']:,}" for loss in found))
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
