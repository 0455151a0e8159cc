"""Loops over the state of waiting, one vector of prices after the other."""

import numpy as np
from numpy.typing import NDArray

from discotrace.tracegen.compiled import compiled_with

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

SHORTEST, LONGEST = 0.25, 2.0  # limits of a step towards what was found


@compiled_with(nogil=True, error_model="numpy")
def lengthen(busy: Floats, for_locks: Floats, interval: Codes, longer: Floats) -> None:
    """Fill in ``longer`` [n, stretches, CPUs]: busy times, and waiting for locks [n, intervals, VMs, CPUs].

    The waiting of a CPU in an interval is spread over its stretches as its busy time is, by their ``interval``
    [stretches], which ascends.
    """
    points, stretches, cpus = busy.shape
    intervals, vms = for_locks.shape[1:3]
    for point in range(points):
        for cpu in range(cpus):
            first = 0
            for i in range(intervals):
                after, total, waited = first, 0.0, 0.0
                while after < stretches and interval[after] == i:
                    total += busy[point, after, cpu]
                    after += 1
                for vm in range(vms):
                    waited += for_locks[point, i, vm, cpu]
                for stretch in range(first, after):
                    share = busy[point, stretch, cpu] / total if total > 0 else 0.0
                    longer[point, stretch, cpu] = busy[point, stretch, cpu] + share * waited
                first = after


@compiled_with(nogil=True, error_model="numpy")
def find_change(
    misses: Floats, of_misses: Floats, for_locks: Floats, for_disks: Floats, change: Floats, largest: Floats
) -> None:
    """Fill in ``change`` [n, intervals, CPUs], by how much CPUs wait longer, and ``largest`` [n], the most of a CPU.

    If misses [intervals, CPUs, MISS_CLASSES] wait longer by ``of_misses`` [n, intervals, CPUs, MISS_CLASSES] each, and
    CPUs for locks by ``for_locks`` [n, intervals, VMs, CPUs] and for disks by ``for_disks`` [n, VMs]. The first two
    have no elements where nobody ever waits.
    """
    points, intervals, cpus = change.shape
    for point in range(points):
        disks = 0.0
        for vm in range(for_disks.shape[1]):
            disks += for_disks[point, vm]
        largest[point] = 0.0
        for cpu in range(cpus):
            moved = 0.0
            for i in range(intervals):
                waits = disks / intervals
                if of_misses.size:
                    for k in range(misses.shape[2]):
                        waits += misses[i, cpu, k] * of_misses[point, i, cpu, k]
                if for_locks.size:
                    for vm in range(for_locks.shape[2]):
                        waits += for_locks[point, i, vm, cpu]
                change[point, i, cpu] = waits
                moved += abs(waits)
            largest[point] = max(largest[point], moved)


@compiled_with(nogil=True, error_model="numpy")
def adapt_steps(change: Floats, before: Floats, share: Floats) -> None:
    """Change ``share`` [n]: how far to go towards what was found, of the way to it.

    By the changes [n, intervals, CPUs] at the last two states: the secant on their common line. Where there was no
    state before, ``before`` is 0 and nothing is known.
    """
    points, intervals, cpus = change.shape
    for point in range(points):
        size, along = 0.0, 0.0
        for i in range(intervals):
            for cpu in range(cpus):
                size += before[point, i, cpu] * before[point, i, cpu]
                along += change[point, i, cpu] * before[point, i, cpu]
        if size > 0:
            left = along / size
            share[point] = min(max(share[point] / (1 - left), SHORTEST), LONGEST) if left < 1 else SHORTEST
