"""Loops over the terms of a polynomial."""

import numpy as np
from numpy.typing import NDArray

from discotrace.tracegen.compiled import compiled_with

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@compiled_with(nogil=True, error_model="numpy")
def find_terms(points: Floats, products: Codes, powers: Floats, terms: Floats) -> None:
    """Fill in ``terms`` [size, n] at points [variables, n], and ``powers`` [degree + 1, variables, n] on the way: the
    Chebyshev polynomials of the first kind of each coordinate, by their recurrence.

    ``products`` [size - 1, 3]: how each term but the first, which is 1, is made: the place of an earlier one, times
    which variable's polynomial of which degree.
    """
    variables, n = points.shape
    for variable in range(variables):
        for i in range(n):
            powers[0, variable, i] = 1.0
            powers[1, variable, i] = points[variable, i]
        for power in range(2, len(powers)):
            for i in range(n):
                twice = 2 * points[variable, i] * powers[power - 1, variable, i]
                powers[power, variable, i] = twice - powers[power - 2, variable, i]
    for i in range(n):
        terms[0, i] = 1.0
    for place in range(1, len(terms)):
        rest, variable, power = products[place - 1]
        for i in range(n):
            terms[place, i] = terms[rest, i] * powers[power, variable, i]
