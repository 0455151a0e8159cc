"""Times at very many vectors of prices: waiting is solved at some of them, and in between is a polynomial.

A time without waiting is linear in the prices; what CPUs wait for bends it smoothly. So a few hundred solved vectors
say what a million would cost: polynomials in the prices are fitted to them, more and more of them, of several degrees,
until the times at other solved vectors are met.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from discotrace.analysis.bulk_pricing import BulkTimes, priced
from discotrace.analysis.ledger import Ledger
from discotrace.analysis.polynomial import Basis, Polynomial, spread
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import ALL_PARTS, STALLS, Floats

TOLERANCE = 1e-3  # error of a time, as a share of the execution time, that is not exceeded as far as is checked
MARGIN = 0.5  # share of the tolerance that may be used up where it is checked, for it is not checked everywhere
CHECKS = 200  # solved vectors that nothing is fitted to
DEGREES = range(2, 11)
MOST_TERMS = 500  # of a polynomial; with more, computing it costs more than solving saves
FIRST_NODES = 20  # for each price that varies
GROWTH = 1.25  # of the number of nodes, where these were too few
MOST_NODES = 1200
FEWEST_PER_TERM, MOST_PER_TERM = 1.5, 4  # nodes for a term: polynomials are bent by the errors of too few
SEED = 1
RECIPROCAL = ("cpu.clock_mhz",)  # times are linear in one over it
MS = 1e6  # ns


@dataclass(frozen=True)
class Surface:
    """Times as polynomials in ``k`` prices.

    ``keys`` [k]; ``low``, ``high`` [k]: ends of each coordinate; ``error``: the largest error of a time at the vectors
    that were checked, as a share of the execution time.
    """

    keys: tuple[str, ...]
    low: Floats
    high: Floats
    polynomial: Polynomial
    error: float

    def at(self, changes: Mapping[str, Floats]) -> BulkTimes:
        """Times where these prices, arrays [n], are changed."""
        values = np.column_stack([_coordinate(key, changes[key]) for key in self.keys])
        scaled = np.clip((2 * values - self.low - self.high) / (self.high - self.low), -1, 1)
        return _as_times(self.polynomial(scaled))


def surface(ledger: Ledger, prices: Prices, changes: Mapping[str, Floats], threads: int) -> Surface | None:
    """The surface over the box of these changes, at all of which CPUs wait for the same things.

    None if no polynomial of ``MOST_TERMS`` and ``MOST_NODES`` meets the tolerance. At least one price must vary.
    """
    varying = {key: values for key, values in changes.items() if np.ptp(values) > 0}
    fixed = {key: values[:1] for key, values in changes.items() if key not in varying}
    ends = [np.sort(_coordinate(key, np.array([values.min(), values.max()]))) for key, values in varying.items()]
    low, high = np.array(ends).T

    def solved(own: Mapping[str, Floats], points: int) -> BulkTimes:
        rest = {key: np.repeat(value, points) for key, value in fixed.items()}
        return priced(ledger, PricePoints.of(prices, {**own, **rest}), threads)

    some = np.random.default_rng(SEED).integers(0, len(next(iter(varying.values()))), CHECKS)
    checks = {key: values[some] for key, values in varying.items()}
    expected = solved(checks, CHECKS)
    nodes, figures = np.empty((0, len(varying))), np.empty((0, len(ALL_PARTS) + len(STALLS) + 1))
    for count, bases in _attempts(len(varying)):
        more = spread(len(varying), len(nodes), count)
        coordinates = low + (more + 1) / 2 * (high - low)
        own = {key: _price(key, values) for key, values in zip(varying, coordinates.T, strict=True)}
        nodes, figures = np.vstack([nodes, more]), np.vstack([figures, _as_figures(solved(own, len(more)))])
        for basis in bases:
            made = Surface(tuple(varying), low, high, _fitted(basis, nodes, figures), 0.0)
            error = _error(made.at(checks), expected)
            if error <= MARGIN * TOLERANCE:
                return replace(made, error=error)
    return None


def _attempts(variables: int) -> Iterator[tuple[int, list[Basis]]]:
    """Numbers of nodes, ascending, and the bases, smallest first, for which they are neither too few nor too many."""
    bases = [Basis(variables, degree) for degree in DEGREES if Basis(variables, degree).size <= MOST_TERMS]
    if not bases:
        return
    count = max(FIRST_NODES * variables, math.ceil(FEWEST_PER_TERM * bases[0].size))
    while count <= min(MOST_NODES, MOST_PER_TERM * bases[-1].size):
        usable = [one for one in bases if FEWEST_PER_TERM <= count / one.size <= MOST_PER_TERM]
        if usable:
            yield count, usable
        count = math.ceil(GROWTH * count)


def _coordinate(key: str, values: Floats) -> Floats:
    """The coordinate of a price: where CPUs wait most, at fast clocks and small latencies, values lie farther apart."""
    coordinates: Floats = 1 / np.cbrt(values) if key in RECIPROCAL else np.sqrt(values)
    return coordinates


def _price(key: str, coordinates: Floats) -> Floats:
    """The inverse."""
    values: Floats = 1 / coordinates**3 if key in RECIPROCAL else coordinates**2
    return values


def _fitted(basis: Basis, nodes: Floats, figures: Floats) -> Polynomial:
    """The polynomial whose errors are least as shares of the execution time."""
    total = figures[:, : len(ALL_PARTS)].sum(axis=1)
    return Polynomial.fitted(basis, nodes, figures, 1 / np.where(total > 0, total, 1))


def _as_figures(times: BulkTimes) -> Floats:
    """Figures that are fitted, in ns: [n, parts and stalls and busiest memory]. The total is the sum of the parts."""
    busy = times.memory_busy_ratio * times.total_ns
    return np.column_stack([times.parts_ns, times.stalls_ms * MS, busy])


def _as_times(figures: Floats) -> BulkTimes:
    """The inverse; no time is less than nothing."""
    parts, stalls, busy = np.split(np.maximum(figures, 0), [len(ALL_PARTS), len(ALL_PARTS) + len(STALLS)], axis=1)
    total = sum(parts.T, np.zeros(len(parts)))  # one after the other, however many points there are
    ratio = np.divide(busy[:, 0], total, out=np.zeros_like(total), where=total > 0)
    return BulkTimes(total, parts, stalls / MS, ratio)


def _error(found: BulkTimes, expected: BulkTimes) -> float:
    """The largest error of an execution time, its parts and stalls, as a share of the execution time."""
    total = np.where(expected.total_ns > 0, expected.total_ns, 1)[:, None]
    times = (found.total_ns - expected.total_ns)[:, None], found.parts_ns - expected.parts_ns
    stalls = (found.stalls_ms - expected.stalls_ms) * MS
    return float(np.max(np.abs(np.column_stack([*times, stalls])) / total))
