"""CPUs run off their windows."""

import numpy as np
from numpy.typing import NDArray

from discotrace.replay.kernels.compile import kernel
from discotrace.tracegen.compiled import compiled_with

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@compiled_with(nogil=True, error_model="numpy")
def run_off(busy: Floats, waits: Flags, somebody_waits: Flags, members: Flags, clock: Floats, waited: Floats) -> None:
    """Fill in ``clock`` [n, windows, CPUs] and ``waited`` [n, CPUs] for ``n`` runs with busy times [n, windows, CPUs].

    The same in all of them: ``waits`` [windows, VMs, CPUs], who waits at the end of a window for the slowest CPU of a
    VM, ``somebody_waits`` [windows, VMs], and ``members`` [VMs, CPUs].
    """
    points, windows, cpus = busy.shape
    alone, late = np.empty(cpus), np.empty(cpus)  # when a CPU would be done alone, and how much later it is
    for point in range(points):
        for cpu in range(cpus):
            alone[cpu], late[cpu] = 0.0, 0.0
        for window in range(windows):
            for cpu in range(cpus):
                alone[cpu] += busy[point, window, cpu]
            for vm in range(len(members)):
                if somebody_waits[window, vm]:
                    _meet(alone, late, waits, members, window, vm)
            for cpu in range(cpus):
                clock[point, window, cpu] = alone[cpu] + late[cpu]
        for cpu in range(cpus):
            waited[point, cpu] = max(alone[cpu] + late[cpu] - alone[cpu], 0.0)


@kernel
def _meet(alone: Floats, late: Floats, waits: Flags, members: Flags, window: int, vm: int) -> None:
    """Some CPUs of a virtual machine wait for its slowest."""
    cpus = len(alone)
    now = 0.0
    for cpu in range(cpus):
        if members[vm, cpu]:
            now = max(now, alone[cpu] + late[cpu])
    for cpu in range(cpus):
        if waits[window, vm, cpu]:
            late[cpu] = now - alone[cpu]
