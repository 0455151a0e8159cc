"""The points of a sweep as a table: every combination of a grid, or points that are drawn."""

import json
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from discotrace.analysis.configuration import STRUCTURAL_KEYS, Tables
from discotrace.analysis.expression import fulfilling
from discotrace.analysis.sweep.spec import GRID, LHS, Axis, Spec
from discotrace.analysis.sweep.values import Interval
from discotrace.tracegen.errors import ConfigError

POINT, PAIR, TRACE, SYSTEM = "point", "pair", "trace", "system"
MOST_POINTS = 20_000_000  # they are kept in memory while they are planned


def points_of(spec: Spec, base: Tables) -> pl.DataFrame:
    """One row a point: ``point`` (its number), ``pair``, ``trace``, ``system``, and a column for each key that varies.

    Traces vary slowest, then the axes in their order, systems fastest: each combination is tried under each system;
    points that differ in nothing else are of one ``pair``. Both numbers ascend.
    ``base``: the machine's tables, for conditions on keys that do not vary. Raises ConfigError.
    """
    combinations = _grid(spec.dimensions) if spec.design.kind == GRID else _drawn(spec)
    count = max(1, combinations.height) * len(spec.traces) * len(spec.systems)
    if count > MOST_POINTS:
        raise ConfigError(f"{count:,} points, at most {MOST_POINTS:,} are possible: split the sweep, or draw from it")
    traces = pl.DataFrame({TRACE: pl.Series(list(spec.traces), dtype=pl.Enum(list(dict.fromkeys(spec.traces))))})
    systems = pl.DataFrame({SYSTEM: pl.Series(list(spec.systems), dtype=pl.Enum(list(dict.fromkeys(spec.systems))))})
    crossed = _crossed(_crossed(traces, combinations), systems)
    crossed = crossed.with_columns((pl.int_range(pl.len()) // len(spec.systems)).alias(PAIR))
    kept = _fulfilling(crossed, spec, base)
    columns = [PAIR, TRACE, SYSTEM, *combinations.columns]
    return kept.select(columns).with_row_index(POINT).cast({POINT: pl.Int64})


def cell(value: Any) -> Any:
    """A value as the table has it: plain, lists as JSON."""
    return json.dumps(value) if isinstance(value, list) else value


def _grid(dimensions: Sequence[Sequence[Axis]]) -> pl.DataFrame:
    """All combinations, the last dimension varying fastest."""
    lengths = [len(_values(group[0])) for group in dimensions]
    total = prod(lengths)
    if total > MOST_POINTS:
        raise ConfigError(f"{total:,} combinations, at most {MOST_POINTS:,} are possible: draw some with --lhs N")
    number = np.arange(total)
    columns: dict[str, pl.Series] = {}
    for place, group in enumerate(dimensions):
        index = number // prod(lengths[place + 1 :]) % lengths[place]
        columns |= {axis.key: _series(axis, index) for axis in group}
    return pl.DataFrame(columns)


def _drawn(spec: Spec) -> pl.DataFrame:
    """``count`` points: independent ones, or a Latin hypercube (McKay, Beckman and Conover, Technometrics 21, 1979),
    in which each axis, cut into ``count`` strata of equal probability, has one point in each."""
    count, draw = spec.design.count, np.random.default_rng(spec.design.seed)
    columns: dict[str, pl.Series] = {}
    for group in spec.dimensions:
        share = draw.random(count)
        if spec.design.kind == LHS:
            share = (draw.permutation(count) + share) / count
        for axis in group:
            columns[axis.key] = _at(axis, share)
    return pl.DataFrame(columns)


def _at(axis: Axis, share: NDArray[np.float64]) -> pl.Series:
    """The values at shares from 0 to 1 of the axis."""
    if not isinstance(axis.values, Interval):
        return _series(axis, (share * len(axis.values)).astype(np.int64))
    values = axis.values.at(share)
    if axis.values.whole and _takes_whole_numbers(axis.key):
        return pl.Series(np.rint(values).astype(np.int64))
    return pl.Series(values)


def _series(axis: Axis, index: NDArray[np.int64]) -> pl.Series:
    values = [cell(value) for value in _values(axis)]
    if all(type(value) in (int, float) for value in values) and any(type(value) is float for value in values):
        values = [float(value) for value in values]
    if len({type(value) for value in values}) > 1:
        raise ConfigError(f"{axis.key}: values of different types: {', '.join(map(repr, values))}")
    return pl.Series(values).gather(index)


def _values(axis: Axis) -> list[Any]:
    assert not isinstance(axis.values, Interval), "spec.checked refuses intervals in a grid"
    return axis.values


def _takes_whole_numbers(key: str) -> bool:
    table, _, name = key.partition(".")
    return name in STRUCTURAL_KEYS.get(table, ())


def _crossed(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """Every row of the left with every row of the right, the right varying faster."""
    if not right.width:
        return left
    if not left.width:
        return right
    return left.join(right, how="cross", maintain_order="left_right")


def _fulfilling(points: pl.DataFrame, spec: Spec, base: Tables) -> pl.DataFrame:
    """The points that fulfil all conditions."""

    def meaning(name: str) -> pl.Expr:
        if name in (TRACE, SYSTEM):
            return pl.col(name).cast(pl.String)
        if name in points.columns and name != PAIR:
            return pl.col(name)
        table, _, key = name.partition(".")
        value = base.get(table, {}).get(key)
        if value is None or isinstance(value, list):
            raise ConfigError(f"--where: {name} is no key; known: {TRACE}, {SYSTEM}, those of discotrace show-config")
        return pl.lit(value)

    for text in spec.where:
        points = fulfilling(points, text, meaning)
    return points
