"""Products of sparse sums of counters with many vectors of prices."""

import numpy as np
from numpy.typing import NDArray

from discotrace.tracegen.compiled import compiled_with

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

TOGETHER = 64  # vectors of prices that the innermost loop goes over, so that it becomes vector instructions


@compiled_with(nogil=True, error_model="numpy")
def multiply(begins: Codes, column: Codes, amount: Floats, prices: Floats, products: Floats) -> None:
    """Fill in ``products`` [n, places]: amounts x prices [columns, n], summed in the order of the amounts.

    Place ``i`` has the amounts from ``begins[i]`` to ``begins[i + 1]``, each of a column. The sum for one vector of
    prices does not depend on the others.
    """
    points = prices.shape[1]
    sums = np.empty(TOGETHER)
    for first in range(0, points, TOGETHER):
        size = min(TOGETHER, points - first)
        for place in range(len(begins) - 1):
            for i in range(size):
                sums[i] = 0.0
            for entry in range(begins[place], begins[place + 1]):
                number, k = amount[entry], column[entry]
                for i in range(size):
                    sums[i] += number * prices[k, first + i]
            for i in range(size):
                products[first + i, place] = sums[i]
