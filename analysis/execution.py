"""When each CPU is done: CPUs run on by themselves, and wait for others where they idle or come to a barrier."""

import math
from dataclasses import dataclass

import numpy as np

from discotrace.analysis.execution_kernels import run_off
from discotrace.analysis.pricing import Flags, Floats


@dataclass(frozen=True)
class Execution:
    """Times in ns.

    ``clock`` [..., windows, CPUs]: when a CPU has finished a window. ``waited`` [..., CPUs]: for other CPUs.
    """

    clock: Floats
    waited: Floats

    @property
    def ends(self) -> Floats:
        """When each CPU has finished: [..., CPUs]."""
        return self.clock[..., -1, :] if self.clock.shape[-2] else np.zeros_like(self.waited)


def executed(busy: Floats, meets: Flags, members: Flags) -> Execution:
    """Run busy times [..., windows, CPUs] off.

    ``meets`` [windows, VMs, CPUs]: the CPU idled or came to a barrier in the window: at its end it waits for the
    slowest CPU of its VM. ``members`` [VMs, CPUs]: who runs where. A CPU that several VMs share never waits: while one
    of them does, another runs.
    """
    windows, cpus = busy.shape[-2:]
    runs = math.prod(busy.shape[:-2])
    waits = meets & (members & (members.sum(axis=0) == 1))
    clock, waited = np.empty((runs, windows, cpus)), np.empty((runs, cpus))
    run_off(np.ascontiguousarray(busy).reshape(clock.shape), waits, waits.any(axis=2), members, clock, waited)
    return Execution(clock.reshape(busy.shape), waited.reshape(*busy.shape[:-2], cpus))
