"""Sections of locks as networks of queues and back."""

import numpy as np
from numpy.typing import NDArray

from discotrace.tracegen.compiled import compiled_with

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@compiled_with(nogil=True, error_model="numpy")
def find_think(
    place: Codes,
    spans: Floats,
    before: Floats,
    acquires: Floats,
    held_ns: Floats,
    handoff_ns: Floats,
    service: Floats,
    think: Floats,
) -> None:
    """Fill in ``service`` [n, networks, locks], mean sections, and ``think`` [n, networks, CPUs], the time elsewhere.

    ``place`` [networks] of [intervals x VMs]; ``spans`` [n, intervals, CPUs]; ``before`` [n, intervals, VMs, CPUs]:
    waiting that is part of them; ``acquires`` and ``held_ns`` [n, networks, CPUs, locks]; ``handoff_ns`` [n].
    """
    points, networks, cpus, locks = acquires.shape
    vms = before.shape[2]
    for point in range(points):
        for network in range(networks):
            interval, vm = place[network] // vms, place[network] % vms
            for lock in range(locks):
                held, taken = 0.0, 0.0
                for cpu in range(cpus):
                    held += held_ns[point, network, cpu, lock]
                    taken += acquires[point, network, cpu, lock]
                service[point, network, lock] = held / max(taken, 1.0) + handoff_ns[point]
            for cpu in range(cpus):
                elsewhere = spans[point, interval, cpu] - before[point, interval, vm, cpu]
                for lock in range(locks):
                    elsewhere -= acquires[point, network, cpu, lock] * service[point, network, lock]
                think[point, network, cpu] = max(elsewhere, 0.0)


@compiled_with(nogil=True, error_model="numpy")
def sum_waits(place: Codes, acquires: Floats, per_visit: Floats, waits: Floats) -> None:
    """Add to ``waits`` [n, intervals, VMs, CPUs] what a CPU waits for all locks, by what it waits ``per_visit``."""
    points, networks, cpus, locks = acquires.shape
    vms = waits.shape[2]
    for point in range(points):
        for network in range(networks):
            interval, vm = place[network] // vms, place[network] % vms
            for cpu in range(cpus):
                for lock in range(locks):
                    visits = acquires[point, network, cpu, lock]
                    waits[point, interval, vm, cpu] += visits * per_visit[point, network, cpu, lock]
