"""Printers of answers: tables for the terminal."""

import math
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import polars as pl
from rich.table import Table
from rich.text import Text

from discotrace.analysis.answers.best import Best
from discotrace.analysis.answers.diff import Change, Difference, Extreme
from discotrace.analysis.answers.effects import EXACT, Effects
from discotrace.analysis.answers.factors import Interaction, Level
from discotrace.analysis.answers.matching import AFTER
from discotrace.analysis.sweep.points import TRACE
from discotrace.analysis.text import figure

SMALL = 0.001  # a share of the variance that is not worth a line of its own
MOST_INTERACTIONS = 10
MOST_BROKEN = 10
MOST_LEVELS = 10


def best_table(found: Best) -> Table:
    """The points, one a row."""
    return _rows_table(found.rows)


def effects_table(found: Effects) -> Table:
    """A row for each parameter and for each interaction that is worth one."""
    mean = f"mean {_four_digits(found.mean)}, standard deviation {figure(found.deviation)}"
    table = _table(f"{found.figure} at {found.points:,} points{_at(found.group)}: {mean}")
    table.add_column("")
    for title in ("share of variance, %", "lowest mean", "at", "highest mean", "at"):
        table.add_column(title, justify="right")
    if found.shares is None:
        table.add_row("the same at all points", "", "", "", "", "")
        return table
    for one in found.shares.main:
        table.add_row(one.name, _percent(one.share), *_level(one.lowest), *_level(one.highest))
    table.add_section()
    told, small = _worth_telling(found.shares.interactions)
    for both in told:
        table.add_row(" x ".join(both.names), _percent(both.share), "", "", "", "")
    if small:
        table.add_row(f"other interactions: {len(small):,}", _percent(sum(one.share for one in small)), "", "", "", "")
    rest = "interactions of three and more" if found.method == EXACT else "not explained"
    table.add_row(rest, _percent(found.shares.rest), "", "", "", "")
    return table


def levels_table(found: Effects) -> Table:
    """The mean at each value of each parameter, over all values of the others; of many values at some."""
    table = _table(f"mean {found.figure}{_at(found.group)} at each value, over all others")
    table.add_column("")
    table.add_column("value: mean")
    for one in found.shares.main if found.shares else ():
        step = -(-len(one.levels) // MOST_LEVELS)
        told = (f"{_cell(level.value)}: {_four_digits(level.mean)}" for level in one.levels[::step])
        table.add_row(one.name, Text("   ".join(told)))
    return table


def method_of(found: Effects) -> str:
    """How exact it is, in a line."""
    if found.method == EXACT:
        return "exact: every combination is there once"
    if found.shares is None:
        return "no effects: the figure is the same at all points"
    together = "" if found.shares.interactions else "; too few points to tell interactions"
    return (
        f"approximate: combinations are missing; least squares explain {_percent(1 - found.shares.rest)} % of the "
        f"variance, and a share is what they lose without the parameter{together}"
    )


def changes_table(found: Difference) -> Table:
    """A row for each figure."""
    missing, added = found.matched.missing.height, found.matched.added.height
    table = _table(f"{found.matched.both.height:,} points of both, {missing:,} of A alone, {added:,} of B alone")
    for title in ("", "points", "unchanged", "median, %", "geometric mean, %", "largest fall, %", "largest rise, %"):
        table.add_column(title, justify="right" if title else "left")
    for one in found.changes:
        extremes = [_signed(end.percent) if end else "-" for end in (one.fall, one.rise)]
        means = (_signed(one.median_percent), _signed(one.mean_percent))
        table.add_row(one.figure, f"{one.points:,}", f"{one.unchanged:,}", *means, *extremes)
    return table


def extremes_of(change: Change) -> list[str]:
    """Where a figure changes most, a line each."""
    return [
        f"{change.figure}: largest {name} {_four_digits(end.before)} -> {_four_digits(end.after)}"
        f"{_change(end.before, end.after)} at {point_text(end.point)}"
        for name, end in (("fall", change.fall), ("rise", change.rise))
        if isinstance(end, Extreme)
    ]


def broken_lines(found: Difference) -> list[str]:
    """The points that break a limit, a line each, the first ``MOST_BROKEN`` of each limit."""
    lines = []
    for one in found.broken:
        name = one.limit.figure
        lines.append(f"{one.limit.text} at {one.points.height:,} of {found.matched.both.height:,} points:")
        for row in one.points.head(MOST_BROKEN).iter_rows(named=True):
            before, after = row[name], row[name + AFTER]
            point = point_text({key: row[key] for key in found.matched.keys})
            lines.append(f"  {_value(before)} -> {_value(after)}{_change(before, after)} at {point}")
        if one.points.height > MOST_BROKEN:
            lines.append(f"  and {one.points.height - MOST_BROKEN:,} more")
    return lines


def missing_lines(found: Difference) -> list[str]:
    """Points of one sweep alone, the first of them."""
    lines = []
    for side, rows in (("A", found.matched.missing), ("B", found.matched.added)):
        if rows.height:
            more = f" and {rows.height - 1:,} more" if rows.height > 1 else ""
            lines.append(f"in {side} alone: {point_text(rows.row(0, named=True))}{more}")
    return lines


def point_text(point: Mapping[str, Any]) -> str:
    """A point as its parameters."""
    return ", ".join(f"{key}={_cell(value, key)}" for key, value in point.items())


def _rows_table(rows: pl.DataFrame) -> Table:
    table = _table(None)
    for name, kind in rows.schema.items():
        table.add_column(name, justify="right" if kind.is_numeric() else "left")
    for row in rows.iter_rows(named=True):
        table.add_row(*(Text(_cell(value, name)) for name, value in row.items()))
    return table


def _table(title: str | None) -> Table:
    """The title is plain text, whatever is in it."""
    return Table(title=Text(title, "table.title") if title else None, title_justify="left")


def _worth_telling(interactions: Iterable[Interaction]) -> tuple[list[Interaction], list[Interaction]]:
    """Those that are told one by one, and the rest. They come largest first."""
    found = list(interactions)
    told = [one for one in found[:MOST_INTERACTIONS] if one.share >= SMALL]
    return told, found[len(told) :]


def _cell(value: Any, column: str = "") -> str:
    if isinstance(value, list):
        return ", ".join(_cell(one) for one in value)
    if column == TRACE:
        return PurePosixPath(str(value)).name
    return _four_digits(value) if isinstance(value, float) else "-" if value is None else str(value)


def _four_digits(value: float) -> str:
    """A number with about four significant digits: good points are close to each other."""
    places = 3 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:,.{max(0, places)}f}"


def _value(value: float | None) -> str:
    return "nothing" if value is None else _four_digits(value)


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None or before == 0:
        return ""
    return f" ({_signed(100 * (after - before) / abs(before))} %)"


def _at(group: Mapping[str, Any]) -> str:
    return f" of {point_text(group)}" if group else ""


def _level(level: Level) -> tuple[str, Text]:
    return _four_digits(level.mean), Text(_cell(level.value))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _signed(percent: float | None) -> str:
    if percent is None:
        return "-"
    return f"{percent:+.2f}" if abs(percent) >= 0.005 else f"{percent:+.1g}" if percent else "0"
