"""Figures of counts, whether of a whole trace or of a sample: a sample's have half widths beside them.

A sample is priced in layers, as ``sampling.estimate`` describes them: all intervals, and all but each one of them. The
figures are those of the first layer, the half widths of their 95 % confidence intervals come from the others.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import polars as pl

from discotrace.analysis.configuration import from_tables
from discotrace.analysis.counts_file import CountsFile
from discotrace.analysis.outcome import counted
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import Floats
from discotrace.analysis.report import site_of
from discotrace.analysis.sampling.estimate import Layer, half_widths
from discotrace.analysis.sampling.stored import is_sample, layers_of
from discotrace.analysis.sweep.figures import BUSY, ERROR, FIGURES, SLOWDOWN, TIME, Pricer

HALF_WIDTH = "_half_width"  # after the name of a figure
ESTIMATED = tuple(name for name in FIGURES if name not in (BUSY, ERROR))  # of what is highest no spread is known
HALF_WIDTHS = tuple(f"{name}{HALF_WIDTH}" for name in ESTIMATED)


class Figures(Protocol):
    """What prices counts; see ``Pricer``."""

    def figures(self, changes: Mapping[str, Floats], points: int) -> pl.DataFrame:
        """The figures at so many points, one row each."""


class LayerPricer:
    """Prices a layer of a sample: figures of a run as long as the trace."""

    def __init__(self, layer: Layer, prices: Prices, changes: Mapping[str, Floats]) -> None:
        """As of ``Pricer``."""
        self._pricer = Pricer(layer.counted, prices, changes)
        self._scale = layer.scale

    def figures(self, changes: Mapping[str, Floats], points: int) -> pl.DataFrame:
        """See ``Pricer``."""
        return self._pricer.figures(changes, points).with_columns(pl.col(r"^.*_ms$") * self._scale)


def pricers_of(counts: CountsFile, system: str, prices: Prices, changes: Mapping[str, Floats]) -> Sequence[Figures]:
    """What prices the counts of a system, one for each layer; a replay of a whole trace has one.

    ``changes``: prices by ``table.key`` at all points, arrays. Raises ConfigError for a price that cannot be.
    """
    if is_sample(counts):
        return [LayerPricer(layer, prices, changes) for layer in layers_of(counts, system)]
    return [Pricer(counted(system, counts.of_system(system), site_of(counts)), prices, changes)]


def with_half_widths(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Figures of all layers as one table: the first, and HALF_WIDTHS beside it if there are others."""
    whole, *without = frames
    if not without:
        return whole
    widths = half_widths(np.stack([frame.select(ESTIMATED).to_numpy() for frame in without]))
    return whole.hstack(pl.DataFrame(widths, schema=list(HALF_WIDTHS)).fill_nan(None))


def figures_of(counts: CountsFile) -> pl.DataFrame:
    """The figures of a counts file, with the prices that it carries: ``system``, FIGURES and what a sample has beside
    them, one row a system."""
    prices = from_tables(counts.about["configuration"]).prices
    by_layer = zip(*(pricers_of(counts, system, prices, {}) for system in counts.about["systems"]), strict=True)
    return with_half_widths([_compared(counts.about["systems"], pricers) for pricers in by_layer])


def _compared(systems: Sequence[str], pricers: Sequence[Figures]) -> pl.DataFrame:
    """One row a system, with the slowdown against the first."""
    rows = pl.concat([pricer.figures({}, 1) for pricer in pricers])
    times = rows[TIME].to_numpy()
    slowdown = pl.Series(SLOWDOWN, times / times[0] if times[0] > 0 else [None] * len(times), pl.Float64)
    return rows.with_columns(slowdown, pl.Series("system", systems, pl.String)).select("system", *FIGURES)
