"""The Disco monitor under a guest OS: what its trap handlers do to the TLB, and what they emulate.

D 4.1 (virtual CPUs), D 4.2.1 (TLB), D 4.3 (the guest's changes); ``docs/model.md`` sections 5 and 8, column monitor.
"""

import numpy as np

from discotrace.monitor.kernels import software_tlb
from discotrace.monitor.kernels.refills import (
    enter,
    refill_from_software_tlb,
    refill_monitor_page,
    translate_relocated_kernel,
)
from discotrace.monitor.kernels.software_tlb import Disco
from discotrace.replay.counts import MONITOR, Event
from discotrace.replay.kernels import system
from discotrace.replay.kernels.compile import inlined
from discotrace.replay.kernels.events import guest_clears, store_range
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.reference import replay_rows
from discotrace.replay.kernels.state import INVALID, PAGE_TABLE, U64, State
from discotrace.replay.kernels.system import implements
from discotrace.replay.kernels.tlb import find_entry, flush, mapped_group, place_of_page, write_wired
from discotrace.replay.kernels.walk import (
    UTLB_MISS,
    ask_for_page,
    count_miss,
    counts_base,
    guest_handler,
    in_unmapped_segment,
    page_table_page,
)
from discotrace.tracegen.schema import Privileged

_ZERO = np.uint64(0)
_REGISTER, _INTERRUPT = int(Privileged.REGISTER), int(Privileged.INTERRUPT)


@implements(system.translate_kernel, Disco)
def translate_kernel_under_disco(
    system: Disco, s: State, trap: U64, cpu: int, context: int, key: np.uint64, vpn: np.uint64, vaddr: np.uint64
) -> int:
    """Every kernel address goes through the TLB."""
    return translate_relocated_kernel(s, trap, cpu, context, key, vpn, vaddr)


@inlined
def translate_page_table(s: State, cpu: int, key: np.uint64, vpn: np.uint64) -> None:
    """The guest's handler touches its page table, which is mapped: a TLB access of its own."""
    base = counts_base(s, cpu, UTLB_MISS)
    at = find_entry(s, cpu, key, vpn >> np.uint64(s.params.group_shift))
    if at >= 0 and s.tlb.frame[place_of_page(s, cpu, at, vpn)] != INVALID:
        s.counts[base + Event.TLB_HITS] += 1
        return
    count_miss(s, base, at)
    refill_monitor_page(s, cpu, base, key, vpn)


@inlined
def emulate_guest_handler(s: State, cpu: int) -> None:
    """The privileged instructions of the guest's refill handler; its TLB write comes last.

    The monitor, trapped into by that write, goes back to the interrupted code itself: table 2 leaves under 1 cycle per
    miss for privileged instructions other than TLB writes, too little for a return that traps.
    """
    base = counts_base(s, cpu, UTLB_MISS)
    if s.system.patch_registers:
        s.counts[base + Event.PRIVILEGED_PATCHED] += s.system.refill_registers
    else:
        s.counts[base + Event.PRIVILEGED_EMULATED] += s.system.refill_registers
    s.counts[base + Event.TLB_WRITES_EMULATED] += 1


@implements(system.refill, Disco)
def refill_under_disco(
    system: Disco,
    s: State,
    trap: U64,
    cpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
    old_entry: int,
) -> int:
    """Second-level TLB first; else the monitor itself for kernel pages, the guest's handler for all others (D 4.1)."""
    base = counts_base(s, cpu, context)
    group = vpn >> np.uint64(s.params.group_shift)
    page = signed(vpn & np.uint64((1 << s.params.group_shift) - 1))
    of_monitor = in_unmapped_segment(vaddr)
    refill_context = context if of_monitor else UTLB_MISS
    frame = find_frame(s, cpu, key, vpn)
    if frame == INVALID:
        return ask_for_page(s, trap, cpu, refill_context, key, vpn, vaddr)
    if of_monitor:
        count_miss(s, base, old_entry)
        refill_monitor_page(s, cpu, base, key, vpn)
        return frame
    if refill_from_software_tlb(s, cpu, counts_base(s, cpu, UTLB_MISS), key, group, page):
        count_miss(s, base, old_entry)
        return frame
    table = page_table_page(s, group)
    table_frame = find_frame(s, cpu, key + PAGE_TABLE, table)
    if table_frame == INVALID:
        return ask_for_page(s, trap, cpu, UTLB_MISS, key + PAGE_TABLE, table, _ZERO)
    count_miss(s, base, old_entry)
    s.cpus.retired[cpu] += s.params.refill_instructions
    translate_page_table(s, cpu, key + PAGE_TABLE, table)
    guest_handler(s, cpu, key, group, table_frame)
    emulate_guest_handler(s, cpu)
    enter(s, cpu, key, group, mapped_group(s, cpu, key, group))
    return frame


@implements(system.change_vcpu, Disco)
def change_vcpu_under_disco(system: Disco, s: State, cpu: int, base: int) -> None:
    """ASIDs are not virtualised, so the TLB is emptied when another virtual CPU runs (D 4.1)."""
    s.counts[base + Event.TLB_FLUSHES] += 1
    flush(s, cpu, 0)


@implements(system.execute_privileged, Disco)
def execute_privileged_under_disco(system: Disco, s: State, base: int, kind: int, times: int) -> None:
    """Trapped and emulated, or, where the guest is patched to use a special page, not trapped (D 4.3)."""
    if s.system.patch_registers and kind in (_REGISTER, _INTERRUPT):
        s.counts[base + Event.PRIVILEGED_PATCHED] += times
    else:
        s.counts[base + Event.PRIVILEGED_EMULATED] += times


@implements(system.wire, Disco)
def wire_under_disco(
    system: Disco,
    s: State,
    cpu: int,
    base: int,
    times: int,
    key: np.uint64,
    group: np.uint64,
    frames: tuple[int, int],
) -> None:
    """The guest's write of a wired entry traps like any TLB write."""
    s.counts[base + Event.WIRED_WRITES_EMULATED] += times
    if frames[0] != INVALID or frames[1] != INVALID:
        software_tlb.write(s, signed(s.cpus.vcpu[cpu]), key, group, frames)
    write_wired(s, cpu, key, group, frames)


@implements(system.zero_page, Disco)
def zero_page_under_disco(
    system: Disco, s: State, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int, instructions: int
) -> None:
    """The monitor clears each page it gives to a guest, for isolation; with the hint the guest need not (D 4.3)."""
    if s.system.zero_page_hint:
        s.counts[counts_base(s, cpu, context) + Event.ZERO_PAGE_CALLS] += 1
    else:
        guest_clears(s, cpu, context, key, vaddr, size, instructions)
    store_range(s, cpu, counts_base(s, cpu, MONITOR + context), key, vaddr, size)


@implements(system.free_page, Disco)
def free_page_under_disco(system: Disco, s: State, base: int) -> None:
    """With the hint the guest tells the monitor, which takes the frame back (D 4.3)."""
    s.counts[base + Event.FREE_PAGES] += 1
    s.counts[base + Event.FREE_PAGE_CALLS] += s.system.free_page_hint


@implements(system.idle, Disco)
def idle_under_disco(system: Disco, s: State, base: int, instructions: int) -> None:
    """With the hint an idle virtual CPU is descheduled (D 4.3); without, its idle loop runs."""
    s.counts[base + (Event.IDLE_INSTRUCTIONS if s.system.idle_hint else Event.IDLE_SPINS)] += instructions


@implements(system.leaves_out, Disco)
def leaves_out_nothing(system: Disco, service: int) -> bool:
    """The traced kernel itself runs."""
    return False


@implements(system.executes, Disco)
def executes_everything(system: Disco, s: State, stream: int, kind: int) -> bool:
    """The traced kernel itself runs."""
    return True


@implements(system.forget_page, Disco)
def forget_page_under_disco(system: Disco, s: State, key: np.uint64, vpn: np.uint64, cpus: np.uint64) -> None:
    """Gone from the second-level TLBs."""
    software_tlb.forget_page(s, key, vpn, cpus)


# The loop is the same for all systems; who imports it from here has the functions above registered.
replay_disco = replay_rows
