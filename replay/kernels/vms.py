"""Virtual machines: whose a row is, and on which CPU it runs. ``docs/model.md`` section 1."""

import numpy as np

from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import KERNEL_KEYS, State

NOBODY = -1  # instead of a VM: the process is not declared
_LOW_HALF = np.uint64(0xFFFF_FFFF)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@inlined
def process_number(s: State, asid: np.uint64) -> int:
    """Number of a declared process in ascending order of asid; of another, the number of processes."""
    low, high = 0, len(s.asids)
    while low < high:
        middle = (low + high) // 2
        if s.asids[middle] < asid:
            low = middle + 1
        else:
            high = middle
    if low < len(s.asids) and s.asids[low] == asid:
        return low
    return len(s.asids)


@inlined
def vm_of_row(s: State, stream: int, asid: int) -> int:
    """The VM of a row: that of its process, else that of the row before it in the stream. NOBODY if not declared."""
    if asid != 0:
        process = process_number(s, np.uint64(asid))
        if process == len(s.asids):
            return NOBODY
        s.streams.vm[stream] = s.vms.of_process[process]
    return signed(s.streams.vm[stream])


@inlined
def cpu_of(s: State, vm: int, stream: int) -> int:
    """The CPU on which virtual CPU (vm, stream) runs: always the same, for affinity."""
    return signed(s.vms.first_cpu[vm] + stream % s.vms.width[vm])


@inlined
def vm_on(s: State, cpu: int) -> int:
    """The VM that runs on a CPU."""
    return signed(s.cpus.vcpu[cpu] // s.params.streams)


@inlined
def stream_on(s: State, cpu: int) -> int:
    """The stream whose virtual CPU runs on a CPU."""
    return signed(s.cpus.vcpu[cpu] % s.params.streams)


@inlined
def kernel_key(s: State, cpu: int) -> np.uint64:
    """Key of kernel addresses of the VM that runs on a CPU."""
    return np.uint64(vm_on(s, cpu)) << KERNEL_KEYS


@inlined
def key_in_vm(key: np.uint64) -> np.uint64:
    """The asid of a process's key, 0 of a kernel key: enough to tell keys of pages apart within one VM."""
    return key & _LOW_HALF


@kernel
def vm_of_key(s: State, key: np.uint64) -> int:
    """The VM in which a key occurs, be it of pages or of page-table pages."""
    asid = key_in_vm(key)
    if asid == _ZERO:
        return signed(key >> KERNEL_KEYS)
    return signed(s.vms.of_process[process_number(s, asid)])
