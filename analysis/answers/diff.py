"""What differs between two sweeps at the same points, and whether it is within limits."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any

import polars as pl

from discotrace.analysis.answers.limits import Limit, limit_of, relative_change
from discotrace.analysis.answers.matching import AFTER, Matched, differences, matched
from discotrace.analysis.answers.names import number_named, parts_of
from discotrace.analysis.answers.results import Results
from discotrace.analysis.sweep.figures import REMOTE, SLOWDOWN, TIME

MAIN_FIGURES = (TIME, SLOWDOWN, "kernel_percent", "monitor_percent", REMOTE)


@dataclass(frozen=True)
class Extreme:
    """The point at which a figure changes most. ``percent``: of the figure before; None where that was 0."""

    point: dict[str, Any]
    before: float
    after: float
    percent: float | None


@dataclass(frozen=True)
class Change:
    """What became of a figure at the points that both have: how many, and how many did not change.

    ``median_percent``: of the changes; ``mean_percent``: the geometric mean of the ratios, as a change, over points at
    which both are above 0. ``rise``, ``fall``: the largest, None if there is none.
    """

    figure: str
    points: int
    unchanged: int
    median_percent: float | None
    mean_percent: float | None
    rise: Extreme | None
    fall: Extreme | None


@dataclass(frozen=True)
class Broken:
    """A limit and the points that break it, the worst first."""

    limit: Limit
    points: pl.DataFrame


@dataclass(frozen=True)
class Difference:
    """``faults``: why the check that was asked for fails, a line each; empty if it passes, or none was asked for."""

    matched: Matched
    changes: list[Change]
    broken: list[Broken]
    faults: list[str]
    remarks: list[str]


def diff(
    first: Results,
    second: Results,
    of: str | Iterable[str] = MAIN_FIGURES,
    fail_if: Iterable[str] = (),
    allow_missing: bool = False,
) -> Difference:
    """Compare the points of two sweeps that have the same parameters, trace and system.

    ``fail_if``: limits like ``time>+2%``. With any, a point of the first sweep that the second lacks is a fault too
    unless ``allow_missing``, and so is having no point in common. Raises ConfigError for names and limits that are
    wrong, and for sweeps whose points cannot be matched.
    """
    schema = pl.Schema({name: kind for name, kind in first.schema.items() if name in second.schema})
    limits = [limit_of(text, schema) for text in fail_if]
    figures = [number_named(name, schema) for name in parts_of(of)]
    found = matched(first, second, list(dict.fromkeys([*figures, *(limit.figure for limit in limits)])))
    broken = [Broken(limit, limit.broken(found.both)) for limit in limits]
    faults = [f"{one.limit.text}: at {one.points.height:,} points" for one in broken if one.points.height]
    if limits and not found.both.height:
        faults.append("no point of one is a point of the other")
    elif limits and found.missing.height and not allow_missing:
        faults.append(f"{second.source} lacks {found.missing.height:,} points of {first.source}")
    return Difference(
        matched=found,
        changes=[change_of(figure, found) for figure in figures],
        broken=[one for one in broken if one.points.height],
        faults=faults,
        remarks=list(dict.fromkeys([*first.remarks, *second.remarks, *differences(first, second)])),
    )


def change_of(figure: str, found: Matched) -> Change:
    """The changes of a figure at matched points, in short."""
    told = found.both.select(*found.keys, figure, figure + AFTER).drop_nulls()
    changes = told.select(relative_change(figure)).to_series()
    positive = (pl.col(figure) > 0) & (pl.col(figure + AFTER) > 0)
    logs = told.filter(positive).select((pl.col(figure + AFTER) / pl.col(figure)).log()).to_series()
    mean, median = logs.mean(), changes.median()
    return Change(
        figure=figure,
        points=told.height,
        unchanged=int((changes == 0).sum()),
        median_percent=median if isinstance(median, float) and isfinite(median) else None,
        mean_percent=100 * (exp(mean) - 1) if isinstance(mean, float) else None,
        rise=_extreme(told, figure, found.keys, changes.arg_max()) if (changes > 0).any() else None,
        fall=_extreme(told, figure, found.keys, changes.arg_min()) if (changes < 0).any() else None,
    )


def _extreme(told: pl.DataFrame, figure: str, keys: list[str], place: int | None) -> Extreme:
    assert place is not None, "there is a change"
    row = told.row(place, named=True)
    before, after = row[figure], row[figure + AFTER]
    percent = 100 * (after - before) / abs(before) if before else None
    return Extreme({key: row[key] for key in keys}, before, after, percent)
