"""One kind of customers in a closed network, solved exactly.

``population`` customers go round for ever. On each round (a *cycle*) a customer asks station ``k`` for ``demand[k]``
time units of service, from one of ``servers[k]`` equal servers, in order of arrival; infinitely many servers make a
delay, where nobody waits. Exact for service times that are exponential; at stations without waiting for any.

Source: Buzen, Computational algorithms for closed queueing networks with exponential servers, CACM 16 (1973): the
normalising constant by convolution. Everything is a sum of positive terms, in logarithms, so that nothing is lost
to cancellation or overflow whatever the population.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discotrace.analysis.queueing.product_form_kernels import convolve, find_throughput

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Steady:
    """A network in steady state. Leading axes are those of the demand; ``K`` is the number of stations.

    ``throughput`` [...]: cycles that all customers together finish per time unit.
    ``queue`` [..., K]: mean number of customers at a station, waiting or in service.
    ``residence`` [..., K]: time that a cycle spends at a station, waiting and in service.
    ``utilisation`` [..., K]: share of a station's servers that is busy; 0 at a delay.
    """

    throughput: Floats
    queue: Floats
    residence: Floats
    utilisation: Floats


def solve(demand: ArrayLike, servers: ArrayLike, population: int) -> Steady:
    """Steady state for ``demand`` [..., K] >= 0 and ``servers`` (1, 2, ... or infinity), which is broadcast to it.

    Where all demands are 0, or with a population of 0, nothing happens: all results are 0. Raises ValueError for
    arguments outside these ranges.
    """
    demands = np.asarray(demand, dtype=np.float64)
    counts = np.broadcast_to(np.asarray(servers, dtype=np.float64), demands.shape)
    _check(demands, counts, population)
    works = demands.sum(axis=-1) > 0
    if population == 0 or not works.any():
        return _nothing_happens(demands)
    weights = _log_weights(demands, counts, population)
    others = _log_constants_of_others(weights)
    constants = _convolve(others[..., 0, :], weights[..., 0, :])
    whole = np.where(works, constants[..., -1], 0.0)
    throughput = np.where(works, np.exp(constants[..., -2] - whole), 0.0)
    shares = np.exp(weights + others[..., ::-1] - whole[..., None, None])  # probability of n customers at station k
    queue = shares @ np.arange(population + 1.0)
    queue = np.where(works[..., None], queue, 0.0)
    residence = queue / np.where(works, throughput, 1.0)[..., None]
    return Steady(throughput, queue, residence, throughput[..., None] * demands / counts)


def throughput(demand: Floats, servers: Floats, population: Codes) -> Floats:
    """``Steady.throughput`` alone of ``B`` networks: demand and servers [B, K], population [B]; else as ``solve``."""
    _check(demand, servers, int(population.min(initial=0)))
    found = np.empty(len(demand))
    find_throughput(demand, servers, population, found)
    return found


def _check(demands: Floats, servers: Floats, population: int) -> None:
    if population < 0:
        raise ValueError(f"population is {population}; expected 0 or more")
    if demands.ndim == 0 or demands.shape[-1] == 0 or not np.isfinite(demands).all() or (demands < 0).any():
        raise ValueError("demand has to be one finite number >= 0 for each of one or more stations")
    if (servers < 1).any() or (np.isfinite(servers) & (servers != np.floor(servers))).any():
        raise ValueError("servers have to be whole numbers >= 1, or infinity for a delay")


def _nothing_happens(demands: Floats) -> Steady:
    still = np.zeros_like(demands)
    return Steady(still.sum(axis=-1), still, still, still)


def _log_weights(demands: Floats, servers: Floats, population: int) -> Floats:
    """Logarithms of Buzen's factors [..., K, population + 1]: D^n / (a(1) ... a(n)), a(n) servers busy with n there."""
    numbers = np.arange(1.0, population + 1.0)
    busy = np.minimum(numbers, servers[..., None])
    with np.errstate(divide="ignore"):  # a station without demand never has anybody: log 0
        steps = np.log(demands[..., None] / busy)
    empty = np.zeros((*demands.shape, 1))
    return np.concatenate([empty, np.cumsum(steps, axis=-1)], axis=-1)


def _convolve(left: Floats, right: Floats) -> Floats:
    """Convolution of two series [..., n] given by their logarithms, as long as they are."""
    total = np.empty(left.shape)
    flat = (-1, left.shape[-1])
    convolve(np.ascontiguousarray(left).reshape(flat), np.ascontiguousarray(right).reshape(flat), total.reshape(flat))
    return total


def _log_constants_of_others(weights: Floats) -> Floats:
    """For each station the normalising constants [..., K, n] of the network without it, for n = 0 ... population."""
    stations = weights.shape[-2]
    alone = np.full_like(weights[..., 0, :], -np.inf)
    alone[..., 0] = 0.0
    before, after = [alone], [alone]
    for k in range(stations - 1):
        before.append(_convolve(before[-1], weights[..., k, :]))
        after.append(_convolve(after[-1], weights[..., stations - 1 - k, :]))
    return np.stack([_convolve(before[k], after[stations - 1 - k]) for k in range(stations)], axis=-2)
