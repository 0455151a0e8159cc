"""Customers that are all different in a closed network of stations with fixed service times, solved approximately.

What is solved, and how, is explained in ``linearizer_kernels``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discotrace.analysis.queueing.linearizer_kernels import SOLVED, STEPS, UNSOLVED, UNUSABLE, solve_each

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Waiting:
    """A network in steady state, times in the unit of the think times.

    ``per_visit`` [..., C, M]: mean time that a customer waits at a station before its service; 0 where it never visits.
    ``cycle`` [..., C]: mean time of a cycle: thinking, waiting and service.
    ``utilisation`` [..., M]: share of time that a station serves, background included.
    """

    per_visit: Floats
    cycle: Floats
    utilisation: Floats


def solve(think: ArrayLike, visits: ArrayLike, service: ArrayLike, background: ArrayLike = 0.0) -> Waiting:
    """Waiting times for think times [..., C] and visits per cycle [..., C, M] with service times [M] or [..., M].

    What a cycle is does not matter: one miss or a second, as long as ``think`` and ``visits`` are of the same cycle.
    ``background`` [..., C, M]: visits per cycle that nobody waits for, as write-backs are; taken as arriving at random.
    A customer without any visit waits nowhere. Raises ValueError for negative numbers, ArithmeticError where no
    solution is found.
    """
    shape = np.shape(visits)
    customers, stations = shape[-2:]
    of_cycle, of_station = shape[:-1], (*shape[:-2], stations)
    times = _flat(think, of_cycle).reshape(-1, customers)
    counts = _flat(visits, shape).reshape(-1, customers, stations)
    served = _flat(service, of_station).reshape(-1, stations)
    unwaited = _flat(background, shape).reshape(-1, customers, stations)
    per_visit, cycle, utilisation = np.empty(counts.shape), np.empty(times.shape), np.empty(served.shape)
    answer = solve_each(times, counts, served, unwaited, per_visit, cycle, utilisation)
    if answer == UNSOLVED:
        raise ArithmeticError(f"waiting times did not settle in {STEPS} steps")
    if answer != SOLVED:
        raise ValueError(f"{UNUSABLE[answer]} has to be finite and >= 0")
    return Waiting(per_visit.reshape(shape), cycle.reshape(of_cycle), utilisation.reshape(of_station))


def _flat(values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """An argument in its full shape."""
    given = np.asarray(values, dtype=np.float64)
    return np.ascontiguousarray(given if given.shape == shape else np.broadcast_to(given, shape))
