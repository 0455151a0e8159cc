"""Printers of memory in use: tables for the terminal, a tree for JSON."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from discotrace.analysis.footprint import MONITOR, NAMES, TOTAL, Memory, MemoryUse
from discotrace.analysis.monitor_memory import SOURCES
from discotrace.analysis.remarks import empty_machines

JSON_SCHEMA = 1


def memory_json(about: Mapping[str, Any], uses: list[MemoryUse]) -> dict[str, Any]:
    """Everything as plain values with stable names."""
    remarks = memory_remarks(about, uses)
    return {"schema": JSON_SCHEMA, **about, "remarks": remarks, "results": [asdict(use) for use in uses]}


def memory_tables(about: Mapping[str, Any], uses: list[MemoryUse]) -> list[Table]:
    """Memory at the end and at the peak: two rows for each system, without sharing (virtual) and with it (machine)."""
    trace = f"{about['trace']['name']}: {about['trace']['rows']:,} records on {about['cpus']} CPUs"
    return [
        _table(f"{trace}. Memory at the end, KiB", {use.label: use.end for use in uses}),
        _table("Memory when most was in use, KiB", {use.label: use.peak for use in uses}),
    ]


def memory_remarks(about: Mapping[str, Any], uses: list[MemoryUse]) -> list[str]:
    """Lines that stand under the tables."""
    most = max(use.vms for use in uses)
    tables = about["configuration"] | {"vm": about["configuration"]["vm"] | {"count": most}}
    return [*empty_machines(tables, about["instances"]), SOURCES]


def _table(title: str, by_label: dict[str, Memory]) -> Table:
    table = Table(title=Text(title, "table.title"), title_justify="left")
    table.add_column("")
    table.add_column("")
    columns = [name for name in (*NAMES.values(), MONITOR, TOTAL) if _is_used(name, by_label)]
    for name in columns:
        table.add_column(name.replace("_", " "), justify="right")
    for label, memory in by_label.items():
        for sort, kib in (("virtual", memory.virtual_kib), ("machine", memory.machine_kib)):
            table.add_row(label if sort == "virtual" else "", sort, *(f"{kib.get(name, 0):,}" for name in columns))
    return table


def _is_used(name: str, by_label: dict[str, Memory]) -> bool:
    return name == TOTAL or any(m.virtual_kib.get(name) or m.machine_kib.get(name) for m in by_label.values())
