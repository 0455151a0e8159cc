"""What each parameter does to a figure: shares of its variance over the points of a sweep, and means at each value."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from discotrace.analysis.answers import factorial, regression
from discotrace.analysis.answers.factors import Shares, factors_of
from discotrace.analysis.answers.names import columns_named, number_named
from discotrace.analysis.answers.results import Results
from discotrace.analysis.answers.selection import select
from discotrace.tracegen.errors import ConfigError

TIME = "time"
ROUNDING = 1e-12  # figures that differ by no more of their size are the same
EXACT, FITTED = "exact", "least squares"


@dataclass(frozen=True)
class Effects:
    """Effects on ``figure`` at the points of one ``group`` (values of ``by``).

    ``deviation``: the standard deviation over all points; ``method``: exact (every combination is there once), or least
    squares. ``shares``: None where the figure is the same at all points.
    """

    figure: str
    group: dict[str, Any]
    points: int
    mean: float
    deviation: float
    method: str
    shares: Shares | None


def effects(results: Results, of: str = TIME, by: str | Iterable[str] = ()) -> list[Effects]:
    """Main effects and interactions of two, for each value of ``by``; trace and system are parameters as others.

    Raises ConfigError for names that are wrong, where nothing varies, and for too few points, CheckFailedError if no
    point has the figure.
    """
    figure = number_named(of, results.schema)
    groups = columns_named(by, results.schema.names())
    if figure in results.varying:
        raise ConfigError(f"{figure} is a parameter: give a figure that depends on them, like time")
    rows = select(results, [figure, *groups], ()).rows
    parts = rows.sort(groups, maintain_order=True).partition_by(groups, maintain_order=True) if groups else [rows]
    return [_of_group(results, part, figure, groups) for part in parts]


def _of_group(results: Results, rows: pl.DataFrame, figure: str, groups: list[str]) -> Effects:
    factors = factors_of(rows, [name for name in results.varying if name not in groups], results.together)
    group = {name: rows[name][0] for name in groups}
    if not factors:
        at = ", ".join(f"{name}={value}" for name, value in group.items())
        raise ConfigError(f"{results.source}: no parameter varies{' at ' + at if at else ''}")
    figures = rows[figure].cast(pl.Float64).to_numpy()
    exact = factorial.is_full(factors, rows.height)
    found = None
    if np.ptp(figures) > ROUNDING * np.abs(figures).max():
        found = (factorial if exact else regression).shares(factors, figures)
    return Effects(
        figure=figure,
        group=group,
        points=rows.height,
        mean=float(figures.mean()),
        deviation=float(figures.std()),
        method=EXACT if exact else FITTED,
        shares=found,
    )
