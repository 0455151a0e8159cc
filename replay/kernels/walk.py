"""Translation of an address when the table of recent translations has no answer, and the guest's refill handler.

``docs/model.md`` sections 4 and 5. What a TLB miss leads to is the system's business: its ``refill`` function.
"""

import numpy as np

from discotrace.replay.counts import N_CONTEXTS, Event
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.directory import LOAD
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.lanes import access_all
from discotrace.replay.kernels.locks import counts_plane, current_lock
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import INVALID, U64, State
from discotrace.replay.kernels.system import refill
from discotrace.replay.kernels.tlb import find_entry, give_asid, place_of_page, remember
from discotrace.replay.kernels.vms import vm_on
from discotrace.tracegen.schema import KERNEL_BASE, KSEG0_END, KSEG0_START, XKPHYS_END, XKPHYS_START, Service

N_EVENTS = len(Event)
UTLB_MISS = int(Service.UTLB_MISS)
TABLE_ENTRY_SHIFT = np.uint64(2)  # a page-table entry has 4 bytes

_USER_END = np.uint64(KERNEL_BASE)
_XKPHYS_START, _XKPHYS_END = np.uint64(XKPHYS_START), np.uint64(XKPHYS_END)
_KSEG0_START, _KSEG0_END = np.uint64(KSEG0_START), np.uint64(KSEG0_END)

# Why a kernel comes back to Python; the numbers from UNKNOWN_KIND on are faults of the trace.
END, WINDOW, MAP_PAGE, EVENT, WRITE_FAULT, HOT = 0, 1, 2, 3, 4, 5
UNKNOWN_KIND, CPU_RANGE, UNDECLARED, NESTING, UNKNOWN_SERVICE, UNKNOWN_CLASS, BAD_SIZE = 10, 11, 12, 13, 14, 15, 16
BAD_LOCK = 17

# Places of the trap: which page (MAP_PAGE, WRITE_FAULT); and who runs, with the counters for what Python does for it.
KEY, VPN, VADDR, CPU, BASE, VM = 0, 1, 2, 3, 4, 5


@inlined
def counts_base(s: State, cpu: int, context: int) -> int:
    """Where the counters of a context begin, of the VM that runs on a CPU, under the lock that is held."""
    return signed((s.cpus.plane[cpu] * N_CONTEXTS + context) * N_EVENTS)


@inlined
def is_user(vaddr: np.uint64) -> bool:
    """Whether the address belongs to a process."""
    return bool(vaddr < _USER_END)


@inlined
def in_kseg0(vaddr: np.uint64) -> bool:
    """Whether the address is in KSEG0, where the kernel's text and static data are."""
    return bool(_KSEG0_START <= vaddr < _KSEG0_END)


@inlined
def in_unmapped_segment(vaddr: np.uint64) -> bool:
    """Whether the address is in KSEG0 or XKPHYS, which the hardware does not translate."""
    return bool(_XKPHYS_START <= vaddr < _XKPHYS_END or in_kseg0(vaddr))


@inlined
def address_in_frame(s: State, frame: int, vaddr: np.uint64) -> np.uint64:
    """Address of a byte by frame slots: what the caches' lines are named after."""
    page_shift = np.uint64(s.params.page_shift)
    return np.uint64(frame) << page_shift | vaddr & ((np.uint64(1) << page_shift) - np.uint64(1))


@inlined
def say_who_runs(s: State, trap: U64, cpu: int, context: int) -> None:
    """Tell Python on which CPU, for which VM, and in which counters its work counts."""
    trap[CPU] = np.uint64(cpu)
    trap[BASE] = np.uint64(counts_base(s, cpu, context))
    trap[VM] = np.uint64(vm_on(s, cpu))


@inlined
def say_whose_row(s: State, trap: U64, vm: int, stream: int, cpu: int, context: int) -> None:
    """Tell Python the same for a row at which no virtual CPU runs: it is of a VM's virtual CPU on that CPU."""
    plane = counts_plane(s, cpu, vm, current_lock(s, stream))
    trap[CPU] = np.uint64(cpu)
    trap[BASE] = np.uint64((plane * N_CONTEXTS + context) * N_EVENTS)
    trap[VM] = np.uint64(vm)


@inlined
def ask_for_page(s: State, trap: U64, cpu: int, context: int, key: np.uint64, vpn: np.uint64, vaddr: np.uint64) -> int:
    """Say which page Python must map, or make writable, first. Returns INVALID, for the caller to return."""
    trap[KEY] = key
    trap[VPN] = vpn
    trap[VADDR] = vaddr
    say_who_runs(s, trap, cpu, context)
    return INVALID


@inlined
def page_table_page(s: State, group: np.uint64) -> np.uint64:
    """Number of the page-table page that holds a group's entries; its key is ``key + PAGE_TABLE``."""
    first = group << np.uint64(s.params.group_shift)
    return (first << TABLE_ENTRY_SHIFT) >> np.uint64(s.params.page_shift)


@inlined
def count_miss(s: State, base: int, entry: int) -> None:
    """A TLB access without a translation: the tag was absent, or present with the page invalid."""
    s.counts[base + (Event.TLB_MISSES if entry < 0 else Event.TLB_INVALID)] += 1


@kernel
def guest_handler(s: State, cpu: int, key: np.uint64, group: np.uint64, table_frame: int) -> None:
    """The guest's refill handler up to its TLB write: a few instructions, and the load of the group's entries."""
    p = s.params
    base = counts_base(s, cpu, UTLB_MISS)
    s.counts[base + Event.GUEST_REFILLS] += 1
    s.counts[base + Event.INSTRUCTIONS] += p.refill_instructions
    s.counts[base + Event.PAGE_TABLE_LOADS] += 1
    address = (group << np.uint64(p.group_shift)) << TABLE_ENTRY_SHIFT
    access_all(s.caches, cpu, base, LOAD, address, address_in_frame(s, table_frame, address), np.uint64(1))


@inlined
def untranslated(s: State, trap: U64, cpu: int, context: int, key: np.uint64, vpn: np.uint64, vaddr: np.uint64) -> int:
    """Frame of a kernel page that the hardware does not translate, INVALID if it must be mapped first."""
    frame = find_frame(s, cpu, key, vpn)
    if frame == INVALID:
        return ask_for_page(s, trap, cpu, context, key, vpn, vaddr)
    remember(s, cpu, key, vpn, frame, False)
    return frame


@inlined
def translate(s: State, trap: U64, cpu: int, context: int, key: np.uint64, vpn: np.uint64, vaddr: np.uint64) -> int:
    """A TLB access. Returns the frame, or INVALID if a page must be mapped first and nothing has been counted."""
    base = counts_base(s, cpu, context)
    give_asid(s, cpu, key, base)
    entry = find_entry(s, cpu, key, vpn >> np.uint64(s.params.group_shift))
    frame = INVALID
    if entry >= 0:
        frame = s.tlb.frame[place_of_page(s, cpu, entry, vpn)]
    if frame != INVALID:
        s.counts[base + Event.TLB_HITS] += 1
    else:
        frame = refill(s.system, s, trap, cpu, context, key, vpn, vaddr, entry)
        if frame == INVALID:
            return INVALID
    remember(s, cpu, key, vpn, frame, True)
    return frame
