"""Where a system ran, as far as its time depends on it: CPUs, nodes, virtual machines, jobs that wait for disks."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discotrace.analysis.pricing import NATIVE
from discotrace.replay.machine import Machine


@dataclass(frozen=True)
class Site:
    """A machine with its CPUs resolved, and the workload of the trace.

    ``instances`` of the workload; ``jobs``: processes of one instance that run at the same time, None if unknown;
    ``runs_on``: the trace is a piece of a longer run, after which no CPU waits for the others.
    """

    machine: Machine
    instances: int = 1
    jobs: int | None = None
    runs_on: bool = False

    @property
    def cpus(self) -> int:
        """CPUs of the machine."""
        return self.machine.cpu.count

    @property
    def nodes(self) -> int:
        """Nodes of the machine."""
        return self.machine.nodes

    def vms(self, system: str) -> int:
        """Virtual machines under a system; natively the OS is the only one."""
        return 1 if system == NATIVE else self.machine.vm.count

    def serves_files(self, system: str) -> bool:
        """Whether the first virtual machine serves the files of all."""
        return self.machine.vm.nfs and self.vms(system) > 1

    def is_own_node(self) -> NDArray[np.bool_]:
        """Whether a node is a CPU's own: [CPUs, nodes]."""
        nodes_of_cpus = np.arange(self.cpus) // self.machine.cpu.per_node
        is_own: NDArray[np.bool_] = nodes_of_cpus[:, None] == np.arange(self.nodes)
        return is_own

    def cpus_of_vms(self, system: str) -> NDArray[np.bool_]:
        """Whether a virtual machine runs on a CPU: [virtual machines, CPUs], as ``replay.partition`` divides them."""
        vms = self.vms(system)
        first = np.arange(vms) * self.cpus // vms
        after = np.maximum(first + 1, (np.arange(vms) + 1) * self.cpus // vms)
        cpu = np.arange(self.cpus)
        runs: NDArray[np.bool_] = (first[:, None] <= cpu) & (cpu < after[:, None])
        return runs

    def jobs_of_vms(self, system: str, jobs_per_cpu: float) -> list[int]:
        """How many processes of each virtual machine run or wait for a disk at the same time, at least one.

        Where the trace does not say it, ``jobs_per_cpu`` for each CPU that the virtual machine has.
        """
        vms = self.vms(system)
        if self.jobs is None:
            return [max(1, math.ceil(jobs_per_cpu * width)) for width in self.cpus_of_vms(system).sum(axis=1)]
        vm_of_instance = np.arange(self.instances) * vms // max(1, self.instances)
        return [max(1, self.jobs * int(count)) for count in np.bincount(vm_of_instance, minlength=vms)]
