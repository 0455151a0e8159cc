"""Factors of an analysis of variance: what varies between points, keys whose values go together being one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Factor:
    """``levels``: its values, ascending, a column for each key that it is; ``codes``: the level of each point."""

    name: str
    levels: pl.DataFrame
    codes: Codes

    @property
    def count(self) -> int:
        """How many levels it has."""
        return self.levels.height

    @property
    def is_numeric(self) -> bool:
        """Whether its levels are numbers."""
        return self.levels.dtypes[0].is_numeric()

    @property
    def numbers(self) -> Floats:
        """Its levels as numbers; of keys that go together those of the first, as the others follow it."""
        return self.levels.to_series(0).cast(pl.Float64).to_numpy()

    def value(self, level: int) -> Any:
        """The value at a level; of keys that go together a list."""
        values = list(self.levels.row(level))
        return values[0] if len(values) == 1 else values


@dataclass(frozen=True)
class Level:
    """A value of a factor and the mean figure there."""

    value: Any
    mean: float


@dataclass(frozen=True)
class Main:
    """What a factor does by itself. ``share`` of the variance, 0 to 1; ``levels`` in the order of their values."""

    name: str
    share: float
    levels: list[Level]

    @property
    def lowest(self) -> Level:
        """The level with the least mean."""
        return min(self.levels, key=lambda level: level.mean)

    @property
    def highest(self) -> Level:
        """The level with the highest mean."""
        return max(self.levels, key=lambda level: level.mean)


@dataclass(frozen=True)
class Interaction:
    """What two factors do together, beyond what each does by itself."""

    names: tuple[str, str]
    share: float


@dataclass(frozen=True)
class Shares:
    """Main effects and interactions, largest first; ``rest``: the share of the variance that none of them explains."""

    main: list[Main]
    interactions: list[Interaction]
    rest: float


def factors_of(rows: pl.DataFrame, names: Sequence[str], together: Iterable[Sequence[str]]) -> list[Factor]:
    """The factors of these columns that vary in these rows; ``together``: columns of which each decides the others."""
    whole = {name: tuple(group) for group in together for name in group}
    groups = dict.fromkeys(whole.get(name, (name,)) for name in names)
    found = []
    for group in groups:
        distinct = rows.select(group).unique().sort(group)
        if distinct.height > 1:
            numbered = rows.select(group).join(distinct.with_row_index("code"), on=list(group), maintain_order="left")
            found.append(Factor(", ".join(group), distinct, numbered["code"].cast(pl.Int64).to_numpy()))
    return found


def pairs(factors: Sequence[Factor]) -> Iterable[tuple[Factor, Factor]]:
    """Every two of them."""
    return combinations(factors, 2)


def ordered(main: Iterable[Main], interactions: Iterable[Interaction], rest: float) -> Shares:
    """The largest shares first."""
    return Shares(
        sorted(main, key=lambda one: -one.share), sorted(interactions, key=lambda one: -one.share), max(0.0, rest)
    )
