"""SPLASHOS under the monitor: a library OS in the application's address space, without virtual memory (D 4.4).

``docs/model.md`` section 13. The traced kernel's faults, clock ticks and context switches do not happen: page faults
are the monitor's, the rest is left out.
"""

from typing import NamedTuple

import numpy as np

from discotrace.monitor.kernels.disco import (
    change_vcpu_under_disco,
    forget_page_under_disco,
    free_page_under_disco,
    idle_under_disco,
    translate_kernel_under_disco,
)
from discotrace.monitor.kernels.refills import refill_monitor_page
from discotrace.replay.counts import MONITOR, Event
from discotrace.replay.kernels import system
from discotrace.replay.kernels.events import guest_clears, store_range
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.reference import replay_rows
from discotrace.replay.kernels.services import is_fault
from discotrace.replay.kernels.state import I64, INVALID, U64, State
from discotrace.replay.kernels.system import implements
from discotrace.replay.kernels.vms import stream_on
from discotrace.replay.kernels.walk import ask_for_page, count_miss, counts_base
from discotrace.tracegen.schema import Kind, Service

_TICK, _SWITCH = int(Service.TICK), int(Service.SWITCH)
_ENTER, _EXIT, _PRIVILEGED, _ZERO_PAGE = int(Kind.ENTER), int(Kind.EXIT), int(Kind.PRIVILEGED), int(Kind.ZERO_PAGE)
_LOCK, _UNLOCK = int(Kind.LOCK), int(Kind.UNLOCK)
_FILE_READ, _FILE_WRITE = int(Kind.FILE_READ), int(Kind.FILE_WRITE)
_PROCESS_EXIT, _MAP, _UNMAP = int(Kind.PROCESS_EXIT), int(Kind.MAP), int(Kind.UNMAP)


class Splashos(NamedTuple):
    """The monitor's numbers, as ``software_tlb.Disco`` has them."""

    sets: int  # 0 = there is no software TLB
    ways: int
    key: U64  # [virtual CPUs, sets, ways]
    group: U64  # [virtual CPUs, sets, ways]
    frame: I64  # [virtual CPUs, sets, ways, 2]
    refill_instructions: int
    refill_registers: int
    patch_registers: int
    zero_page_hint: int
    free_page_hint: int
    idle_hint: int


implements(system.translate_kernel, Splashos)(translate_kernel_under_disco)
implements(system.change_vcpu, Splashos)(change_vcpu_under_disco)
implements(system.free_page, Splashos)(free_page_under_disco)
implements(system.idle, Splashos)(idle_under_disco)
implements(system.forget_page, Splashos)(forget_page_under_disco)


@implements(system.refill, Splashos)
def refill_under_splashos(
    system: Splashos,
    s: State,
    trap: U64,
    cpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
    old_entry: int,
) -> int:
    """There is no guest's handler and no page table: the monitor knows where every page is."""
    frame = find_frame(s, cpu, key, vpn)
    if frame == INVALID:
        return ask_for_page(s, trap, cpu, context, key, vpn, vaddr)
    base = counts_base(s, cpu, context)
    count_miss(s, base, old_entry)
    refill_monitor_page(s, cpu, base, key, vpn)
    return frame


@implements(system.execute_privileged, Splashos)
def execute_privileged_under_splashos(system: Splashos, s: State, base: int, kind: int, times: int) -> None:
    """Not called: a library OS has no privileged mode, no PRIVILEGED row is executed."""


@implements(system.wire, Splashos)
def wire_under_splashos(
    system: Splashos,
    s: State,
    cpu: int,
    base: int,
    times: int,
    key: np.uint64,
    group: np.uint64,
    frames: tuple[int, int],
) -> None:
    """Not called, as above."""


@implements(system.zero_page, Splashos)
def zero_page_under_splashos(
    system: Splashos, s: State, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int, instructions: int
) -> None:
    """Where the guest's kernel is left out there is only the monitor to clear a page; else as under Disco."""
    if s.system.zero_page_hint or s.streams.left_out[stream_on(s, cpu)] > 0:
        s.counts[counts_base(s, cpu, context) + Event.ZERO_PAGE_CALLS] += 1
    else:
        guest_clears(s, cpu, context, key, vaddr, size, instructions)
    store_range(s, cpu, counts_base(s, cpu, MONITOR + context), key, vaddr, size)


@implements(system.leaves_out, Splashos)
def leaves_out_virtual_memory(system: Splashos, service: int) -> bool:
    """Faults are the monitor's; nobody is interrupted to share the CPU."""
    return is_fault(service) or service in (_TICK, _SWITCH)


@implements(system.executes, Splashos)
def executes_what_remains(system: Splashos, s: State, stream: int, kind: int) -> bool:
    """No privileged instruction. Inside a service that is left out, what others see of it, and the stacks."""
    if s.streams.left_out[stream] == 0:
        return kind != _PRIVILEGED
    of_others = (_MAP, _UNMAP, _PROCESS_EXIT, _FILE_READ, _FILE_WRITE, _ZERO_PAGE)
    return kind in of_others or kind in (_ENTER, _EXIT, _LOCK, _UNLOCK)


# The loop is the same for all systems; who imports it from here has the functions above registered.
replay_splashos = replay_rows
