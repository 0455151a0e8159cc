"""The best points of a sweep: by one figure, or those of which no other is better in all figures that count."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discotrace.analysis.answers.names import columns_named, number_named, parts_of
from discotrace.analysis.answers.results import Results
from discotrace.analysis.answers.selection import select
from discotrace.analysis.sweep.points import POINT
from discotrace.analysis.sweep.sampled_figures import HALF_WIDTH
from discotrace.tracegen.errors import ConfigError

MOST_FIRST = "max:"  # before the name of a figure of which more is better
TOP = 5


@dataclass(frozen=True)
class Objective:
    """A figure that counts, and whether more of it is better."""

    column: str
    is_maximized: bool = False


@dataclass(frozen=True)
class Best:
    """``rows``: the points with ``by``, what varies, the objectives (of samples with their half widths), what the
    conditions name, best first.

    ``considered``: how many points fulfil the conditions.
    """

    rows: pl.DataFrame
    objectives: list[Objective]
    considered: int


def best(
    results: Results,
    minimize: str | None = None,
    maximize: str | None = None,
    subject_to: Iterable[str] = (),
    by: str | Iterable[str] = (),
    top: int = TOP,
) -> Best:
    """The points with the least or the most of a figure, ``top`` of them for each value of ``by``.

    Equally good ones come in the order of the points. Raises ConfigError for names and conditions that are wrong,
    CheckFailedError if no point fulfils the conditions.
    """
    if (minimize is None) == (maximize is None):
        raise ConfigError("give one figure to minimize or to maximize")
    if top < 1:
        raise ConfigError(f"top is {top}, expected 1 or more")
    one = Objective(number_named(minimize or maximize or "", results.schema), maximize is not None)
    groups = columns_named(by, results.schema.names())
    found = select(results, [*_shown([one], results.schema), *groups], subject_to)
    order = found.rows.sort([one.column, POINT], descending=[one.is_maximized, False])
    kept = order.group_by(groups, maintain_order=True).head(top) if groups else order.head(top)
    return Best(_told(results, kept, groups, [one], found.named), [one], found.rows.height)


def pareto(
    results: Results, objectives: str | Iterable[str], subject_to: Iterable[str] = (), by: str | Iterable[str] = ()
) -> Best:
    """The points of which no other is at least as good in all objectives and better in one, for each value of ``by``.

    ``objectives``: figures or parameters, least best, or most best if ``max:`` stands before. Sorted by the first.
    Raises as ``best`` does.
    """
    wanted = [_objective(part, results.schema) for part in parts_of(objectives)]
    columns = [one.column for one in wanted]
    if len(wanted) < 2 or len(set(columns)) < len(columns):
        raise ConfigError("a Pareto front needs two different figures or more: time,l2.size_kib")
    groups = columns_named(by, results.schema.names())
    found = select(results, [*_shown(wanted, results.schema), *groups], subject_to)
    parts = found.rows.partition_by(groups, maintain_order=True) if groups else [found.rows]
    signs = np.array([-1.0 if one.is_maximized else 1.0 for one in wanted])
    fronts = [part.filter(non_dominated(part.select(columns).cast(pl.Float64).to_numpy() * signs)) for part in parts]
    descending = [one.is_maximized for one in wanted]
    rows = pl.concat([front.sort([*columns, POINT], descending=[*descending, False]) for front in fronts])
    return Best(_told(results, rows, groups, wanted, found.named), wanted, found.rows.height)


def non_dominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of these points no other dominates: is nowhere dearer and somewhere cheaper. ``costs``: [points, figures].

    In lexicographic order a point is dominated by none after it. So the first that is left is on the front, and takes
    away all that it dominates: one pass for each point of the front.
    """
    distinct, back = np.unique(costs, axis=0, return_inverse=True)
    on_front = np.zeros(len(distinct), bool)
    left = np.arange(len(distinct))
    while len(left):
        first, others = left[0], left[1:]
        on_front[first] = True
        left = others[(distinct[others] < distinct[first]).any(axis=1)]
    return on_front[back.reshape(-1)]


def _objective(text: str, schema: pl.Schema) -> Objective:
    is_maximized = text.startswith(MOST_FIRST)
    return Objective(number_named(text.removeprefix(MOST_FIRST), schema), is_maximized)


def _shown(objectives: list[Objective], schema: pl.Schema) -> list[str]:
    """The columns of the objectives; of samples each with its half width."""
    both = ((one.column, f"{one.column}{HALF_WIDTH}") for one in objectives)
    return [name for names in both for name in names if name in schema]


def _told(
    results: Results, rows: pl.DataFrame, groups: list[str], objectives: list[Objective], named: list[str]
) -> pl.DataFrame:
    columns = [*groups, *_shown(objectives, results.schema), *results.varying, *named]
    ordered = rows.sort(groups, maintain_order=True) if groups else rows
    return ordered.select(list(dict.fromkeys([*columns, POINT])))
