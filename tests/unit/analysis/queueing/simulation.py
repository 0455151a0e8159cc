"""Networks of queues simulated event by event with SimPy: the slow twin of the solvers. Times in any unit."""

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def jobs_at_cpus_and_disks(demands: Floats, servers: list[int], jobs: int, until: float, seed: int) -> float:
    """Cycles per time unit of jobs that visit every station in turn, for an exponential time each."""
    rng = np.random.default_rng(seed)
    world = simpy.Environment()
    stations = [simpy.Resource(world, capacity=m) for m in servers]
    done = 0

    def job() -> Generator[simpy.Event, Any, None]:
        nonlocal done
        while True:
            for station, demand in zip(stations, demands, strict=True):
                with station.request() as turn:
                    yield turn
                    yield world.timeout(rng.exponential(demand))
            done += 1

    for _ in range(jobs):
        world.process(job())
    world.run(until=until)
    return done / until


def cpus_at_memories(think: Floats, visits: Floats, service: Floats, until: float, seed: int) -> Floats:
    """Mean cycles [C] of CPUs that think for an exponential time and visit one memory, picked by ``visits`` [C, M].

    Thinking and service count with their means and only waiting as it was found, which leaves less noise.
    """
    rng = np.random.default_rng(seed)
    world = simpy.Environment()
    memories = [simpy.Resource(world) for _ in service]
    done, waited = np.zeros(len(think)), np.zeros(len(think))

    def cpu(c: int) -> Generator[simpy.Event, Any, None]:
        edges = np.cumsum(visits[c])[:-1]
        while True:
            yield world.timeout(rng.exponential(think[c]))
            m = int(np.searchsorted(edges, rng.random()))
            came = world.now
            with memories[m].request() as turn:
                yield turn
                waited[c] += world.now - came
                yield world.timeout(service[m])
            done[c] += 1

    for c in range(len(think)):
        world.process(cpu(c))
    world.run(until=until)
    cycles: Floats = think + visits @ service + waited / done
    return cycles
