"""Who runs where: processes and CPUs of a trace over virtual machines (D 4.1; ``docs/model.md`` section 1)."""

from dataclasses import dataclass

from discotrace.replay.machine import Machine
from discotrace.tracegen.schema import TraceMeta


@dataclass(frozen=True)
class Partition:
    """``vms`` virtual machines over the CPUs, processes and virtual CPUs of one trace."""

    vms: int
    cpus: int
    streams: int  # virtual CPUs of the trace; VM m has virtual CPU (m, v) for each, number ``m * streams + v``
    vm_of_process: list[int]  # in ascending order of asid
    vm_at_first: list[int]  # by virtual CPU of the trace: whose rows of no process come first
    seats: list[tuple[int, int]]  # (CPU, VM) that counts are kept for, ascending

    def first_cpu(self, vm: int) -> int:
        """The lowest CPU of a VM."""
        return vm * self.cpus // self.vms

    def width(self, vm: int) -> int:
        """How many CPUs a VM has."""
        return max(1, (vm + 1) * self.cpus // self.vms - self.first_cpu(vm))

    def cpu(self, vm: int, stream: int) -> int:
        """The CPU on which virtual CPU (vm, stream) runs: always the same, for affinity."""
        return self.first_cpu(vm) + stream % self.width(vm)


def partition(meta: TraceMeta, machine: Machine, vms: int) -> Partition:
    """Processes go by the instance of the workload that they belong to; CPUs are divided evenly."""
    instances = sorted({process.instance for process in meta.processes})
    place = {instance: number for number, instance in enumerate(instances)}
    processes = sorted(meta.processes, key=lambda process: process.asid)
    cpus = machine.cpu.count
    empty = Partition(vms, cpus, meta.cpus, [], [], [])
    seats = sorted({(empty.cpu(vm, stream), vm) for vm in range(vms) for stream in range(meta.cpus)})
    return Partition(
        vms=vms,
        cpus=cpus,
        streams=meta.cpus,
        vm_of_process=[place[process.instance] * vms // len(instances) for process in processes],
        vm_at_first=[max(vm for vm in range(vms) if vm * meta.cpus // vms <= s) for s in range(meta.cpus)],
        seats=seats,
    )
