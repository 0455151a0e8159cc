"""Both solvers against simulations of the same networks. The seeds are fixed; 2 % has room for their noise."""

import numpy as np
import pytest

from discotrace.analysis.queueing import linearizer, product_form
from tests.unit.analysis.queueing.simulation import Floats, cpus_at_memories, jobs_at_cpus_and_disks


@pytest.mark.parametrize(("servers", "jobs"), [([1, 1, 1], 2), ([4, 1, 1], 8)])
def test_cpus_and_disks__throughput_within_2_percent(servers: list[int], jobs: int) -> None:
    demands = np.array([3.0, 1.0, 0.5])
    simulated = jobs_at_cpus_and_disks(demands, servers, jobs, 20_000, seed=7)
    assert product_form.solve(demands, servers, jobs).throughput == pytest.approx(simulated, rel=0.02)


def evenly(cpus: int, nodes: int) -> Floats:
    return np.full((cpus, nodes), 1 / nodes)


def mostly_local(cpus: int, nodes: int) -> Floats:
    """Three of ten misses go to node 0, half to the CPU's own node, the rest anywhere."""
    visits = np.full((cpus, nodes), 0.2 / nodes)
    visits[np.arange(cpus), np.arange(cpus) % nodes] += 0.5
    visits[:, 0] += 0.3
    return visits


@pytest.mark.parametrize(
    ("visits", "think", "until"),
    [
        (evenly(8, 1), 16.0, 40_000),  # used for 0.46 of the time
        (evenly(8, 2), 3.0, 20_000),  # 0.79
        (mostly_local(4, 4), 2.0, 30_000),
        (mostly_local(16, 16), 6.0, 15_000),  # the hot node 0.7
        (mostly_local(16, 4), 3.0, 25_000),  # the hot node 1.0
    ],
)
def test_cpus_and_memories__cycles_within_2_percent(visits: Floats, think: float, until: float) -> None:
    cpus, nodes = visits.shape
    thinks, service = think * np.linspace(0.8, 1.2, cpus), np.ones(nodes)
    simulated = cpus_at_memories(thinks, visits, service, until, seed=3)
    solved = linearizer.solve(thinks, visits, service).cycle
    assert solved == pytest.approx(simulated, rel=0.02)
    assert (1 / solved).sum() == pytest.approx((1 / simulated).sum(), rel=0.01)
