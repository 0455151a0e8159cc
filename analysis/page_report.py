"""Printers of page histories: tables for the terminal, a tree for JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from discotrace.analysis.page_history import PageHistory
from discotrace.analysis.text import figure
from discotrace.monitor.history import Action

JSON_SCHEMA = 1
MOST_CPUS = 3  # that a cell names
MOST_NAMES = 8  # virtual pages that the text lists


def pages_json(about: Mapping[str, Any], pages: list[PageHistory]) -> dict[str, Any]:
    """Everything as plain values with stable names."""
    return {"schema": JSON_SCHEMA, **about, "pages": [_page_tree(page) for page in pages]}


def _page_tree(page: PageHistory) -> dict[str, Any]:
    return {
        "page": page.page,
        "names": page.names,
        "file": page.file,
        "misses_by_cpu": page.misses,
        "actions": [_action_tree(action) for action in page.actions],
    }


def _action_tree(action: Action) -> dict[str, Any]:
    return {
        "row": action.row,
        "instructions": action.instructions,
        "cpu": action.cpu,
        "vm": action.vm,
        "what": action.what,
        "from": action.frm,
        "to": list(action.to),
        "reason": action.reason,
        "misses_by_cpu": list(action.misses),
        "writes_by_cpu": list(action.writes),
    }


def title(about: Mapping[str, Any]) -> str:
    """Whose pages these are."""
    tables = about["configuration"]
    return (
        f"{about['trace']['name']}: {about['trace']['rows']:,} records on {about['cpus']} CPUs, {about['system']}, "
        f"VMs: {tables['vm']['count']}, policy {tables['placement']['policy']}"
    )


def head_of(page: PageHistory) -> list[str]:
    """Lines that say which page it is and who missed on it."""
    more = len(page.names) - MOST_NAMES
    return [
        f"page {page.page}" + (f" ({page.file})" if page.file else ""),
        *(f"    {name}" for name in page.names[:MOST_NAMES]),
        *([f"    and {more} more"] if more > 0 else []),
        f"L2 misses: {_by_cpu(page.misses, len(page.misses))}",
    ]


def actions_table(page: PageHistory) -> Table:
    """What was done with one page, in order. Misses and writes are those since the counters were last set to zero."""
    table = Table(title="What was done with it", title_justify="left")
    for column in ("million instr.", "row", "CPU", "VM", "action", "from", "to"):
        table.add_column(column, justify="left" if column == "action" else "right", no_wrap=True)
    for column in ("why", "misses then", "writes then"):
        table.add_column(column)
    for action in page.actions:
        table.add_row(
            figure(action.instructions / 1e6),
            f"{action.row:,}",
            f"{action.cpu}",
            f"{action.vm}",
            action.what,
            f"{action.frm}",
            ", ".join(str(node) for node in action.to),
            Text(action.reason),
            _by_cpu(action.misses),
            _by_cpu(action.writes),
        )
    return table


def hot_table(about: Mapping[str, Any], pages: list[PageHistory]) -> Table:
    """The pages with the most misses, one a row."""
    table = Table(title=Text(title(about), "table.title"), title_justify="left")
    table.add_column("page", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    table.add_column("L2 misses", justify="right")
    table.add_column("most by")
    table.add_column("what was done with it")
    table.add_column("why, the last time")
    for page in pages:
        table.add_row(
            Text(page.page),
            Text(_what(page)),
            f"{sum(page.misses):,}",
            _by_cpu(page.misses),
            ", ".join(f"{what}: {times:,}" for what, times in page.times.items()),
            Text(page.actions[-1].reason if page.actions else ""),
        )
    return table


def _what(page: PageHistory) -> str:
    more = len(page.names) - 1
    return (page.file or page.names[0].rpartition(" ")[0]) + (f", {more} more" if more else "")


def _by_cpu(counts: Sequence[int], most: int = MOST_CPUS) -> str:
    """The CPUs with the highest counts, highest first; dots stand for those left out."""
    ranked = sorted((cpu for cpu, count in enumerate(counts) if count), key=lambda cpu: (-counts[cpu], cpu))
    parts = [f"CPU {cpu} {counts[cpu]:,}" for cpu in ranked[:most]] + (["..."] if len(ranked) > most else [])
    return ", ".join(parts) or "none"
