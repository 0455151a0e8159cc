"""Printers of samples: a table for the terminal, a tree for JSON."""

from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from discotrace.analysis.counts_file import CountsFile
from discotrace.analysis.labels import ACTION_LABELS, PART_LABELS, RATE_LABELS
from discotrace.analysis.report import JSON_SCHEMA
from discotrace.analysis.sampling.estimate import CONFIDENCE, SLOWDOWN, Estimate, figures_of, interval_of
from discotrace.analysis.sampling.stored import SAMPLE, remarks_of
from discotrace.analysis.text import figure


def json_of(counts: CountsFile, found: list[Estimate]) -> dict[str, Any]:
    """Everything as plain values with stable names, as of a replay; beside it ``low`` and ``high`` of each figure."""
    first = found[0].outcome
    return {
        "schema": JSON_SCHEMA,
        **{key: value for key, value in counts.about.items() if key not in ("format_version", "losses", SAMPLE)},
        "sample": {**counts.about[SAMPLE], "confidence": CONFIDENCE},
        "remarks": remarks_of(counts, found),
        "results": [_result(one, figures_of(one.outcome, first)) for one in found],
    }


def _result(one: Estimate, figures: dict[str, float]) -> dict[str, Any]:
    ends = {name: interval_of(one.half_widths[name], value) for name, value in figures.items()}
    return asdict(one.outcome) | {
        SLOWDOWN: figures[SLOWDOWN],
        "low": {name: low for name, (low, _) in ends.items()},
        "high": {name: high for name, (_, high) in ends.items()},
    }


def table_of(counts: CountsFile, found: list[Estimate]) -> Table:
    """One column per system, each figure with half the width of its confidence interval."""
    first = found[0].outcome
    title = f"{counts.about['trace']['name']}: {counts.about[SAMPLE]['intervals']} intervals, ± at {CONFIDENCE:.0%}"
    table = Table(title=Text(title), title_justify="left", title_style="")
    table.add_column("")
    for one in found:
        table.add_column(one.outcome.system, justify="right")
    columns = [(figures_of(one.outcome, first), one.half_widths) for one in found]
    main = _MAIN | {SLOWDOWN: f"slowdown against {first.system}"}
    for section in (main, _PARTS, RATE_LABELS, _ACTIONS):
        for name, label in section.items():
            if name in _ALWAYS or any(figures[name] for figures, _ in columns):
                cells = (f"{figure(figures[name])} ± {figure(half[name])}" for figures, half in columns)
                table.add_row(label, *cells, style="bold" if name in _MAIN else None)
        table.add_section()
    return table


_MAIN = {
    "time_ms": "execution time, ms",
    SLOWDOWN: "slowdown",
    "kernel_percent": "kernel overhead, %",
    "monitor_percent": "monitor overhead, %",
    "remote_miss_ratio": "remote-miss ratio",
}
_PARTS = {f"{part}_ms": f"{label}, ms" for part, label in PART_LABELS.items()}
_ACTIONS = {f"{action}_per_second": label for action, label in ACTION_LABELS.items()}
_ALWAYS = _MAIN.keys() | RATE_LABELS.keys()
