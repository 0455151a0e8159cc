"""Counters summed by place once, so that their time at any prices and with any waiting is a small product."""

import math
from dataclasses import dataclass

import numpy as np

from discotrace.analysis.accounts_kernels import multiply
from discotrace.analysis.pricing import Codes, Floats

TABLE = 1 << 22  # cells of a table that is made to find those that are not 0: quicker than sorting


@dataclass(frozen=True)
class Amounts:
    """A sparse matrix [places, columns]: entries from ``begins[place]`` to ``begins[place + 1]``, columns ascending."""

    begins: Codes
    column: Codes
    amount: Floats

    @classmethod
    def summed(cls, place: Codes, column: Codes, amount: Floats, shape: tuple[int, int]) -> "Amounts":
        """The matrix whose entries are the sums of the amounts with the same place and column."""
        places, columns = shape
        cell = place * columns + column
        if places * columns <= TABLE:
            table = total(cell, amount, (places * columns,))
            cells = np.flatnonzero(table)
            sums = table[cells]
        else:
            cells, which = np.unique(cell, return_inverse=True)
            sums = total(which, amount, (len(cells),))
        begins = np.searchsorted(cells, np.arange(places + 1) * columns)
        return cls(begins, cells % max(1, columns), sums)

    def times(self, prices: Floats) -> Floats:
        """Products with vectors of prices [n, columns]: [n, places]. Each is the same whatever the others are."""
        products = np.empty((len(prices), len(self.begins) - 1))
        multiply(self.begins, self.column, self.amount, np.ascontiguousarray(prices.T), products)
        return products


@dataclass(frozen=True)
class Account:
    """Some counters of a ledger by place: events [places, len(KEYS)] and, among them, misses that may wait.

    The columns of ``misses`` are the places of waiting: [intervals, CPUs, MISS_CLASSES], flattened.
    """

    shape: tuple[int, ...]
    events: Amounts
    misses: Amounts

    def unhindered_ns(self, unit_ns: Floats) -> Floats:
        """Time without waiting for prices [n, len(KEYS)] in ns: [n, places ...]."""
        return self.events.times(unit_ns).reshape(len(unit_ns), *self.shape)

    def waiting_ns(self, of_misses: Floats) -> Floats:
        """Waiting in ns, if misses wait for ``of_misses`` [n, intervals, CPUs, MISS_CLASSES]: [n, places ...]."""
        waits = of_misses.reshape(len(of_misses), math.prod(of_misses.shape[1:]))
        return self.misses.times(waits).reshape(len(waits), *self.shape)


def flattened(*axes: tuple[Codes, int]) -> Codes:
    """Places in a flattened array whose axes are given as (codes, size)."""
    place, _ = axes[0]
    for codes, size in axes[1:]:
        place = place * size + codes
    return place


def total(place: Codes, values: Floats, shape: tuple[int, ...]) -> Floats:
    """Values summed by their place in a flattened array, in the order in which they come.

    Polars would add in an order that depends on how many threads it has, and a sum of floats then ends in other
    digits on another computer.
    """
    sums: Floats = np.bincount(place, values, math.prod(shape)).astype(np.float64).reshape(shape)
    return sums
