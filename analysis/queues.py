"""CPUs that wait for each other at stations, whatever the stations are."""

import numpy as np

from discotrace.analysis.pricing import Floats
from discotrace.analysis.queueing import linearizer, product_form


def waiting_per_visit(think: Floats, visits: Floats, service: Floats, background: Floats) -> Floats:
    """Mean time [B, C, M] that a CPU waits at a station per visit.

    ``think`` [B, C]: time of a cycle elsewhere; ``visits`` [B, C, M] and ``background`` [B, C, M] (that nobody waits
    for) per cycle; ``service`` [B, M]. Networks for which the approximation finds no solution are solved exactly for
    CPUs that are all like their mean.
    """
    waits = _approximated(think, visits, service, background)
    if waits is not None:
        return waits
    if len(think) > 1:
        each = (slice(network, network + 1) for network in range(len(think)))
        return np.concatenate([waiting_per_visit(think[b], visits[b], service[b], background[b]) for b in each])
    return _of_mean_cpus(think[0], visits[0], service[0], background[0])[None]


def _approximated(think: Floats, visits: Floats, service: Floats, background: Floats) -> Floats | None:
    """The approximation's answer, if it has one."""
    try:
        with np.errstate(all="ignore"):  # a search that runs away is one without an answer
            waits = linearizer.solve(think, visits, service, background).per_visit
    except ArithmeticError:
        return None
    return waits if np.isfinite(waits).all() else None


def _of_mean_cpus(think: Floats, visits: Floats, service: Floats, background: Floats) -> Floats:
    """The same for one network of equal CPUs [C, M]; the background takes part of the stations' time away."""
    cpus = len(think)
    taken = np.minimum(service * background.sum(axis=0) / max(think.max(), 1.0), 0.5)
    visits_of_mean = visits.mean(axis=0)
    demand = visits_of_mean * service / (1 - taken)
    steady = product_form.solve([think.mean(), *demand], [np.inf, *np.ones(len(demand))], cpus)
    waits = np.maximum(steady.residence[1:] - demand, 0) / np.where(visits_of_mean > 0, visits_of_mean, np.inf)
    return np.where(visits > 0, waits, 0.0)
