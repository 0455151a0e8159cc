"""Times at very many vectors of prices: waiting is solved at some of them, and in between is a polynomial.

A time without waiting is linear in the prices; what CPUs wait for bends it smoothly. So a few hundred solved vectors
say what a million would cost: times are fitted to them, by least squares, as polynomials of bounded total degree in the
prices (products of Chebyshev polynomials, nodes of Chebyshev density: Trefethen, Approximation Theory and Approximation
Practice, 2013, chapter 2), of a degree that grows until the times at other solved vectors are met.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from discotrace.analysis.bulk_pricing import BulkTimes, priced
from discotrace.analysis.ledger import Ledger
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import ALL_PARTS, STALLS, Codes, Floats

TOLERANCE = 1e-3  # error of a time, as a share of the execution time, that is not exceeded as far as is checked
MARGIN = 0.5  # share of the tolerance that may be used up where it is checked, for it is not checked everywhere
CHECKS = 200  # solved vectors that nothing is fitted to
DEGREES = (2, 3, 4, 5, 6, 8, 10)
MOST_TERMS = 500  # of a polynomial; with more, and as many nodes again, solving costs more than it saves
NODES_PER_TERM, MORE_NODES = 2, 10
CHUNK = 1 << 12  # vectors whose terms are computed in one go: they stay in the cache
SEED = 1
RECIPROCAL = ("cpu.clock_mhz",)  # times are linear in one over it
MS = 1e6  # ns


@dataclass(frozen=True)
class Surface:
    """Times as polynomials in ``k`` prices.

    ``keys`` [k]; ``low``, ``high`` [k]: ends of each coordinate; ``exponents`` [terms, k]; ``coefficients`` [terms,
    figures]; ``error``: the largest error of a time at the vectors that were checked, as a share of the execution time.
    """

    keys: tuple[str, ...]
    low: Floats
    high: Floats
    exponents: Codes
    coefficients: Floats
    error: float

    def at(self, changes: Mapping[str, Floats]) -> BulkTimes:
        """Times where these prices, arrays [n], are changed."""
        values = np.column_stack([_coordinate(key, changes[key]) for key in self.keys])
        scaled = np.clip((2 * values - self.low - self.high) / (self.high - self.low), -1, 1)
        figures = np.empty((len(scaled), self.coefficients.shape[1]))
        for start in range(0, len(scaled), CHUNK):
            part = slice(start, start + CHUNK)
            np.matmul(_terms(scaled[part], self.exponents), self.coefficients, out=figures[part])
        return _as_times(figures)


def surface(ledger: Ledger, prices: Prices, changes: Mapping[str, Floats], threads: int) -> Surface | None:
    """The surface over the box of these changes, at all of which CPUs wait for the same things.

    None if no polynomial of ``MOST_TERMS`` meets the tolerance.
    """
    varying = {key: values for key, values in changes.items() if np.ptp(values) > 0}
    fixed = {key: values for key, values in changes.items() if key not in varying}
    ends = [np.sort(_coordinate(key, np.array([values.min(), values.max()]))) for key, values in varying.items()]
    low, high = np.array(ends).T
    draw = np.random.default_rng(SEED)

    def solved(coordinates: Floats) -> BulkTimes:
        own = {key: _coordinate(key, column) for key, column in zip(varying, coordinates.T, strict=True)}
        rest = {key: np.full(len(coordinates), values[0]) for key, values in fixed.items()}
        return priced(ledger, PricePoints.of(prices, own | rest), threads)

    some = draw.integers(0, len(next(iter(varying.values()))), CHECKS)
    checks = {key: values[some] for key, values in varying.items()}
    expected = solved(np.column_stack([_coordinate(key, values) for key, values in checks.items()]))
    for degree in DEGREES:
        exponents = _exponents(len(varying), degree)
        if len(exponents) > MOST_TERMS:
            return None
        nodes = _nodes(NODES_PER_TERM * len(exponents) + MORE_NODES, len(varying), draw)
        found = _as_figures(solved(low + (nodes + 1) / 2 * (high - low)))
        coefficients = np.linalg.lstsq(_terms(nodes, exponents), found, rcond=None)[0].astype(np.float64)
        made = Surface(tuple(varying), low, high, exponents, coefficients, 0.0)
        error = _error(made.at(checks), expected)
        if error <= MARGIN * TOLERANCE:
            return Surface(made.keys, low, high, exponents, coefficients, error)
    return None


def _coordinate(key: str, values: Floats) -> Floats:
    """The coordinate of a price, and, being its own inverse, the price of a coordinate."""
    return 1 / values if key in RECIPROCAL else np.asarray(values, np.float64)


def _exponents(keys: int, degree: int) -> Codes:
    """Degrees of the factors of all terms of at most this total degree: [terms, keys]."""
    found = [each for each in product(range(degree + 1), repeat=keys) if sum(each) <= degree]
    return np.array(found, np.int64)


def _nodes(count: int, keys: int, draw: np.random.Generator) -> Floats:
    """Nodes in [-1, 1]^keys: a Latin hypercube, denser towards the ends as Chebyshev's are."""
    strata = np.column_stack([draw.permutation(count) for _ in range(keys)])
    return np.cos(np.pi * (strata + draw.random((count, keys))) / count)


def _terms(scaled: Floats, exponents: Codes) -> Floats:
    """The terms at points [n, k] of [-1, 1]^k: [n, terms]."""
    degree = int(exponents.max())
    terms = np.ones((len(exponents), len(scaled)))
    for key in range(scaled.shape[1]):
        factors = chebvander(scaled[:, key], degree).T
        for power in range(1, degree + 1):
            terms[exponents[:, key] == power] *= factors[power]
    return terms.T


def _as_figures(times: BulkTimes) -> Floats:
    """Figures that are fitted, in ns: [n, parts and stalls and busiest memory]. The total is the sum of the parts."""
    busy = times.memory_busy_ratio * times.total_ns
    return np.column_stack([times.parts_ns, times.stalls_ms * MS, busy])


def _as_times(figures: Floats) -> BulkTimes:
    """The inverse; no time is less than nothing."""
    positive = np.maximum(figures, 0)
    parts, stalls, busy = np.split(positive, [len(ALL_PARTS), len(ALL_PARTS) + len(STALLS)], axis=1)
    total = parts.sum(axis=1)
    ratio = np.divide(busy[:, 0], total, out=np.zeros_like(total), where=total > 0)
    return BulkTimes(total, parts, stalls / MS, ratio)


def _error(found: BulkTimes, expected: BulkTimes) -> float:
    """The largest error of an execution time, its parts and stalls, as a share of the execution time."""
    total = np.where(expected.total_ns > 0, expected.total_ns, 1)[:, None]
    times = (found.total_ns - expected.total_ns)[:, None], found.parts_ns - expected.parts_ns
    stalls = (found.stalls_ms - expected.stalls_ms) * MS
    return float(np.max(np.abs(np.column_stack([*times, stalls])) / total))
