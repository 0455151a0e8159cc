"""Printers of miss curves: tables for the terminal, a tree for JSON, and what is to be known of them in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from discotrace.analysis.curve.curve import CLASSES, Curve
from discotrace.analysis.curve.measure import Measured
from discotrace.analysis.curve.question import ALL_SETS, CACHES, L2, PAGES, TLB
from discotrace.analysis.text import figure
from discotrace.replay.machine import Machine

JSON_SCHEMA = 1
TITLES = {TLB: "TLB", "l1i": "L1I", "l1d": "L1D", L2: "L2", PAGES: "pages of memory"}


def curve_json(about: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """Everything as plain values with stable names; of each curve the sizes at which its misses change."""
    question = measured.question
    sample = None
    if question.sample is not None:
        sample = {"rate": question.sample, "seed": question.seed or 0, "classes": CLASSES}
    return {
        "schema": JSON_SCHEMA,
        **about,
        "what": question.what,
        "sample": sample,
        "remarks": remarks(measured),
        "curves": [_tree(curve, measured) for curve in measured.curves],
    }


def heading(about: Mapping[str, Any]) -> str:
    """The line over the tables."""
    trace, cpus = about["trace"], about["cpus"]
    return f"{trace['name']}: {trace['rows']:,} records on {cpus} {'CPU' if cpus == 1 else 'CPUs'}"


def curve_tables(measured: Measured, all_sizes: bool) -> list[Table]:
    """A table for each curve; or, of several numbers of sets, one of sets and ways for each structure."""
    if measured.question.sets != ALL_SETS or all_sizes:
        return [_by_size(curve, all_sizes) for curve in measured.curves]
    names = CACHES[measured.question.what]
    return [_by_sets([curve for curve in measured.curves if curve.scale.name == name]) for name in names]


def remarks(measured: Measured) -> list[str]:
    """Lines that stand under the tables: how far replay would count the same, and what is not told."""
    question, machine = measured.question, measured.machine
    if question.what == TLB:
        lines = [
            "least recently used entries go; the modelled TLB replaces at random, with some entries wired (tlb.wired = "
            f"{machine.tlb.wired}), so replay counts other misses at the same size"
        ]
    elif question.what == PAGES:
        lines = ["pages of all CPUs in one memory, which loses the least recently used; replay never pages"]
    else:
        lines = _differences(machine)
    if question.sample is not None:
        lines.append(
            f"estimated from {100 * question.sample:g} % of what is accessed; bounds hold with 95 % confidence"
        )
    if any(curve.largest and curve.depths.never > curve.cold + curve.elsewhere for curve in measured.curves):
        lines.append("still more ways would spare still more misses: --max-ways tells them")
    return lines


def equals_replay(measured: Measured) -> bool:
    """Whether a replay of every size counts these misses."""
    return measured.question.what in CACHES and measured.question.sample is None and not _takers(measured.machine)


def _differences(machine: Machine) -> list[str]:
    takers = _takers(machine)
    if not takers:
        return ["replay counts the same misses at every size"]
    return [f"nothing but newer lines takes a line from a cache; in replay {' and '.join(takers)} do too: other misses"]


def _takers(machine: Machine) -> list[str]:
    """What takes lines from replayed caches, other than the lack of room."""
    takers = ["writes of other CPUs"] if machine.cpu.count > 1 else []
    return takers + (["lines that leave L2 (l2.inclusive)"] if machine.l2.inclusive else [])


def _tree(curve: Curve, measured: Measured) -> dict[str, Any]:
    sizes = curve.break_points()
    bounds = curve.bound_at(sizes)
    return {
        "name": curve.scale.name,
        "sets": curve.scale.sets,
        "unit": curve.scale.unit,
        "unit_kib": curve.scale.unit_bytes / 1024,
        "configured": curve.scale.configured,
        "largest": curve.largest,
        "accesses": curve.accesses,
        "cold_misses": curve.cold,
        "elsewhere_misses": curve.elsewhere,
        "is_exact": not curve.is_sampled,
        "equals_replay": equals_replay(measured),
        "largest_bound": float(bounds.max()),
        "sizes": sizes.tolist(),
        "misses": np.rint(curve.misses_at(sizes)).astype(np.int64).tolist(),
        "bounds": bounds.tolist() if curve.is_sampled else None,
    }


def _by_size(curve: Curve, all_sizes: bool) -> Table:
    scale, sizes = curve.scale, curve.break_points() if all_sizes else curve.table_sizes()
    cold = f"{'about ' if curve.is_sampled else ''}{curve.cold:,}"
    table = _table(f"{_title(curve)}: {curve.accesses:,} accesses, {cold} cold")
    for header in (scale.unit, "reach, KiB" if scale.name == TLB else "KiB", "misses", "miss ratio, %"):
        table.add_column(header, justify="right")
    if curve.is_sampled:
        table.add_column("±", justify="right")
    table.add_column("")
    columns = (sizes, scale.size_kib(sizes), curve.misses_at(sizes), curve.ratio_at(sizes), curve.bound_at(sizes))
    for size, kib, misses, ratio, bound in zip(*(column.tolist() for column in columns), strict=True):
        cells = [f"{size:,}", figure(kib), f"{round(misses):,}", figure(100 * ratio)]
        cells += [figure(100 * bound)] if curve.is_sampled else []
        table.add_row(*cells, "configured" if size == scale.configured else "")
    return table


def _by_sets(curves: list[Curve]) -> Table:
    """Miss ratios: rows are sets, columns are ways; the machine's own size is marked."""
    accesses, cold = curves[0].accesses, curves[0].cold
    own = curves[-1].scale
    ways = curves[-1].table_sizes()
    table = _table(
        f"{TITLES[own.name]}: {accesses:,} accesses, {cold:,} cold. Miss ratio, %; * is the machine's own size"
    )
    table.add_column("sets", justify="right")
    for size in ways.tolist():
        table.add_column("1 way" if size == 1 else f"{size:,} ways", justify="right", overflow="fold")
    for curve in curves:
        marks = ["*" if curve.scale == own and size == own.configured else "" for size in ways]
        ratios = [figure(100 * ratio) for ratio in curve.ratio_at(ways).tolist()]
        table.add_row(f"{curve.scale.sets:,}", *(ratio + mark for ratio, mark in zip(ratios, marks, strict=True)))
    return table


def _title(curve: Curve) -> str:
    name = TITLES[curve.scale.name]
    if curve.scale.name in (TLB, PAGES):
        return name
    return f"{name} of {curve.scale.sets:,} sets" if curve.scale.unit == "ways" else f"{name}, fully associative"


def _table(title: str) -> Table:
    return Table(title=Text(title, "table.title"), title_justify="left")
