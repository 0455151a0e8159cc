"""Where a missed goal comes from: by code from the bars, and in words from ``explanations.toml``."""

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from importlib import resources

import polars as pl

from discotrace.analysis.paper.comparison import LOCAL_SHARE, ORDER, TOTAL, Comparison
from discotrace.analysis.paper.evaluation import Priced, Result

_COUNTS_SHOWN = 3
_SEGMENT_CONTEXTS = {  # which contexts' counts a segment is made of, by the beginning of their names
    "user": "user",
    "user_stall": "user",
    "kernel": "kernel",
    "monitor": "monitor",
    "sync": "kernel",
}
_MEMORY_EVENTS = ("l2_fetch", "l2_load", "l2_store", "upgrades")
_MONITOR_EVENTS = (
    "software_tlb_hits",
    "kernel_tlb_refills",
    "tlb_writes_emulated",
    "wired_writes_emulated",
    "privileged_emulated",
    "zero_page_calls",
    "free_page_calls",
    "cow_faults",
    "monitor_faults",
    "migrations",
    "replications",
    "collapses",
    "disk_reads",
    "disk_writes",
    "pages_copied",
    "pages_remapped",
    "nfs_requests",
    "vcpu_switches",
)


def with_remarks(comparisons: list[Comparison], results: list[Result]) -> list[Comparison]:
    """The same, those with a missed goal with a remark, all with what is written down of them."""
    bars = {
        (figure, result.experiment.trace.workload, label): bar
        for result in results
        for figure in result.experiment.figures
        for label, bar in result.bars.items()
    }
    return [
        replace(
            one,
            remark="" if one.met in (None, True) else _remark(one, comparisons, bars),
            explanation=_explanation(one),
        )
        for one in comparisons
    ]


def _remark(missed: Comparison, comparisons: list[Comparison], bars: dict[tuple[str, str, str], Priced]) -> str:
    same = [c for c in comparisons if (c.figure, c.workload) == (missed.figure, missed.workload)]
    if missed.quantity == ORDER:
        return _heights([c for c in same if c.quantity == TOTAL])
    bar = bars[missed.figure, missed.workload, missed.configuration]
    if missed.quantity == LOCAL_SHARE:
        return _counts(bar, "", ("l2_fetch", "l2_load", "l2_store"))
    if missed.quantity == f"virtual_{TOTAL}":
        return _virtual_parts(bar)
    segments = [c for c in same if c.configuration == missed.configuration and _is_segment(c, missed)]
    if not segments:
        return ""
    worst = max(segments, key=lambda c: abs(c.ours - c.published))
    off = worst.ours - worst.published
    text = f"most of it: {worst.quantity} {off:+.1f} ({worst.ours:.1f} for {worst.published:.1f})"
    counts = _counts_of_segment(bar, worst.quantity)
    return f"{text}; {counts}" if counts else text


def _is_segment(one: Comparison, missed: Comparison) -> bool:
    """Whether a comparison is of a part of what was missed."""
    if missed.figure == "figure6":
        return one.quantity.startswith("machine_") and not one.quantity.endswith(TOTAL)
    return one.unit == missed.unit and one.quantity != TOTAL and missed.quantity == TOTAL


def _counts_of_segment(bar: Priced, segment: str) -> str:
    if segment in ("local_stall", "remote_stall", "stall"):
        return _counts(bar, "", _MEMORY_EVENTS)
    if segment == "idle":
        return _counts(bar, "", ("disk_reads_done", "disk_writes", "idle_spins"))
    if segment == "monitor":
        return _parts(bar) + "; " + _counts(bar, "", _MONITOR_EVENTS)
    if segment not in _SEGMENT_CONTEXTS:
        return ""
    events = ("lock_acquires",) if segment == "sync" else ("instructions", *_MEMORY_EVENTS)
    return _counts(bar, _SEGMENT_CONTEXTS[segment], events)


def _counts(bar: Priced, context: str, events: Iterable[str]) -> str:
    """The most frequent of the events whose names begin so, counted in contexts whose names begin so."""
    wanted = pl.any_horizontal(pl.col("event").cast(pl.String).str.starts_with(event) for event in events)
    found = bar.found.counts.filter(pl.col("context").cast(pl.String).str.starts_with(context) & wanted)
    sums = found.group_by(pl.col("event").cast(pl.String)).agg(pl.col("count").sum())
    largest = sorted(sums.iter_rows(), key=lambda row: (-row[1], row[0]))[:_COUNTS_SHOWN]
    return ", ".join(f"{count:,} {event}" for event, count in largest if count)


def _parts(bar: Priced) -> str:
    parts = {part: ms for part, ms in bar.outcome.parts_ms.items() if part.startswith("monitor") and ms}
    largest = sorted(parts, key=lambda part: (-parts[part], part))[:_COUNTS_SHOWN]
    return ", ".join(f"{part} {parts[part]:.3g} ms" for part in largest)


def _virtual_parts(bar: Priced) -> str:
    """What the guests believe to use; the paper prints the parts of the machine's memory alone."""
    kib = bar.memory.end.virtual_kib
    return "here in MB: " + ", ".join(f"{name} {size / 1024:.1f}" for name, size in kib.items() if size)


def _heights(totals: list[Comparison]) -> str:
    return ", ".join(f"{c.configuration} {c.ours:.0f} for {c.published:.0f}" for c in totals)


def _explanation(one: Comparison) -> str:
    """What is written of a comparison: of its quantity, or of all its bar."""
    return next(
        (
            entry["text"]
            for entry in _explanations()
            if (entry["figure"], entry["workload"]) == (one.figure, one.workload)
            and entry["configuration"] == one.configuration
            and entry.get("quantity", TOTAL) == one.quantity
        ),
        "",
    )


@cache
def _explanations() -> list[dict[str, str]]:
    text = (resources.files("discotrace.analysis.paper") / "explanations.toml").read_text(encoding="utf-8")
    entries: list[dict[str, str]] = tomllib.loads(text).get("explanation", [])
    return entries
