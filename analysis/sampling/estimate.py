"""Figures of a whole trace from intervals of it, with 95 % confidence intervals.

The counts of all intervals are priced together, as if they were one run, and what grows with the length of a run is
multiplied by how many times as long the trace is. The spread comes from the delete-one jackknife (Efron and Stein, "The
jackknife estimate of variance", Annals of Statistics 9, 1981): each figure again without each of the ``k`` intervals;
its standard error is ``sqrt((k - 1) / k * sum of squared deviations)``. The intervals are taken to be independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from discotrace.analysis.ledger import Columns, arranged, columns
from discotrace.analysis.outcome import Counted, Outcome, outcome_of
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import Codes, Floats
from discotrace.analysis.sampling.choice import UNIT_WINDOWS, Choice
from discotrace.analysis.sampling.student import t_quantile
from discotrace.analysis.site import Site
from discotrace.replay.counts import DiskEvent

CONFIDENCE = 0.95
SLOWDOWN = "slowdown"
OF_DISKS = tuple(event.name.lower() for event in DiskEvent)  # as a ledger calls them


@dataclass(frozen=True)
class Layer:
    """Counts of some intervals as if they were one run, ready to be priced, and how many times as long the trace is."""

    counted: Counted
    scale: float


@dataclass(frozen=True)
class Estimate:
    """What is estimated for one system: its outcome, and half the width of the confidence interval of each figure."""

    outcome: Outcome
    half_widths: dict[str, float]


def estimates(
    counts: Mapping[str, pl.DataFrame], choice: Choice, site: Site, prices: Prices, disks: Mapping[str, Codes]
) -> list[Estimate]:
    """Estimates of each system from the counts of the chosen windows; the first is the measure of the others.

    ``disks``: what the whole trace asks of disks [disks, disk events], by system. It is known, and so rare that
    intervals would tell little of it.
    """
    priced = [
        [
            _longer(outcome_of(layer.counted, prices), layer.scale)
            for layer in layers(system, of, choice, site, disks[system])
        ]
        for system, of in counts.items()
    ]
    found = []
    for whole, *without in priced:
        figures = [figures_of(one, first) for one, first in zip(without, priced[0][1:], strict=True)]
        half = half_widths(np.array([list(one.values()) for one in figures]))
        found.append(Estimate(whole, dict(zip(figures[0], half.tolist(), strict=True))))
    return found


def layers(system: str, counts: pl.DataFrame, choice: Choice, site: Site, disks: Codes) -> list[Layer]:
    """The counts of all intervals, and then without each one of them. ``disks`` [disks, disk events] as above."""
    of = columns(counts)
    longer = choice.scale * len(choice.firsts) / (len(choice.firsts) - 1)
    fewer = (_layer(system, _without(of, interval), site, longer, disks) for interval in range(len(choice.firsts)))
    return [_layer(system, of, site, choice.scale, disks), *fewer]


def figures_of(one: Outcome, first: Outcome) -> dict[str, float]:
    """The figures of an outcome that are estimated, by the names that sweeps give them."""
    return {
        "time_ms": one.time_ms,
        SLOWDOWN: one.time_ms / first.time_ms if first.time_ms else 0.0,
        "kernel_percent": one.kernel_percent,
        "monitor_percent": one.monitor_percent,
        "remote_miss_ratio": one.remote_miss_ratio,
        **{f"{part}_ms": ms for part, ms in one.parts_ms.items()},
        **one.rates,
        **{f"{action}_per_second": rate for action, rate in one.actions_per_second.items()},
    }


def half_widths(without: Floats) -> Floats:
    """Half the widths of the confidence intervals of figures [...], from what they are without each interval
    [intervals, ...]."""
    intervals, without = len(without), np.ascontiguousarray(without)  # so that sums have one order
    deviation = without - without.mean(axis=0)
    error = np.sqrt((intervals - 1) / intervals * (deviation**2).sum(axis=0))
    half: Floats = t_quantile((1 + CONFIDENCE) / 2, intervals - 1) * error
    return half


def _without(of: Columns, interval: int) -> Columns:
    """The counts but for one interval; windows are numbered without a gap."""
    kept = of.where(of.window // UNIT_WINDOWS != interval)
    return replace(kept, window=kept.window - UNIT_WINDOWS * (kept.window // UNIT_WINDOWS > interval))


def _layer(system: str, of: Columns, site: Site, scale: float, disks: Codes) -> Layer:
    """Counts of a run that is to be so many times as long, and asks this of disks in all."""
    share = {name: (column / scale)[None] for name, column in zip(OF_DISKS, disks.T, strict=True)}
    return Layer(Counted(of, replace(arranged(system, of, site), **share)), scale)


def _longer(one: Outcome, scale: float) -> Outcome:
    return replace(
        one,
        time_ms=one.time_ms * scale,
        parts_ms=_times(one.parts_ms, scale),
        stalls_ms=_times(one.stalls_ms, scale),
        totals={event: round(count * scale) for event, count in one.totals.items()},
        services=[replace(service, entries=round(service.entries * scale)) for service in one.services],
    )


def _times(values: Mapping[str, float], scale: float) -> dict[str, float]:
    return {name: value * scale for name, value in values.items()}


def interval_of(half_width: float, value: float) -> tuple[float, float]:
    """The confidence interval around a value that cannot be negative."""
    return max(0.0, value - half_width), value + half_width


def covers(estimate: Estimate, figure: str, truth: float, first: Outcome) -> bool:
    """Whether the true value lies in the confidence interval."""
    low, high = interval_of(estimate.half_widths[figure], figures_of(estimate.outcome, first)[figure])
    return low <= truth <= high
