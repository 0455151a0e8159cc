"""The recording loop: the native system without caches, writing down which pages and lines it accesses.

What is accessed, and in which order, is that of ``reference`` and ``native``: ``docs/model.md`` sections 3 to 6. What
the accesses find in TLBs, caches and memories of any size is up to those who read them (``lru_stack``, ``set_lists``).
"""

from typing import NamedTuple

import numpy as np

from discotrace.replay.kernels import native, system
from discotrace.replay.kernels.compile import entry, inlined, kernel
from discotrace.replay.kernels.directory import FETCH, LOAD, STORE
from discotrace.replay.kernels.events import handle_event, key_of
from discotrace.replay.kernels.frames import find_frame
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.reference import DONE_BYTES, ROW, frame_of, run_vcpu
from discotrace.replay.kernels.services import current_context
from discotrace.replay.kernels.state import I64, INVALID, PAGE_TABLE, U64, State
from discotrace.replay.kernels.system import implements
from discotrace.replay.kernels.tlb import (
    FRAME_MASK,
    KEY_MASK,
    KEY_SHIFT,
    THROUGH_SHIFT,
    mapped_group,
    recent_place,
    refill_entry,
)
from discotrace.replay.kernels.vms import NOBODY, cpu_of, vm_of_row
from discotrace.replay.kernels.walk import (
    BAD_SIZE,
    CPU_RANGE,
    END,
    EVENT,
    MAP_PAGE,
    TABLE_ENTRY_SHIFT,
    UNDECLARED,
    UTLB_MISS,
    address_in_frame,
    ask_for_page,
    in_unmapped_segment,
    is_user,
    page_table_page,
    say_whose_row,
)
from discotrace.tracegen.schema import Kind, Rows

FULL = 9  # why the loop comes back to Python, beside those of ``walk``: the accesses must be read first

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_FETCH, _STORE = int(Kind.FETCH), int(Kind.STORE)
_ZERO_PAGE, _RESIDENT = int(Kind.ZERO_PAGE), int(Kind.RESIDENT)


class Accesses(NamedTuple):
    """Accesses written down and not read yet, two words each, by owner. Without room none are written down."""

    words: U64  # [owners, room, 2]
    written: I64  # [owners]: how many
    room: int  # for accesses of an owner
    limit: int  # an owner with more than so many has no room for all that one page may bring


class Recorder(NamedTuple):
    """The recording system: an OS on the bare machine, and what of its accesses is written down.

    ``translations``: TLB accesses, owned by their CPU: key, group. ``lines``: accesses of first-level caches, owned by
    their CPU: line by frame slots * 2, plus 1 for L1D; virtual line number, which indexes. ``pages``: accesses of guest
    pages, all of owner 0: frame slot, 0.
    """

    translations: Accesses
    lines: Accesses
    pages: Accesses
    fetch_shift: int  # log2 of the bytes of a line of L1I
    data_shift: int  # of L1D


@inlined
def note(accesses: Accesses, owner: int, first: np.uint64, second: np.uint64) -> None:
    """Write down an access, for which there is room."""
    if accesses.room == 0:
        return
    at = 2 * (owner * accesses.room + signed(accesses.written[owner]))
    accesses.words[at] = first
    accesses.words[at + 1] = second
    accesses.written[owner] += 1


@inlined
def is_full(r: Recorder, cpu: int) -> bool:
    """Whether there is no room for what an access of a page by a CPU may bring, refill included."""
    return bool(
        r.translations.written[cpu] > r.translations.limit
        or r.lines.written[cpu] > r.lines.limit
        or r.pages.written[0] > r.pages.limit
    )


@inlined
def note_lines(r: Recorder, cpu: int, access: int, vaddr: np.uint64, maddr: np.uint64, size: int) -> None:
    """The first-level lines of ``size`` bytes of one page: at ``vaddr``, which is ``maddr`` by frame slots."""
    if r.lines.room == 0:
        return
    shift = np.uint64(r.fetch_shift if access == FETCH else r.data_shift)
    index, line = vaddr >> shift, maddr >> shift
    last = (maddr + np.uint64(size) - _ONE) >> shift
    while line <= last:
        note(r.lines, cpu, line << _ONE | np.uint64(access != FETCH), index)
        line += _ONE
        index += _ONE


@inlined
def note_page(s: State, cpu: int, access: int, vaddr: np.uint64, frame: int, size: int) -> None:
    """``size`` bytes of one page are accessed."""
    note(s.system.pages, 0, np.uint64(frame), _ZERO)
    note_lines(s.system, cpu, access, vaddr, address_in_frame(s, frame, vaddr), size)


@inlined
def note_translation(s: State, cpu: int, asid: int, vaddr: np.uint64) -> None:
    """The TLB access for an address, unless the hardware does not translate it."""
    if not in_unmapped_segment(vaddr):
        group = vaddr >> np.uint64(s.params.page_shift + s.params.group_shift)
        note(s.system.translations, cpu, key_of(s, cpu, asid, vaddr), group)


@kernel
def record_reference(
    s: State, trap: U64, cursor: I64, cpu: int, context: int, asid: int, access: int, vaddr: np.uint64, size: int
) -> int:
    """A FETCH, LOAD or STORE from ``cursor[DONE_BYTES]`` on, page by page. Returns END, or why it got no further."""
    page_bytes = 1 << s.params.page_shift
    done = cursor[DONE_BYTES]
    code = END if size > 0 else BAD_SIZE
    while done < size:
        here = vaddr + np.uint64(done)
        if is_full(s.system, cpu):
            code = FULL
            break
        frame = frame_of(s, trap, cpu, context, asid, here)
        if frame == INVALID:
            code = MAP_PAGE
            break
        note_translation(s, cpu, asid, here)
        bytes_here = min(size - done, page_bytes - signed(here & np.uint64(page_bytes - 1)))
        note_page(s, cpu, access, here, frame, bytes_here)
        done += bytes_here
    cursor[DONE_BYTES] = done if code != END else 0
    return code


@inlined
def record_quickly(s: State, rows: Rows, first_row: int, stop: int, cpu: int, stream: int, asid: int) -> int:
    """Record references as long as they are of one process on one CPU, each in one page that is translated without ado.

    Returns the first row that it does not record.
    """
    page_shift = np.uint64(s.params.page_shift)
    page_mask = (_ONE << page_shift) - _ONE
    row, instructions = first_row, 0
    while row < stop:
        access = signed(rows.kind[row])
        if access > _STORE or rows.vcpu[row] != stream or rows.asid[row] != asid or is_full(s.system, cpu):
            break
        vaddr, size = rows.vaddr[row], np.uint64(rows.size[row])
        key = np.uint64(asid) if is_user(vaddr) else _ZERO
        vpn = vaddr >> page_shift
        place = recent_place(cpu, key, vpn)
        known = s.recent[place + _ONE]
        in_one_page = size - _ONE <= page_mask - (vaddr & page_mask)
        if s.recent[place] != vpn or (known ^ key << KEY_SHIFT) & KEY_MASK != _ZERO or not in_one_page:
            break
        if known >> THROUGH_SHIFT & _ONE:
            note(s.system.translations, cpu, key, vpn >> np.uint64(s.params.group_shift))
        note_page(s, cpu, access, vaddr, signed(known & FRAME_MASK), signed(size))
        instructions += signed(rows.arg[row]) if access == _FETCH else 0
        row += 1
    s.cpus.retired[cpu] += instructions
    return row


@kernel
def record_clearing(
    s: State, trap: U64, cursor: I64, cpu: int, stream: int, asid: int, vaddr: np.uint64, size: int, arg: int
) -> int:
    """ZERO_PAGE: once all its pages are there, the stores from ``cursor[DONE_BYTES]`` on, page by page."""
    page_bytes = 1 << s.params.page_shift
    if is_full(s.system, cpu):
        return FULL
    if cursor[DONE_BYTES] == 0:
        code = handle_event(s, trap, cpu, stream, signed(_ZERO_PAGE), asid, vaddr, size, arg)
        if code != END:
            return code
    key = key_of(s, cpu, asid, vaddr)
    while cursor[DONE_BYTES] < size:
        here = vaddr + np.uint64(cursor[DONE_BYTES])
        if is_full(s.system, cpu):  # never at the first byte: before it there was room
            return FULL
        bytes_here = min(size - cursor[DONE_BYTES], page_bytes - signed(here & np.uint64(page_bytes - 1)))
        frame = find_frame(s, cpu, key, here >> np.uint64(s.params.page_shift))
        note_page(s, cpu, STORE, here, frame, bytes_here)
        cursor[DONE_BYTES] += bytes_here
    cursor[DONE_BYTES] = 0
    return END


@inlined
def record_row(s: State, rows: Rows, row: int, cursor: I64, trap: U64, cpu: int) -> int:
    """Any one row, on the CPU of its virtual CPU. Returns END, or why Python must act before it is done."""
    stream, asid, kind = signed(rows.vcpu[row]), signed(rows.asid[row]), signed(rows.kind[row])
    vaddr, size, arg = rows.vaddr[row], signed(rows.size[row]), signed(rows.arg[row])
    if kind <= _STORE:
        context = current_context(s, stream)
        code = record_reference(s, trap, cursor, cpu, context, asid, kind, vaddr, size)
        if code == END and kind == _FETCH:
            s.cpus.retired[cpu] += arg
        return code
    if kind == _ZERO_PAGE:
        return record_clearing(s, trap, cursor, cpu, stream, asid, vaddr, size, arg)
    return handle_event(s, trap, cpu, stream, kind, asid, vaddr, size, arg)


@entry
def record_rows(s: State, rows: Rows, stop: int, cursor: I64, trap: U64) -> int:
    """Write down the accesses of rows from ``cursor[ROW]`` on until ``stop`` or until Python must act; returns why.

    As ``reference.replay_rows``, but there are no windows. The call after FULL and MAP_PAGE goes on as if nothing had
    happened; after FULL Python must have read all accesses and set ``written`` to zero.
    """
    row = cursor[ROW]
    code = END
    while row < stop:
        stream, asid, kind = signed(rows.vcpu[row]), signed(rows.asid[row]), signed(rows.kind[row])
        if stream >= s.params.streams:
            code = CPU_RANGE
            break
        vm = vm_of_row(s, stream, asid)
        if vm == NOBODY:
            code = UNDECLARED
            break
        if kind == _RESIDENT:
            say_whose_row(s, trap, vm, stream, cpu_of(s, vm, stream), current_context(s, stream))
            code = EVENT
            break
        cpu = run_vcpu(s, vm, stream)
        begin = row
        if cursor[DONE_BYTES] == 0:
            row = record_quickly(s, rows, row, stop, cpu, stream, asid)
        if row == begin:
            code = record_row(s, rows, row, cursor, trap, cpu)
            if code != END:
                break
            row += 1
    cursor[ROW] = row
    return code


@implements(system.refill, Recorder)
def refill_and_note(
    system: Recorder,
    s: State,
    trap: U64,
    cpu: int,
    context: int,
    key: np.uint64,
    vpn: np.uint64,
    vaddr: np.uint64,
    old_entry: int,
) -> int:
    """As natively, but the load of the group's page-table entries is written down (docs/model.md 5, native)."""
    frame = find_frame(s, cpu, key, vpn)
    if frame == INVALID:
        return ask_for_page(s, trap, cpu, UTLB_MISS, key, vpn, vaddr)
    group = vpn >> np.uint64(s.params.group_shift)
    table = page_table_page(s, group)
    table_frame = find_frame(s, cpu, key + PAGE_TABLE, table)
    if table_frame == INVALID:
        return ask_for_page(s, trap, cpu, UTLB_MISS, key + PAGE_TABLE, table, _ZERO)
    s.cpus.retired[cpu] += s.params.refill_instructions
    entry_address = (group << np.uint64(s.params.group_shift)) << TABLE_ENTRY_SHIFT
    note_page(s, cpu, LOAD, entry_address, table_frame, 1)
    refill_entry(s, cpu, key, group, mapped_group(s, cpu, key, group))
    return frame


@implements(system.zero_page, Recorder)
def zero_page_later(
    system: Recorder, s: State, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int, instructions: int
) -> None:
    """The guest's clear loop without its stores, which ``record_clearing`` makes page by page."""
    s.cpus.retired[cpu] += instructions


# All else is as natively.
implements(system.translate_kernel, Recorder)(native.translate_kernel_natively)
implements(system.change_vcpu, Recorder)(native.change_vcpu_natively)
implements(system.execute_privileged, Recorder)(native.execute_privileged_natively)
implements(system.wire, Recorder)(native.wire_natively)
implements(system.free_page, Recorder)(native.free_page_natively)
implements(system.idle, Recorder)(native.idle_natively)
implements(system.leaves_out, Recorder)(native.leaves_out_nothing)
implements(system.executes, Recorder)(native.executes_everything)
implements(system.forget_page, Recorder)(native.forget_page_natively)
