"""Processes and CPUs over virtual machines: section 1 of ``docs/model.md``."""

from discotrace.tracegen.schema import TraceMeta


class Partition:
    """Which VM a row belongs to, and which CPU its virtual CPU runs on."""

    def __init__(self, meta: TraceMeta, cpus: int, vms: int):
        """``vms`` virtual machines on ``cpus`` CPUs."""
        self.cpus = cpus
        self.vms = vms
        self.streams = meta.cpus
        instances = sorted({process.instance for process in meta.processes})
        self.vm_of_process = {
            process.asid: instances.index(process.instance) * vms // len(instances) for process in meta.processes
        }
        self.vm_before = [max(m for m in range(vms) if m * meta.cpus // vms <= v) for v in range(meta.cpus)]

    def vm_of_row(self, stream: int, asid: int) -> int:
        """The VM of the next row of a virtual CPU of the trace; rows of no process go with the row before."""
        if asid:
            self.vm_before[stream] = self.vm_of_process[asid]
        return self.vm_before[stream]

    def cpu(self, vm: int, stream: int) -> int:
        """The CPU on which virtual CPU (vm, stream) runs."""
        first = vm * self.cpus // self.vms
        width = max(1, (vm + 1) * self.cpus // self.vms - first)
        return first + stream % width
