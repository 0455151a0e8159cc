"""The native system: an OS on the bare machine. Its kernel runs untranslated, its handler refills the TLB."""

from typing import NamedTuple

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels import system
from discotrace.replay.kernels.events import guest_clears
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.reference import replay_rows
from discotrace.replay.kernels.state import INVALID, PAGE_TABLE, U64, State
from discotrace.replay.kernels.system import implements
from discotrace.replay.kernels.tlb import mapped_group, refill_entry, write_wired
from discotrace.replay.kernels.walk import (
    UTLB_MISS,
    ask_for_page,
    count_miss,
    counts_base,
    guest_handler,
    in_unmapped_segment,
    page_table_page,
    translate,
    untranslated,
)

_ZERO = np.uint64(0)


class Native(NamedTuple):
    """The native system has no numbers of its own."""

    nothing: int = 0


@implements(system.translate_kernel, Native)
def translate_kernel_natively(
    system: Native,
    s: State,
    trap: U64,
    cpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
) -> int:
    """Natively all but KSEG0 and XKPHYS go through the TLB."""
    if in_unmapped_segment(vaddr):
        return untranslated(s, trap, cpu, context, key, vpn, vaddr)
    return translate(s, trap, cpu, context, key, vpn, vaddr)


@implements(system.refill, Native)
def refill_natively(
    system: Native,
    s: State,
    trap: U64,
    cpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
    old_entry: int,
) -> int:
    """The guest's handler loads the group's page-table entries and writes the TLB (docs/model.md 5, native)."""
    frame = find_frame(s, cpu, key, vpn)
    if frame == INVALID:
        return ask_for_page(s, trap, cpu, UTLB_MISS, key, vpn, vaddr)
    group = vpn >> np.uint64(s.params.group_shift)
    table = page_table_page(s, group)
    table_frame = find_frame(s, cpu, key + PAGE_TABLE, table)
    if table_frame == INVALID:
        return ask_for_page(s, trap, cpu, UTLB_MISS, key + PAGE_TABLE, table, _ZERO)
    count_miss(s, counts_base(s, cpu, context), old_entry)
    s.cpus.retired[cpu] += s.params.refill_instructions
    guest_handler(s, cpu, key, group, table_frame)
    refill_entry(s, cpu, key, group, mapped_group(s, cpu, key, group))
    return frame


@implements(system.change_vcpu, Native)
def change_vcpu_natively(system: Native, s: State, cpu: int, base: int) -> None:
    """Another virtual CPU runs: natively that is a matter of the OS alone."""


@implements(system.execute_privileged, Native)
def execute_privileged_natively(system: Native, s: State, base: int, kind: int, times: int) -> None:
    """Privileged instructions run as they are."""
    s.counts[base + Event.PRIVILEGED] += times


@implements(system.wire, Native)
def wire_natively(
    system: Native,
    s: State,
    cpu: int,
    base: int,
    times: int,
    key: np.uint64,
    group: np.uint64,
    frames: tuple[int, int],
) -> None:
    """The guest writes its wired entry."""
    s.counts[base + Event.PRIVILEGED] += times
    write_wired(s, cpu, key, group, frames)


@implements(system.zero_page, Native)
def zero_page_natively(
    system: Native, s: State, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int, instructions: int
) -> None:
    """The guest clears the page itself."""
    guest_clears(s, cpu, context, key, vaddr, size, instructions)


@implements(system.free_page, Native)
def free_page_natively(system: Native, s: State, base: int) -> None:
    """The guest's own business."""
    s.counts[base + Event.FREE_PAGES] += 1


@implements(system.idle, Native)
def idle_natively(system: Native, s: State, base: int, instructions: int) -> None:
    """The CPU waits."""
    s.counts[base + Event.IDLE_INSTRUCTIONS] += instructions


@implements(system.leaves_out, Native)
def leaves_out_nothing(system: Native, service: int) -> bool:
    """The traced kernel itself runs."""
    return False


@implements(system.executes, Native)
def executes_everything(system: Native, s: State, stream: int, kind: int) -> bool:
    """The traced kernel itself runs."""
    return True


@implements(system.forget_page, Native)
def forget_page_natively(system: Native, s: State, key: np.uint64, vpn: np.uint64, cpus: np.uint64) -> None:
    """There is no table of translations but the TLB."""


# The loop is the same for all systems; who imports it from here has the functions above registered.
replay_native = replay_rows
