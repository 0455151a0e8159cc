"""The hardware TLB: fully associative, software-refilled, ASID-tagged, with wired entries and a Random register.

``docs/model.md`` section 4; MIPS R10000 User's Manual, chapter 16.
"""

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import EMPTY, INVALID, LARGE, PAGE_TABLE, RECENT, State
from discotrace.replay.kernels.vms import key_in_vm, process_number

_RECENT_MASK = np.uint64(RECENT - 1)
_ONE, _FOUR = np.uint64(1), np.uint64(4)

KEY_SHIFT, THROUGH_SHIFT, READ_ONLY_SHIFT = np.uint64(32), np.uint64(31), np.uint64(30)
KEY_MASK, FRAME_MASK = np.uint64(0xFFFF_FFFF_0000_0000), np.uint64(0x3FFF_FFFF)


@inlined
def recent_place(cpu: int, key: np.uint64, vpn: np.uint64) -> np.uint64:
    """Where the table of recent translations keeps page (key, vpn) of a CPU, if it does: the first of two words.

    ``key`` as ``key_in_vm``: the table holds pages of one VM alone, as the TLB is emptied when another begins to run.
    """
    return (np.uint64(cpu * RECENT) + ((vpn ^ (key << _FOUR)) & _RECENT_MASK)) << _ONE


@inlined
def remember(s: State, cpu: int, key: np.uint64, vpn: np.uint64, frame: int, through_tlb: bool) -> None:
    """Note a translation that needs no refill until ``forget``: no part of the model, only quicker than a search.

    The table holds a page only while a valid TLB entry of the CPU maps it, or while it is not translated at all. A slot
    is two words: the page number; and key (32 bits), whether the access goes through the TLB (1), whether a store is a
    fault (1), frame (30).
    """
    place = recent_place(cpu, key_in_vm(key), vpn)
    read_only = np.uint64(s.caches.frames.read_only[frame])
    s.recent[place] = vpn
    s.recent[place + _ONE] = (
        key << KEY_SHIFT | np.uint64(through_tlb) << THROUGH_SHIFT | read_only << READ_ONLY_SHIFT | np.uint64(frame)
    )


@inlined
def forget(s: State, cpu: int, key: np.uint64, vpn: np.uint64) -> None:
    """The page is not in the TLB any more, or otherwise than before."""
    place = recent_place(cpu, key_in_vm(key), vpn)
    if s.recent[place] == vpn and s.recent[place + _ONE] >> KEY_SHIFT == key_in_vm(key):
        s.recent[place] = EMPTY


@kernel
def forget_all(s: State, cpu: int) -> None:
    """Look every page up again."""
    for place in range(2 * cpu * RECENT, 2 * (cpu + 1) * RECENT):
        s.recent[place] = EMPTY


@kernel
def find_entry(s: State, cpu: int, key: np.uint64, group: np.uint64) -> int:
    """Number of the CPU's entry with this tag, -1 if none."""
    first = cpu * s.params.tlb_entries
    for e in range(s.params.tlb_entries):
        if s.tlb.group[first + e] == group and s.tlb.key[first + e] == key:
            return e
    return -1


@inlined
def clear_entry(s: State, cpu: int, e: int) -> None:
    """Empty entry ``e`` of a CPU."""
    at = cpu * s.params.tlb_entries + e
    key = s.tlb.key[at]
    if key == EMPTY:
        return
    if key >= LARGE:
        forget_all(s, cpu)
    else:
        first = s.tlb.group[at] << np.uint64(s.params.group_shift)
        forget(s, cpu, key, first)
        forget(s, cpu, key, first + _ONE)
    s.tlb.key[at] = EMPTY
    s.tlb.group[at] = EMPTY
    s.tlb.frame[2 * at] = INVALID
    s.tlb.frame[2 * at + 1] = INVALID


@inlined
def write_entry(s: State, cpu: int, e: int, key: np.uint64, group: np.uint64, frames: tuple[int, int]) -> None:
    """Put a group of pages into entry ``e``, whatever it held."""
    clear_entry(s, cpu, e)
    at = cpu * s.params.tlb_entries + e
    s.tlb.key[at] = key
    s.tlb.group[at] = group
    s.tlb.frame[2 * at] = frames[0]
    s.tlb.frame[2 * at + 1] = frames[1]


@inlined
def random_entry(s: State, cpu: int) -> int:
    """The R10000's Random register: counts down with each instruction from the last entry to ``wired``, and wraps."""
    unwired = s.params.tlb_entries - s.params.tlb_wired
    return s.params.tlb_entries - 1 - signed(s.cpus.retired[cpu]) % unwired


@kernel
def refill_entry(s: State, cpu: int, key: np.uint64, group: np.uint64, frames: tuple[int, int]) -> None:
    """What the refill handler's TLB write does: rewrite the entry with the tag, or the Random one."""
    e = find_entry(s, cpu, key, group)
    if e < 0:
        e = random_entry(s, cpu)
    write_entry(s, cpu, e, key, group, frames)


@kernel
def write_wired(s: State, cpu: int, key: np.uint64, group: np.uint64, frames: tuple[int, int]) -> None:
    """Write wired entry 0, empty it if the group has no page. Another entry with the tag goes: a tag stands once."""
    if s.params.tlb_wired == 0:
        return
    if frames[0] == INVALID and frames[1] == INVALID:
        clear_entry(s, cpu, 0)
        return
    e = find_entry(s, cpu, key, group)
    if e > 0:
        clear_entry(s, cpu, e)
    write_entry(s, cpu, 0, key, group, frames)


@kernel
def flush(s: State, cpu: int, first: int) -> None:
    """Empty the entries from ``first`` on."""
    for e in range(first, s.params.tlb_entries):
        clear_entry(s, cpu, e)


@inlined
def place_of_page(s: State, cpu: int, e: int, vpn: np.uint64) -> int:
    """Where entry ``e`` of a CPU keeps the frame of a page of its group."""
    page = signed(vpn & np.uint64((1 << s.params.group_shift) - 1))
    return 2 * (cpu * s.params.tlb_entries + e) + page


@kernel
def mapped_group(s: State, cpu: int, key: np.uint64, group: np.uint64) -> tuple[int, int]:
    """Frames that a CPU uses for a group's pages now; INVALID where not mapped or beyond the group."""
    first = group << np.uint64(s.params.group_shift)
    even = find_frame(s, cpu, key, first)
    odd = find_frame(s, cpu, key, first + _ONE) if s.params.group_shift else INVALID
    return even, odd


@kernel
def give_asid(s: State, cpu: int, key: np.uint64, base: int) -> None:
    """Before a TLB access of process ``key``: a hardware ASID, for which all others may have to go first."""
    if key == 0 or key >= PAGE_TABLE or s.cpus.user_key[cpu] == key:
        return
    s.cpus.user_key[cpu] = key
    at = cpu * len(s.asids) + process_number(s, key)
    if s.cpus.asid_generation[at] == s.cpus.generation[cpu]:
        return
    if s.cpus.asids_used[cpu] == s.params.asids:
        flush(s, cpu, s.params.tlb_wired)
        forget_all(s, cpu)  # the wired entries stay, but their processes need an ASID too
        s.counts[base + Event.TLB_FLUSHES] += 1
        s.cpus.generation[cpu] += 1
        s.cpus.asids_used[cpu] = 0
    s.cpus.asid_generation[at] = s.cpus.generation[cpu]
    s.cpus.asids_used[cpu] += 1
