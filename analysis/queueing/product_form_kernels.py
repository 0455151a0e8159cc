"""The convolutions that ``product_form`` consists of. Series are given by their logarithms."""

import math

import numpy as np
from numpy.typing import NDArray

from discotrace.replay.kernels.compile import kernel
from discotrace.tracegen.compiled import compiled_with

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@compiled_with(nogil=True, error_model="numpy")
def convolve(left: Floats, right: Floats, result: Floats) -> None:
    """Fill in ``result`` [B, n]: the convolution of two series [B, n]."""
    for b in range(len(left)):
        for n in range(left.shape[1]):
            result[b, n] = _term(left[b], right[b], n)


@compiled_with(nogil=True, error_model="numpy")
def find_throughput(demand: Floats, servers: Floats, population: Codes, throughput: Floats) -> None:
    """Fill in cycles per time unit [B] for demand and servers [B, K] and population [B]."""
    networks, stations = demand.shape
    longest = population.max() + 1
    weights, constants = np.empty(longest), np.empty(longest)
    for b in range(networks):
        size = population[b] + 1
        for n in range(size):
            constants[n] = -np.inf if n else 0.0
        for k in range(stations):
            weights[0] = 0.0
            for n in range(1, size):
                step = demand[b, k] / min(float(n), servers[b, k])
                weights[n] = weights[n - 1] + (math.log(step) if step > 0 else -np.inf)
            for n in range(size - 1, -1, -1):  # a term needs the constants up to its own place alone
                constants[n] = _term(constants, weights, n)
        whole = constants[size - 1]
        throughput[b] = math.exp(constants[size - 2] - whole) if size > 1 and whole > -np.inf else 0.0


@kernel
def _term(left: Floats, right: Floats, n: int) -> float:
    """One term of the convolution of two series."""
    peak = -np.inf
    for i in range(n + 1):
        peak = max(peak, left[i] + right[n - i])
    if peak == -np.inf:
        return peak
    total = 0.0
    for i in range(n + 1):
        total += math.exp(left[i] + right[n - i] - peak)
    return math.log(total) + peak
