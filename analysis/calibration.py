"""Finds knobs with which a workload, replayed natively, comes to its targets."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from discotrace.analysis.calibration_search import Point, Range, lowest
from discotrace.analysis.calibration_targets import measures
from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import outcome
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.run import NO_WINDOWS, replay_systems
from discotrace.analysis.site import Site
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.knobs import Value, knobs_of, make
from discotrace.tracegen.workloads.registry import Found
from discotrace.version import VERSION

MACHINE = "flash"
_ABSENT = 1e-6  # of a target: what a measure of 0 counts as, whose logarithm is none
_FASTEST_COMPRESSION = 1

Measure = Callable[[Mapping[str, Value]], Mapping[str, float]]


@dataclass(frozen=True)
class Calibrated:
    """The best knobs found and the measures that they reach. ``error``: see ``error_of``."""

    knobs: dict[str, Value]
    reached: dict[str, float]
    error: float


def calibrate(
    found: Found,
    measure: Measure,
    targets: Mapping[str, float],
    ranges: Mapping[str, Range],
    start: Mapping[str, Value],
    evaluations: int,
) -> Calibrated:
    """Search the knobs of ``ranges`` from ``start``, which has all knobs that differ from the defaults.

    ``measure`` gives the measures of a workload with these knobs. Raises ConfigError without targets or ranges.
    """
    if not targets:
        raise ConfigError(f"nothing is published of {found.name} to calibrate to: give --target measure=value")
    if not ranges:
        raise ConfigError(f"{found.name} does not say which knobs to search: give --search knob=low,high")
    knobs = knobs_of(found.kind)
    reached: dict[tuple[float, ...], Mapping[str, float]] = {}

    def error(point: Point) -> float:
        values = measure({**start, **point})
        reached[tuple(point.values())] = values
        return error_of(values, targets)

    first: dict[str, Any] = {name: start.get(name, knobs[name].default) for name in ranges}
    best, least = lowest(error, first, ranges, evaluations)
    return Calibrated({**start, **best}, dict(reached[tuple(best.values())]), least)


def error_of(reached: Mapping[str, float], targets: Mapping[str, float]) -> float:
    """Root mean square of the logarithms of reached over target: 0.1 is about 10 % on each."""
    logarithms = [math.log(max(reached[name] / value, _ABSENT)) for name, value in targets.items()]
    return math.sqrt(sum(logarithm**2 for logarithm in logarithms) / len(logarithms))


def parse_ranges(found: Found, given: list[str]) -> dict[str, Range]:
    """Ranges of ``knob=low,high`` texts, without any those of the workload. Raises ConfigError."""
    limits = dict(found.kind.search_ranges)
    if given:
        limits = dict(_limits(text) for text in given)
    knobs = knobs_of(found.kind)
    ranges = {}
    for name, (low, high) in limits.items():
        if name not in knobs or knobs[name].type not in (int, float):
            numbers = [knob.name for knob in knobs.values() if knob.type in (int, float)]
            raise ConfigError(f"{found.name} has no number {name} to search; known: {', '.join(numbers) or 'none'}")
        if not -math.inf < low <= high < math.inf:
            raise ConfigError(f"the range of {name} is {low:g} to {high:g}, expected the lower number first")
        ranges[name] = Range(low, high, knobs[name].type is int)
    return ranges


def _limits(text: str) -> tuple[str, tuple[float, float]]:
    name, _, limits = text.partition("=")
    low, _, high = limits.partition(",")
    try:
        return name.strip(), (float(low), float(high))
    except ValueError:
        raise ConfigError(f"--search {text!r}: expected knob=low,high") from None


def native_measure(
    found: Found, common: Mapping[str, float], on_trial: Callable[[Mapping[str, Value]], None]
) -> Measure:
    """Measures of traces that are generated for each point and replayed natively on FLASH.

    ``common``: scale and seed. ``on_trial`` is told the knobs before each.
    """
    configuration = load(MACHINE)

    def measure(knobs: Mapping[str, Value]) -> Mapping[str, float]:
        on_trial(knobs)
        with TemporaryDirectory(prefix="discotrace-calibrate-") as folder:
            trace = Path(folder) / f"{found.name}.parquet"
            with found.blamed():
                workload = make(found.kind, {**common, **knobs})
                generate(workload, found.name, trace, version=VERSION, compression_level=_FASTEST_COMPRESSION)
            with TraceReader(trace) as reader:
                finished = replay_systems(reader, configuration.machine, [NATIVE], NO_WINDOWS, lambda _: None)
        counts = pl.from_arrow(finished.counts[NATIVE])
        assert isinstance(counts, pl.DataFrame)
        return measures(outcome(NATIVE, counts, Site(finished.machine), configuration.prices))

    return measure
