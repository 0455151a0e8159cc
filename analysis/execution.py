"""When each CPU is done: CPUs run on by themselves, and wait for others where they idle or come to a barrier."""

from dataclasses import dataclass

import numpy as np

from discotrace.analysis.pricing import Flags, Floats


@dataclass(frozen=True)
class Execution:
    """Times in ns. ``clock`` [windows, CPUs]: when a CPU has finished a window. ``waited`` [CPUs]: for other CPUs."""

    clock: Floats
    waited: Floats

    @property
    def ends(self) -> Floats:
        """When each CPU has finished: [CPUs]."""
        return self.clock[-1] if len(self.clock) else np.zeros(len(self.waited))


def executed(busy: Floats, meets: Flags, members: Flags) -> Execution:
    """Run busy times [windows, CPUs] off.

    ``meets`` [windows, VMs, CPUs]: the CPU idled or came to a barrier in the window: at its end it waits for the
    slowest CPU of its VM. ``members`` [VMs, CPUs]: who runs where. A CPU that several VMs share never waits: while one
    of them does, another runs.
    """
    clock = busy.cumsum(axis=0)
    shared = members.sum(axis=0) > 1
    for vm, of_vm in enumerate(members):
        cpus = np.flatnonzero(of_vm)
        if len(cpus) > 1:
            clock[:, cpus] = _with_meetings(busy[:, cpus], meets[:, vm, cpus] & ~shared[cpus])
    waited = np.maximum(clock[-1] - busy.cumsum(axis=0)[-1], 0) if len(clock) else np.zeros(busy.shape[1])
    return Execution(clock, waited)


def _with_meetings(busy: Floats, meets: Flags) -> Floats:
    """Clocks [windows, CPUs] of the CPUs of one VM."""
    alone = busy.cumsum(axis=0)
    clock = alone.copy()
    late = np.zeros(busy.shape[1])  # how much later a CPU is than it would be alone
    before = 0
    for window in np.flatnonzero(meets.any(axis=1)).tolist():
        clock[before:window] = alone[before:window] + late
        now = alone[window] + late
        late = np.where(meets[window], now.max() - alone[window], late)
        clock[window] = alone[window] + late
        before = window + 1
    clock[before:] = alone[before:] + late
    return clock
