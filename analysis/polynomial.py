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

from discotrace.analysis.polynomial_kernels import find_terms

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
ELEMENTS = 1 << 16  # terms that are computed in one go: they stay in the cache
STEP = 64  # points of which that is a multiple
NEGLIGIBLE = 1e-11  # coefficients that are only rounding, as a share of the largest
SIMPLE = 2  # degree of a function for which a whole basis would be wasted
ITERATIONS = 60  # after which the root in ``spread`` is found to all digits


@dataclass(frozen=True)
class Basis:
    """All products of Chebyshev polynomials in so many ``variables`` whose degrees add up to ``degree`` at most."""

    variables: int
    degree: int

    @property
    def size(self) -> int:
        """The number of its terms."""
        return comb(self.variables + self.degree, self.degree)

    def terms(self, points: Floats) -> Floats:
        """The terms at points [variables, n]: [size, n]."""
        found = np.empty((self.size, points.shape[1]))
        powers = np.empty((max(2, self.degree + 1), *points.shape))
        find_terms(np.ascontiguousarray(points), self._products, powers, found)
        return found

    @cached_property
    def _products(self) -> Codes:
        """How each term but the first is made, [size - 1, 3]: the place of an earlier one, times which variable's
        polynomial of which degree."""
        degrees = range(self.degree + 1)
        every = chain.from_iterable(combinations_with_replacement(range(self.variables), degree) for degree in degrees)
        places = {variables: place for place, variables in enumerate(every)}
        found = []
        for variables in list(places)[1:]:
            last, power = variables[-1], Counter(variables)[variables[-1]]
            found.append((places[variables[:-power]], last, power))
        return np.array(found, np.int64).reshape(-1, 3)


def spread(variables: int, first: int, after: int) -> Floats:
    """Points to fit at, [after - first, variables]: some of an endless sequence, of which any beginning is spread
    evenly, but denser towards the ends as Chebyshev's nodes are.

    Multiples of irrational numbers, modulo 1 (Kuipers & Niederreiter, Uniform Distribution of Sequences, 1974, section
    1.6): powers of the inverse of a root of x^(variables + 1) = x + 1, which is the golden ratio for one variable.
    """
    root = 1.0
    for _ in range(ITERATIONS):
        root = (1 + root) ** (1 / (variables + 1))
    steps = root ** -np.arange(1.0, variables + 1)
    points: Floats = np.cos(np.pi * ((0.5 + np.arange(first, after)[:, None] * steps) % 1))
    return points


@dataclass(frozen=True)
class Polynomial:
    """Functions on [-1, 1]^variables; ``coefficients`` [functions, size of the basis]."""

    basis: Basis
    coefficients: Floats

    @classmethod
    def fitted(cls, basis: Basis, nodes: Floats, values: Floats, weights: Floats) -> "Polynomial":
        """The one nearest, by least squares, to ``values`` [n, functions] at ``nodes`` [n, variables].

        ``weights`` [n]: by which errors at nodes are multiplied. By the normal equations, which are quickest: at nodes
        that are ``spread`` the terms are nearly orthogonal.
        """
        terms = basis.terms(nodes.T) * weights
        solution = np.linalg.solve(terms @ terms.T, terms @ (values * weights[:, None])).T
        is_rounding = np.abs(solution) <= NEGLIGIBLE * np.abs(solution).max(initial=0)
        return cls(basis, np.where(is_rounding, 0, solution))

    @cached_property
    def _groups(self) -> list[tuple[Codes, Floats]]:
        """Places of the functions that are simple and that are not, with the coefficients that they need."""
        few = Basis(self.basis.variables, min(SIMPLE, self.basis.degree)).size
        is_simple = ~self.coefficients[:, few:].any(axis=1)
        simple, others = np.flatnonzero(is_simple), np.flatnonzero(~is_simple)
        return [(simple, self.coefficients[simple, :few]), (others, self.coefficients[others])]

    def __call__(self, points: Floats) -> Floats:
        """The values at points [n, variables]: [n, functions]. Each is the same whatever the others are."""
        found = np.empty((len(self.coefficients), len(points)))
        at_once = max(1, ELEMENTS // self.basis.size // STEP) * STEP
        part = np.zeros((self.basis.variables, at_once))  # always as large, for the digits of a product depend on that
        for start in range(0, len(points), at_once):
            size = min(at_once, len(points) - start)
            part[:, :size] = points[start : start + size].T
            terms = self.basis.terms(part)
            for places, coefficients in self._groups:
                values = coefficients @ terms[: coefficients.shape[1]]
                found[places, start : start + size] = values[:, :size]
        return found.T
