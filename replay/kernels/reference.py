"""The life of a reference: the one loop over the rows of a trace.

``docs/model.md`` section 3. The loop knows a system by the compiled functions of ``system`` and comes back to Python
where a page must be mapped or made writable, a page became hot, an event concerns the address spaces or files, a window
ends, or a row breaks the format.
"""

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels.compile import entry, inlined, kernel
from discotrace.replay.kernels.events import handle_event, key_of
from discotrace.replay.kernels.front import front_answers
from discotrace.replay.kernels.lanes import access_all, count_hits
from discotrace.replay.kernels.locks import counts_plane, current_lock
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.services import current_context, pass_over
from discotrace.replay.kernels.state import I64, INVALID, U64, State
from discotrace.replay.kernels.system import change_vcpu, executes, translate_kernel
from discotrace.replay.kernels.tlb import FRAME_MASK, KEY_MASK, KEY_SHIFT, READ_ONLY_SHIFT, THROUGH_SHIFT, recent_place
from discotrace.replay.kernels.vms import NOBODY, cpu_of, kernel_key, vm_of_row
from discotrace.replay.kernels.walk import (
    BAD_SIZE,
    CPU_RANGE,
    END,
    EVENT,
    HOT,
    MAP_PAGE,
    UNDECLARED,
    VM,
    WINDOW,
    WRITE_FAULT,
    address_in_frame,
    ask_for_page,
    counts_base,
    is_user,
    say_who_runs,
    say_whose_row,
    translate,
)
from discotrace.tracegen.schema import Kind, Rows

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_FETCH, _STORE, _ZERO_PAGE = int(Kind.FETCH), int(Kind.STORE), int(Kind.ZERO_PAGE)
_RESIDENT = int(Kind.RESIDENT)

# Places of the cursor: what Python and the loop tell each other.
ROW, DONE_BYTES, TRACE_INSTRUCTIONS, WINDOW_END, CURSOR_LENGTH = 0, 1, 2, 3, 4
TRAP_LENGTH = VM + 1


@inlined
def frame_of(s: State, trap: U64, cpu: int, context: int, asid: int, vaddr: np.uint64) -> int:
    """Frame of an address, through the TLB if the system translates it; INVALID if a page must be mapped first."""
    vpn = vaddr >> np.uint64(s.params.page_shift)
    if is_user(vaddr):
        return translate(s, trap, cpu, context, np.uint64(asid), vpn, vaddr)
    return translate_kernel(s.system, s, trap, cpu, context, kernel_key(s, cpu), vpn, vaddr)


@kernel
def touch_pages(
    s: State, trap: U64, cursor: I64, cpu: int, context: int, asid: int, access: int, vaddr: np.uint64, size: int
) -> int:
    """Touch a reference's bytes from ``cursor[DONE_BYTES]`` on, page by page. Returns END, or why it got no further."""
    page_bytes = 1 << s.params.page_shift
    base = counts_base(s, cpu, context)
    done = cursor[DONE_BYTES]
    code = END
    while done < size:
        here = vaddr + np.uint64(done)
        frame = frame_of(s, trap, cpu, context, asid, here)
        if frame == INVALID:
            code = MAP_PAGE
            break
        if access == _STORE and s.caches.frames.read_only[frame]:
            ask_for_page(
                s, trap, cpu, context, key_of(s, cpu, asid, here), here >> np.uint64(s.params.page_shift), here
            )
            code = WRITE_FAULT
            break
        bytes_here = min(size - done, page_bytes - signed(here & np.uint64(page_bytes - 1)))
        access_all(s.caches, cpu, base, access, here, address_in_frame(s, frame, here), np.uint64(bytes_here))
        done += bytes_here
    cursor[DONE_BYTES] = done if code != END else 0
    return code


@inlined
def make_reference(
    s: State,
    trap: U64,
    cursor: I64,
    cpu: int,
    context: int,
    asid: int,
    access: int,
    vaddr: np.uint64,
    size: int,
    arg: int,
) -> int:
    """A FETCH, LOAD or STORE. Returns END, or why Python must act before it is done."""
    if size == 0:
        return BAD_SIZE
    code = touch_pages(s, trap, cursor, cpu, context, asid, access, vaddr, size)
    if code != END:
        return code
    base = counts_base(s, cpu, context)
    s.counts[base + Event.FETCH_ROWS + access] += 1
    if access == _FETCH:
        s.counts[base + Event.INSTRUCTIONS] += arg
        s.cpus.retired[cpu] += arg
    return END


@inlined
def quick_references(
    s: State, rows: Rows, first_row: int, stop: int, cpu: int, base: int, stream: int, asid: int, instructions: int
) -> tuple[int, int]:
    """Make references as long as they are of one process on one CPU, each in one page that is translated without ado.

    At most until ``instructions`` have run or a page becomes hot. Returns the first row that it does not make, and how
    many have run.
    """
    page_shift = np.uint64(s.params.page_shift)
    page_mask = (_ONE << page_shift) - _ONE
    row, end = np.uint64(first_row), np.uint64(stop)
    run, fetches, stores, tlb_hits = 0, 0, 0, 0
    slow, slow_fetches, slow_stores = 0, 0, 0  # which the front has no answer to
    while row < end and run < instructions:
        access = signed(rows.kind[row])
        if access > _STORE or rows.vcpu[row] != stream or rows.asid[row] != asid:
            break
        vaddr, size = rows.vaddr[row], np.uint64(rows.size[row])
        key = np.uint64(asid) if is_user(vaddr) else _ZERO
        vpn, offset = vaddr >> page_shift, vaddr & page_mask
        place = recent_place(cpu, key, vpn)
        note = s.recent[place + _ONE]
        compared = KEY_MASK | np.uint64(access == _STORE) << READ_ONLY_SHIFT  # one test: of the key, of a store's right
        if s.recent[place] != vpn or (note ^ key << KEY_SHIFT) & compared or size - _ONE > page_mask - offset:
            break
        maddr = (note & FRAME_MASK) << page_shift | offset
        if not front_answers(s.caches, cpu, access, vaddr, maddr, size):
            slow += 1
            slow_fetches += access == _FETCH
            slow_stores += access == _STORE
            access_all(s.caches, cpu, base, access, vaddr, maddr, size)
            if s.caches.frames.hot[0]:
                end = row + _ONE
        tlb_hits += signed(note >> THROUGH_SHIFT & _ONE)
        stores += access == _STORE
        fetches += access == _FETCH
        run += signed(rows.arg[row]) if access == _FETCH else 0
        row += _ONE
    loads = signed(row) - first_row - fetches - stores
    slow_loads = slow - slow_fetches - slow_stores
    count_hits(s.caches, base, fetches - slow_fetches, loads - slow_loads, stores - slow_stores)
    s.counts[base + Event.FETCH_ROWS] += fetches
    s.counts[base + Event.LOAD_ROWS] += loads
    s.counts[base + Event.STORE_ROWS] += stores
    s.counts[base + Event.TLB_HITS] += tlb_hits
    s.counts[base + Event.INSTRUCTIONS] += run
    s.cpus.retired[cpu] += run
    return signed(row), run


@kernel
def run_vcpu(s: State, vm: int, stream: int) -> int:
    """The CPU of a virtual CPU, which runs there from now on."""
    cpu = cpu_of(s, vm, stream)
    vcpu = vm * s.params.streams + stream
    before = s.cpus.vcpu[cpu]
    if before != vcpu:
        s.cpus.vcpu[cpu] = vcpu
        s.cpus.plane[cpu] = counts_plane(s, cpu, vm, current_lock(s, stream))
        if before >= 0:
            base = counts_base(s, cpu, current_context(s, stream))
            s.counts[base + Event.VCPU_SWITCHES] += 1
            change_vcpu(s.system, s, cpu, base)
    return cpu


@inlined
def replay_row(s: State, rows: Rows, row: int, cursor: I64, trap: U64, cpu: int) -> int:
    """Any one row, on the CPU of its virtual CPU. Returns END, or why Python must act before it is done."""
    stream, asid, kind = signed(rows.vcpu[row]), signed(rows.asid[row]), signed(rows.kind[row])
    vaddr, size, arg = rows.vaddr[row], signed(rows.size[row]), signed(rows.arg[row])
    if not executes(s.system, s, stream, kind):
        return END
    if kind <= _STORE:
        context = current_context(s, stream)
        return make_reference(s, trap, cursor, cpu, context, asid, kind, vaddr, size, arg)
    return handle_event(s, trap, cpu, stream, kind, asid, vaddr, size, arg)


@entry
def replay_rows(s: State, rows: Rows, stop: int, cursor: I64, trap: U64) -> int:
    """Replay rows from ``cursor[ROW]`` on until ``stop`` or until Python must act; returns why (see ``walk``).

    ``cursor`` [CURSOR_LENGTH] is brought up to date. ``trap`` [TRAP_LENGTH] says for MAP_PAGE and WRITE_FAULT which
    page; for these, EVENT and HOT which CPU and VM run, and where the counters begin in which Python's work counts.
    The call after MAP_PAGE, WRITE_FAULT and WINDOW goes on as if nothing had happened. After EVENT Python must make
    the next row the current one. After HOT the row is done; Python must have emptied ``Frames.hot``.
    """
    row = cursor[ROW]
    instructions = cursor[TRACE_INSTRUCTIONS]
    code = END
    while row < stop:
        if instructions >= cursor[WINDOW_END]:
            code = WINDOW
            break
        stream, asid, kind = signed(rows.vcpu[row]), signed(rows.asid[row]), signed(rows.kind[row])
        if stream >= s.params.streams:
            code = CPU_RANGE
            break
        vm = vm_of_row(s, stream, asid)
        if vm == NOBODY:
            code = UNDECLARED
            break
        if s.vms.dead[vm]:
            code = pass_over(s, stream, kind, rows.vaddr[row], signed(rows.arg[row]))
            if code != END:
                break
            row += 1
            continue
        if kind == _RESIDENT:
            say_whose_row(s, trap, vm, stream, cpu_of(s, vm, stream), current_context(s, stream))
            code = EVENT
            break
        cpu = run_vcpu(s, vm, stream)
        begin = row
        if kind <= _STORE and cursor[DONE_BYTES] == 0 and executes(s.system, s, stream, kind):
            base = counts_base(s, cpu, current_context(s, stream))
            left = cursor[WINDOW_END] - instructions
            row, run = quick_references(s, rows, row, stop, cpu, base, stream, asid, left)
            instructions += run
        if row == begin:
            code = replay_row(s, rows, row, cursor, trap, cpu)
            if code != END:
                break
            if kind in (_FETCH, _ZERO_PAGE):
                instructions += signed(rows.arg[row])
            row += 1
        if s.caches.frames.hot[0]:
            say_who_runs(s, trap, cpu, current_context(s, stream))
            code = HOT
            break
    cursor[ROW] = row
    cursor[TRACE_INSTRUCTIONS] = instructions
    return code
