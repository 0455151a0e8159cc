"""Rows that are no references: what the OS does between them. ``docs/model.md`` section 8."""

import numpy as np

from discotrace.replay.counts import IDLE, N_CONTEXTS, Event
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.directory import STORE
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.lanes import access_all
from discotrace.replay.kernels.locks import counts_plane, lock_class
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.services import current_context, enter_service, keep_locks, pop_service
from discotrace.replay.kernels.state import INVALID, U64, State
from discotrace.replay.kernels.system import execute_privileged, free_page, idle, wire, zero_page
from discotrace.replay.kernels.tlb import mapped_group
from discotrace.replay.kernels.vms import kernel_key, vm_on
from discotrace.replay.kernels.walk import (
    END,
    EVENT,
    MAP_PAGE,
    N_EVENTS,
    UNKNOWN_CLASS,
    UNKNOWN_KIND,
    WRITE_FAULT,
    address_in_frame,
    ask_for_page,
    counts_base,
    is_user,
    say_who_runs,
)
from discotrace.tracegen.schema import Kind, Privileged

_ZERO = np.uint64(0)
_PAST_LAST_CLASS = max(Privileged) + 1
_ENTER, _EXIT = int(Kind.ENTER), int(Kind.EXIT)
_PRIVILEGED, _WIRED = int(Kind.PRIVILEGED), int(Privileged.WIRED)
_LOCK, _UNLOCK, _BARRIER = int(Kind.LOCK), int(Kind.UNLOCK), int(Kind.BARRIER)
_SWITCH, _IDLE = int(Kind.SWITCH), int(Kind.IDLE)
_ZERO_PAGE, _FREE_PAGE = int(Kind.ZERO_PAGE), int(Kind.FREE_PAGE)
_FILE_READ, _FILE_WRITE = int(Kind.FILE_READ), int(Kind.FILE_WRITE)
_PROCESS_EXIT, _MAP, _UNMAP = int(Kind.PROCESS_EXIT), int(Kind.MAP), int(Kind.UNMAP)


@inlined
def key_of(s: State, cpu: int, asid: int, vaddr: np.uint64) -> np.uint64:
    """Key of an address that a row of process ``asid`` names."""
    return np.uint64(asid) if is_user(vaddr) else kernel_key(s, cpu)


@kernel
def why_not_writable(s: State, trap: U64, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int) -> int:
    """END if all pages of a range are mapped and may be written; else what Python must do to the first that is not."""
    page_bytes = 1 << s.params.page_shift
    while size > 0:
        here = min(size, page_bytes - signed(vaddr & np.uint64(page_bytes - 1)))
        vpn = vaddr >> np.uint64(s.params.page_shift)
        frame = find_frame(s, cpu, key, vpn)
        if frame == INVALID:
            ask_for_page(s, trap, cpu, context, key, vpn, vaddr)
            return MAP_PAGE
        if s.caches.frames.read_only[frame]:
            ask_for_page(s, trap, cpu, context, key, vpn, vaddr)
            return WRITE_FAULT
        vaddr += np.uint64(here)
        size -= here
    return END


@kernel
def guest_clears(
    s: State, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int, instructions: int
) -> None:
    """The guest's clear loop: its instructions and its stores."""
    s.counts[counts_base(s, cpu, context) + Event.INSTRUCTIONS] += instructions
    s.cpus.retired[cpu] += instructions
    store_range(s, cpu, counts_base(s, cpu, context), key, vaddr, size)


@kernel
def store_range(s: State, cpu: int, base: int, key: np.uint64, vaddr: np.uint64, size: int) -> None:
    """Store to every L1D line of a range whose pages are mapped, without translation."""
    page_bytes = 1 << s.params.page_shift
    while size > 0:
        here = min(size, page_bytes - signed(vaddr & np.uint64(page_bytes - 1)))
        frame = find_frame(s, cpu, key, vaddr >> np.uint64(s.params.page_shift))
        access_all(s.caches, cpu, base, STORE, vaddr, address_in_frame(s, frame, vaddr), np.uint64(here))
        vaddr += np.uint64(here)
        size -= here


@kernel
def clear_pages(
    s: State, trap: U64, cpu: int, context: int, asid: int, vaddr: np.uint64, size: int, instructions: int
) -> int:
    """ZERO_PAGE, once all its pages are there: nothing is counted before."""
    key = key_of(s, cpu, asid, vaddr)
    code = why_not_writable(s, trap, cpu, context, key, vaddr, size)
    if code == END:
        zero_page(s.system, s, cpu, context, key, vaddr, size, instructions)
    return code


@kernel
def write_wired_entry(s: State, trap: U64, cpu: int, context: int, asid: int, vaddr: np.uint64, times: int) -> int:
    """PRIVILEGED WIRED: wired entry 0 maps the group of a page from now on, or nothing."""
    base = counts_base(s, cpu, context)
    if vaddr == _ZERO:
        wire(s.system, s, cpu, base, times, _ZERO, _ZERO, (INVALID, INVALID))
        return END
    key = key_of(s, cpu, asid, vaddr)
    vpn = vaddr >> np.uint64(s.params.page_shift)
    if find_frame(s, cpu, key, vpn) == INVALID:
        ask_for_page(s, trap, cpu, context, key, vpn, vaddr)
        return MAP_PAGE
    group = vpn >> np.uint64(s.params.group_shift)
    wire(s.system, s, cpu, base, times, key, group, mapped_group(s, cpu, key, group))
    return END


@kernel
def count_plain_event(s: State, cpu: int, context: int, kind: int, size: int) -> int:
    """Events that are only counted."""
    base = counts_base(s, cpu, context)
    if kind == _BARRIER:
        s.counts[base + Event.BARRIERS] += 1
    elif kind == _SWITCH:
        s.counts[base + Event.SWITCHES] += 1
    elif kind == _IDLE:
        idle(s.system, s, counts_base(s, cpu, IDLE), size)
    elif kind == _FREE_PAGE:
        free_page(s.system, s, base)
    else:
        return UNKNOWN_KIND
    return END


@kernel
def change_locks(s: State, cpu: int, stream: int, kind: int, lock: int) -> int:
    """LOCK or UNLOCK, counted under that lock; in a service that is left out nothing is counted."""
    code = keep_locks(s, stream, kind, lock)
    if code == END and s.streams.left_out[stream] == 0:
        plane = counts_plane(s, cpu, vm_on(s, cpu), lock_class(lock))
        base = signed((plane * N_CONTEXTS + current_context(s, stream)) * N_EVENTS)
        s.counts[base + (Event.LOCK_ACQUIRES if kind == _LOCK else Event.LOCK_RELEASES)] += 1
    return code


@kernel
def count_for_python(s: State, trap: U64, cpu: int, context: int, kind: int, size: int) -> int:
    """Events that Python must act upon, once they are counted."""
    base = counts_base(s, cpu, context)
    if kind == _PROCESS_EXIT:
        s.counts[base + Event.PROCESS_EXITS] += 1
    elif kind == _FILE_READ:
        s.counts[base + Event.FILE_READS] += 1
        s.counts[base + Event.FILE_READ_BYTES] += size
    elif kind == _FILE_WRITE:
        s.counts[base + Event.FILE_WRITES] += 1
        s.counts[base + Event.FILE_WRITE_BYTES] += size
    say_who_runs(s, trap, cpu, context)
    return EVENT


@kernel
def handle_event(
    s: State, trap: U64, cpu: int, stream: int, kind: int, asid: int, vaddr: np.uint64, size: int, arg: int
) -> int:
    """A row that is no reference. Returns END, or why Python must act before the row is done."""
    context = current_context(s, stream)
    if kind == _ENTER:
        return enter_service(s, cpu, stream, arg)
    if kind == _EXIT:
        return pop_service(s, stream, arg)
    if kind in (_LOCK, _UNLOCK):
        return change_locks(s, cpu, stream, kind, arg)
    if kind == _PRIVILEGED:
        if arg == _WIRED:
            return write_wired_entry(s, trap, cpu, context, asid, vaddr, size)
        if arg >= _PAST_LAST_CLASS:
            return UNKNOWN_CLASS
        execute_privileged(s.system, s, counts_base(s, cpu, context), arg, size)
        return END
    if kind == _ZERO_PAGE:
        return clear_pages(s, trap, cpu, context, asid, vaddr, size, arg)
    if kind in (_MAP, _UNMAP, _PROCESS_EXIT, _FILE_READ, _FILE_WRITE):
        return count_for_python(s, trap, cpu, context, kind, size)
    return count_plain_event(s, cpu, context, kind, size)
