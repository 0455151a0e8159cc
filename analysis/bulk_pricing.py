"""Counts of one system at many vectors of prices: the figures of ``outcome_of``, to the last digit, as arrays."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np

from discotrace.analysis.ledger import Ledger
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.pricing import ALL_PARTS, KEYS, MISS_CLASSES, STALLS, Codes, Floats
from discotrace.analysis.waiting import solved
from discotrace.analysis.waiting_model import what_waits
from discotrace.replay.counts import N_LOCKS

ELEMENTS = 1 << 18  # numbers in the largest array of vectors that are priced in one go


@dataclass(frozen=True)
class BulkTimes:
    """Figures at ``n`` vectors of prices.

    ``total_ns`` [n]: execution time; ``parts_ns`` [n, ALL_PARTS]: its parts; ``stalls_ms`` [n, STALLS] and
    ``memory_busy_ratio`` [n] as in ``outcome.Outcome``.
    """

    total_ns: Floats
    parts_ns: Floats
    stalls_ms: Floats
    memory_busy_ratio: Floats

    @classmethod
    def empty(cls, points: int) -> "BulkTimes":
        """Room for the figures at so many vectors."""
        shapes = (points,), (points, len(ALL_PARTS)), (points, len(STALLS)), (points,)
        return cls(*(np.empty(shape, order="F") for shape in shapes))  # for they are used one figure after the other

    def put(self, which: Codes | slice, found: "BulkTimes") -> None:
        """Fill in the figures at some of the vectors."""
        for array in fields(self):
            getattr(self, array.name)[which] = getattr(found, array.name)


def priced(ledger: Ledger, points: PricePoints, threads: int | None = None) -> BulkTimes:
    """Price the counts of one system at ``n`` vectors of prices, in as many threads as there are CPUs, or as said.

    Neither the other vectors nor the number of threads change a figure.
    """
    result = BulkTimes.empty(len(points))

    def price(which: Codes | slice) -> None:
        result.put(which, _priced(ledger, points.part(which)))

    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
        list(pool.map(price, _chunks(ledger, points)))
    return result


def _priced(ledger: Ledger, points: PricePoints) -> BulkTimes:
    """The same for vectors at which CPUs wait for the same things."""
    found = solved(ledger, points)
    return BulkTimes(found.total_ns, found.parts_ns(), found.stalls_ms(), found.utilisation())


def _chunks(ledger: Ledger, points: PricePoints) -> Iterator[Codes | slice]:
    """Vectors that are priced in one go: not too many, and at which CPUs wait for the same things."""
    kinds: Codes = what_waits(points, ledger.site.jobs) @ [4, 2, 1]
    for kind in np.unique(kinds):
        alike = np.flatnonzero(kinds == kind)
        size = max(1, ELEMENTS // _elements(ledger, does_wait=bool(kind)))
        for first in range(0, len(alike), size):
            yield _which(alike[first : first + size])


def _which(places: Codes) -> Codes | slice:
    """The same places, if possible as a slice, with which arrays are not copied."""
    first, last = int(places[0]), int(places[-1])
    return slice(first, last + 1) if last - first == len(places) - 1 else places


def _elements(ledger: Ledger, *, does_wait: bool) -> int:
    """Numbers in arrays for one vector: prices, stretches, and where CPUs wait, nodes and locks."""
    vms, cpus = ledger.sums.members.shape
    stretches = cpus * len(ledger.sums.stretches.interval)
    places = ledger.intervals * cpus * (MISS_CLASSES * ledger.site.nodes + N_LOCKS * vms)
    elements: int = len(KEYS) + stretches + (places if does_wait else 0)
    return elements
