"""The native system: an OS on the bare machine. Its kernel runs untranslated, its handler refills the TLB."""

from typing import NamedTuple

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels import system
from discotrace.replay.kernels.cache import access_lines
from discotrace.replay.kernels.compile import kernel
from discotrace.replay.kernels.directory import STORE
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.page_map import find_page
from discotrace.replay.kernels.reference import replay_rows
from discotrace.replay.kernels.state import INVALID, PAGE_TABLE, U64, State
from discotrace.replay.kernels.system import implements
from discotrace.replay.kernels.tlb import mapped_group, refill_entry, write_wired
from discotrace.replay.kernels.walk import (
    UTLB_MISS,
    address_in_frame,
    ask_for_page,
    count_miss,
    counts_base,
    guest_handler,
    in_unmapped_segment,
    page_table_page,
)

_ZERO = np.uint64(0)


class Native(NamedTuple):
    """The native system has no numbers of its own."""

    nothing: int = 0


@implements(system.is_translated, Native)
def is_translated_natively(system: Native, vaddr: np.uint64) -> bool:
    """Natively all but KSEG0 and XKPHYS go through the TLB."""
    return not in_unmapped_segment(vaddr)


@implements(system.refill, Native)
def refill_natively(
    system: Native,
    s: State,
    trap: U64,
    cpu: int,
    vcpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
    old_entry: int,
) -> int:
    """The guest's handler loads the group's page-table entries and writes the TLB (docs/model.md 5, native)."""
    frame = find_page(s.pages, key, vpn)
    if frame == INVALID:
        return ask_for_page(trap, cpu, UTLB_MISS, key, vpn, vaddr)
    group = vpn >> np.uint64(s.params.group_shift)
    table = page_table_page(s, group)
    table_frame = find_page(s.pages, key + PAGE_TABLE, table)
    if table_frame == INVALID:
        return ask_for_page(trap, cpu, UTLB_MISS, key + PAGE_TABLE, table, _ZERO)
    count_miss(s, counts_base(cpu, context), old_entry)
    s.cpus.retired[cpu] += s.params.refill_instructions
    guest_handler(s, cpu, key, group, table_frame)
    refill_entry(s, cpu, key, group, mapped_group(s, key, group))
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
    vcpu: int,
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


@kernel
def guest_clears(
    s: State, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int, instructions: int
) -> None:
    """The guest's clear loop: its instructions and its stores."""
    s.counts[counts_base(cpu, context) + Event.INSTRUCTIONS] += instructions
    s.cpus.retired[cpu] += instructions
    store_range(s, cpu, counts_base(cpu, context), key, vaddr, size)


@kernel
def store_range(s: State, cpu: int, base: int, key: np.uint64, vaddr: np.uint64, size: int) -> None:
    """Store to every L1D line of a range whose pages are mapped, without translation."""
    page_bytes = 1 << s.params.page_shift
    while size > 0:
        here = min(size, page_bytes - signed(vaddr & np.uint64(page_bytes - 1)))
        frame = find_page(s.pages, key, vaddr >> np.uint64(s.params.page_shift))
        access_lines(s.caches, cpu, base, STORE, vaddr, address_in_frame(s, frame, vaddr), np.uint64(here))
        vaddr += np.uint64(here)
        size -= here


# The loop is the same for all systems; who imports it from here has the functions above registered.
replay_native = replay_rows
