"""CPUs that wait for each other at stations, whatever the stations are."""

import numpy as np

from discotrace.analysis.pricing import Floats
from discotrace.analysis.queueing import linearizer, product_form


def waiting_per_visit(think: Floats, visits: Floats, service: Floats, background: Floats) -> Floats:
    """Mean time [..., C, M] that a CPU waits at a station per visit.

    ``think`` [..., C]: time of a cycle elsewhere; ``visits`` [..., C, M] and ``background`` [..., C, M] (that nobody
    waits for) per cycle; ``service`` [..., M]. Networks for which the approximation finds no solution are solved
    exactly for CPUs that are all like their mean.
    """
    try:
        return linearizer.solve(think, visits, service, background).per_visit
    except ArithmeticError:
        if visits.ndim == 2:
            return _of_mean_cpus(think, visits, service, background)
    waits = np.empty(visits.shape)
    for network in range(len(visits)):
        waits[network] = waiting_per_visit(think[network], visits[network], service[network], background[network])
    return waits


def _of_mean_cpus(think: Floats, visits: Floats, service: Floats, background: Floats) -> Floats:
    """The same for one network of equal CPUs [C, M]; the background takes part of the stations' time away."""
    cpus = len(think)
    taken = np.minimum(service * background.sum(axis=0) / max(think.max(), 1.0), 0.5)
    visits_of_mean = visits.mean(axis=0)
    demand = visits_of_mean * service / (1 - taken)
    steady = product_form.solve([think.mean(), *demand], [np.inf, *np.ones(len(demand))], cpus)
    waits = np.maximum(steady.residence[1:] - demand, 0) / np.where(visits_of_mean > 0, visits_of_mean, np.inf)
    return np.where(visits > 0, waits, 0.0)
