"""Polynomials of bounded total degree in several variables, fitted to values by least squares.

The basis is products of Chebyshev polynomials on [-1, 1], with nodes of Chebyshev density: Trefethen, Approximation
Theory and Approximation Practice, 2013, chapters 2 and 3.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CHUNK = 1 << 12  # points whose terms are computed in one go: they stay in the cache


@dataclass(frozen=True)
class Basis:
    """All products of Chebyshev polynomials in so many ``variables`` whose degrees add up to ``degree`` at most."""

    variables: int
    degree: int

    @property
    def size(self) -> int:
        """The number of its terms."""
        return comb(self.variables + self.degree, self.degree)

    def nodes(self, count: int, draw: np.random.Generator) -> Floats:
        """Points to fit at, [count, variables]: a Latin hypercube, denser towards the ends as Chebyshev's nodes are."""
        strata = np.column_stack([draw.permutation(count) for _ in range(self.variables)])
        nodes: Floats = np.cos(np.pi * (strata + draw.random(strata.shape)) / count)
        return nodes

    def terms(self, points: Floats) -> Floats:
        """The terms at points [variables, n]: [size, n]."""
        factors = _chebyshev(points, self.degree)
        found = np.empty((self.size, points.shape[1]))
        found[0] = 1
        for place, (rest, variable, power) in enumerate(self._products, 1):
            np.multiply(found[rest], factors[power, variable], out=found[place])
        return found

    @cached_property
    def _products(self) -> list[tuple[int, int, int]]:
        """How each term but the first is made: the place of an earlier one, times which variable's polynomial of which
        degree."""
        degrees = range(self.degree + 1)
        every = chain.from_iterable(combinations_with_replacement(range(self.variables), degree) for degree in degrees)
        places = {variables: place for place, variables in enumerate(every)}
        found = []
        for variables in list(places)[1:]:
            last, power = variables[-1], Counter(variables)[variables[-1]]
            found.append((places[variables[:-power]], last, power))
        return found


@dataclass(frozen=True)
class Polynomial:
    """``figures`` functions on [-1, 1]^variables; ``coefficients`` [figures, size of the basis]."""

    basis: Basis
    coefficients: Floats

    @classmethod
    def fitted(cls, basis: Basis, nodes: Floats, values: Floats) -> "Polynomial":
        """The one nearest, by least squares, to ``values`` [n, figures] at ``nodes`` [n, variables]."""
        solution = np.linalg.lstsq(basis.terms(nodes.T).T, values, rcond=None)[0]
        return cls(basis, np.ascontiguousarray(solution.T, np.float64))

    def __call__(self, points: Floats) -> Floats:
        """The values at points [n, variables]: [n, figures]."""
        found = np.empty((len(self.coefficients), len(points)))
        for start in range(0, len(points), CHUNK):
            part = slice(start, start + CHUNK)
            found[:, part] = self.coefficients @ self.basis.terms(np.ascontiguousarray(points[part].T))
        return found.T


def _chebyshev(points: Floats, degree: int) -> Floats:
    """Chebyshev polynomials of the first kind: [degree + 1, *points.shape], by their recurrence."""
    found = np.empty((degree + 1, *points.shape))
    found[0] = 1
    found[1:2] = points
    for power in range(2, degree + 1):
        np.multiply(points, 2 * found[power - 1], out=found[power])
        found[power] -= found[power - 2]
    return found
