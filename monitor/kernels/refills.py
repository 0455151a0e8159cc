"""TLB refills that the monitor makes itself, for whatever runs above it. ``docs/model.md`` sections 3 and 5."""

import numpy as np

from discotrace.monitor.kernels import software_tlb
from discotrace.replay.counts import Event
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import INVALID, LARGE, U64, State
from discotrace.replay.kernels.tlb import find_entry, mapped_group, refill_entry, remember
from discotrace.replay.kernels.walk import ask_for_page, count_miss, counts_base, in_kseg0, translate


@inlined
def enter(s: State, cpu: int, key: np.uint64, group: np.uint64, frames: tuple[int, int]) -> None:
    """The monitor's handler ends: the translation goes into both TLBs."""
    s.cpus.retired[cpu] += s.system.refill_instructions
    software_tlb.write(s, signed(s.cpus.vcpu[cpu]), key, group, frames)
    refill_entry(s, cpu, key, group, frames)


@kernel
def refill_from_software_tlb(s: State, cpu: int, base: int, key: np.uint64, group: np.uint64, page: int) -> bool:
    """The fast path of the monitor's handler. Returns whether the second-level TLB had the page."""
    frames = software_tlb.look_up(s, signed(s.cpus.vcpu[cpu]), key, group, page)
    if frames[page] == INVALID:
        return False
    s.counts[base + Event.SOFTWARE_TLB_HITS] += 1
    s.cpus.retired[cpu] += s.system.refill_instructions
    refill_entry(s, cpu, key, group, frames)
    return True


@kernel
def refill_monitor_page(s: State, cpu: int, base: int, key: np.uint64, vpn: np.uint64) -> None:
    """A miss on a mapped page of the relocated kernel or of a page table: the monitor finds it in the pmap."""
    group = vpn >> np.uint64(s.params.group_shift)
    page = signed(vpn & np.uint64((1 << s.params.group_shift) - 1))
    if not refill_from_software_tlb(s, cpu, base, key, group, page):
        s.counts[base + Event.KERNEL_TLB_REFILLS] += 1
        enter(s, cpu, key, group, mapped_group(s, cpu, key, group))


@kernel
def refill_large_page(s: State, cpu: int, base: int, key: np.uint64, group: np.uint64) -> None:
    """A miss on a large page: the entry says only that its pages are valid, the page map where they are."""
    if not refill_from_software_tlb(s, cpu, base, key, group, 0):
        s.counts[base + Event.KERNEL_TLB_REFILLS] += 1
        enter(s, cpu, key, group, (0, 0 if s.params.group_shift else INVALID))


@kernel
def translate_in_large_page(
    s: State, trap: U64, cpu: int, context: int, key: np.uint64, vpn: np.uint64, vaddr: np.uint64
) -> int:
    """A TLB access to a small page inside a large one. Returns its frame, or INVALID if it must be mapped first."""
    frame = find_frame(s, cpu, key, vpn)
    if frame == INVALID:
        return ask_for_page(s, trap, cpu, context, key, vpn, vaddr)
    base = counts_base(s, cpu, context)
    group = vaddr >> np.uint64(s.params.kernel_page_shift + s.params.group_shift)
    entry = find_entry(s, cpu, key + LARGE, group)
    if entry >= 0:
        s.counts[base + Event.TLB_HITS] += 1
    else:
        count_miss(s, base, entry)
        refill_large_page(s, cpu, base, key + LARGE, group)
    remember(s, cpu, key, vpn, frame, True)
    return frame


@kernel
def translate_relocated_kernel(
    s: State, trap: U64, cpu: int, context: int, key: np.uint64, vpn: np.uint64, vaddr: np.uint64
) -> int:
    """The guest's kernel is relocated into a mapped segment: every address goes through the TLB (D 4.3)."""
    if in_kseg0(vaddr) and s.params.kernel_page_shift > s.params.page_shift:
        return translate_in_large_page(s, trap, cpu, context, key, vpn, vaddr)
    return translate(s, trap, cpu, context, key, vpn, vaddr)
