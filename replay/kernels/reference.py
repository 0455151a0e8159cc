"""The life of a reference, and of the events between: the one loop over the rows of a trace.

``docs/model.md`` section 3. The loop knows a system by six compiled functions and comes back to Python where a page
must be mapped, an event concerns the address spaces, a window ends, or a row breaks the format.
"""

import numpy as np

from discotrace.replay.counts import IDLE, Event
from discotrace.replay.kernels.cache import L1_HITS, access_lines, first_way_answers
from discotrace.replay.kernels.compile import entry, inlined, kernel
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.page_map import find_page
from discotrace.replay.kernels.state import I64, INVALID, STACK, U64, State
from discotrace.replay.kernels.system import change_vcpu, execute_privileged, is_translated, wire, zero_page
from discotrace.replay.kernels.tlb import (
    FRAME_MASK,
    KEY_SHIFT,
    THROUGH_SHIFT,
    mapped_group,
    process_number,
    recent_place,
)
from discotrace.replay.kernels.walk import (
    BAD_SIZE,
    CPU_RANGE,
    END,
    EVENT,
    MAP_PAGE,
    NESTING,
    UNDECLARED,
    UNKNOWN_CLASS,
    UNKNOWN_KIND,
    UNKNOWN_SERVICE,
    WINDOW,
    address_in_frame,
    ask_for_page,
    counts_base,
    is_user,
    translate,
    untranslated,
)
from discotrace.tracegen.schema import Kind, Privileged, Rows, Service

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_PAST_LAST_SERVICE = max(Service) + 1
_UTLB_MISS = int(Service.UTLB_MISS)
_PAST_LAST_CLASS = max(Privileged) + 1
_FETCH, _STORE = int(Kind.FETCH), int(Kind.STORE)
_ENTER, _EXIT = int(Kind.ENTER), int(Kind.EXIT)
_PRIVILEGED, _WIRED = int(Kind.PRIVILEGED), int(Privileged.WIRED)
_LOCK, _UNLOCK, _BARRIER = int(Kind.LOCK), int(Kind.UNLOCK), int(Kind.BARRIER)
_SWITCH, _IDLE = int(Kind.SWITCH), int(Kind.IDLE)
_ZERO_PAGE, _FREE_PAGE = int(Kind.ZERO_PAGE), int(Kind.FREE_PAGE)
_FILE_READ, _FILE_WRITE = int(Kind.FILE_READ), int(Kind.FILE_WRITE)
_PROCESS_EXIT, _MAP, _UNMAP = int(Kind.PROCESS_EXIT), int(Kind.MAP), int(Kind.UNMAP)

# Places of the cursor: what Python and the loop tell each other.
ROW, DONE_BYTES, TRACE_INSTRUCTIONS, WINDOW_END, CURSOR_LENGTH = 0, 1, 2, 3, 4
TRAP_LENGTH = 5


@inlined
def current_context(s: State, vcpu: int) -> int:
    """What a virtual CPU is doing: USER, or the innermost service."""
    return signed(s.vcpus.context[vcpu * STACK + s.vcpus.depth[vcpu]])


@kernel
def enter_service(s: State, cpu: int, vcpu: int, service: int) -> int:
    """ENTER: the context of the VCPU becomes the service."""
    if service < 1 or service >= _PAST_LAST_SERVICE or service == _UTLB_MISS:
        return UNKNOWN_SERVICE
    depth = s.vcpus.depth[vcpu] + 1
    if depth == STACK:
        return NESTING
    s.vcpus.depth[vcpu] = depth
    s.vcpus.context[vcpu * STACK + depth] = service
    s.counts[counts_base(cpu, service) + Event.SERVICE_ENTRIES] += 1
    return END


@kernel
def exit_service(s: State, vcpu: int, service: int) -> int:
    """EXIT: back to what was interrupted."""
    depth = s.vcpus.depth[vcpu]
    if depth == 0 or s.vcpus.context[vcpu * STACK + depth] != service:
        return NESTING
    s.vcpus.depth[vcpu] = depth - 1
    return END


@kernel
def range_is_mapped(s: State, trap: U64, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int) -> bool:
    """Whether all pages of a range are mapped; if not, ``trap`` says which is the first that is not."""
    page_bytes = 1 << s.params.page_shift
    while size > 0:
        here = min(size, page_bytes - signed(vaddr & np.uint64(page_bytes - 1)))
        vpn = vaddr >> np.uint64(s.params.page_shift)
        if find_page(s.pages, key, vpn) == INVALID:
            ask_for_page(trap, cpu, context, key, vpn, vaddr)
            return False
        vaddr += np.uint64(here)
        size -= here
    return True


@kernel
def write_wired_entry(
    s: State, trap: U64, cpu: int, vcpu: int, context: int, asid: int, vaddr: np.uint64, times: int
) -> int:
    """PRIVILEGED WIRED: wired entry 0 maps the group of a page from now on, or nothing."""
    base = counts_base(cpu, context)
    if vaddr == _ZERO:
        wire(s.system, s, cpu, vcpu, base, times, _ZERO, _ZERO, (INVALID, INVALID))
        return END
    key = np.uint64(asid) if is_user(vaddr) else _ZERO
    vpn = vaddr >> np.uint64(s.params.page_shift)
    if find_page(s.pages, key, vpn) == INVALID:
        ask_for_page(trap, cpu, context, key, vpn, vaddr)
        return MAP_PAGE
    group = vpn >> np.uint64(s.params.group_shift)
    wire(s.system, s, cpu, vcpu, base, times, key, group, mapped_group(s, key, group))
    return END


@kernel
def count_plain_event(s: State, cpu: int, context: int, kind: int, size: int) -> int:
    """Events that are only counted."""
    base = counts_base(cpu, context)
    if kind == _LOCK:
        s.counts[base + Event.LOCK_ACQUIRES] += 1
    elif kind == _UNLOCK:
        s.counts[base + Event.LOCK_RELEASES] += 1
    elif kind == _BARRIER:
        s.counts[base + Event.BARRIERS] += 1
    elif kind == _SWITCH:
        s.counts[base + Event.SWITCHES] += 1
    elif kind == _IDLE:
        s.counts[counts_base(cpu, IDLE) + Event.IDLE_INSTRUCTIONS] += size
    elif kind == _FREE_PAGE:
        s.counts[base + Event.FREE_PAGES] += 1
    elif kind == _FILE_READ:
        s.counts[base + Event.FILE_READS] += 1
        s.counts[base + Event.FILE_READ_BYTES] += size
    elif kind == _FILE_WRITE:
        s.counts[base + Event.FILE_WRITES] += 1
        s.counts[base + Event.FILE_WRITE_BYTES] += size
    else:
        return UNKNOWN_KIND
    return END


@kernel
def handle_event(
    s: State, trap: U64, cpu: int, vcpu: int, kind: int, asid: int, vaddr: np.uint64, size: int, arg: int
) -> int:
    """A row that is no reference. Returns END, or why Python must act before the row is done."""
    context = current_context(s, vcpu)
    if kind == _ENTER:
        return enter_service(s, cpu, vcpu, arg)
    if kind == _EXIT:
        return exit_service(s, vcpu, arg)
    if kind == _PRIVILEGED:
        if arg == _WIRED:
            return write_wired_entry(s, trap, cpu, vcpu, context, asid, vaddr, size)
        if arg >= _PAST_LAST_CLASS:
            return UNKNOWN_CLASS
        execute_privileged(s.system, s, counts_base(cpu, context), arg, size)
        return END
    if kind == _ZERO_PAGE:
        key = np.uint64(asid) if is_user(vaddr) else _ZERO
        if not range_is_mapped(s, trap, cpu, context, key, vaddr, size):
            return MAP_PAGE
        zero_page(s.system, s, cpu, context, key, vaddr, size, arg)
        return END
    if kind in (_MAP, _UNMAP, _PROCESS_EXIT):
        s.counts[counts_base(cpu, context) + Event.PROCESS_EXITS] += kind == _PROCESS_EXIT
        return EVENT
    return count_plain_event(s, cpu, context, kind, size)


@inlined
def frame_of(s: State, trap: U64, cpu: int, vcpu: int, context: int, asid: int, vaddr: np.uint64) -> int:
    """Frame of an address, through the TLB if the system translates it; INVALID if a page must be mapped first."""
    vpn = vaddr >> np.uint64(s.params.page_shift)
    if is_user(vaddr):
        return translate(s, trap, cpu, vcpu, context, np.uint64(asid), vpn, vaddr)
    if is_translated(s.system, vaddr):
        return translate(s, trap, cpu, vcpu, context, _ZERO, vpn, vaddr)
    return untranslated(s, trap, cpu, context, vpn, vaddr)


@kernel
def make_reference(
    s: State,
    trap: U64,
    cpu: int,
    vcpu: int,
    context: int,
    asid: int,
    access: int,
    vaddr: np.uint64,
    size: int,
    done: int,
) -> int:
    """Touch bytes ``done`` .. ``size`` of a reference, page by page. Returns the bytes done: ``size`` if all are."""
    page_bytes = 1 << s.params.page_shift
    base = counts_base(cpu, context)
    while done < size:
        here = vaddr + np.uint64(done)
        frame = frame_of(s, trap, cpu, vcpu, context, asid, here)
        if frame == INVALID:
            return done
        bytes_here = min(size - done, page_bytes - signed(here & np.uint64(page_bytes - 1)))
        access_lines(s.caches, cpu, base, access, here, address_in_frame(s, frame, here), np.uint64(bytes_here))
        done += bytes_here
    return done


@inlined
def quick_references(
    s: State, rows: Rows, first_row: int, stop: int, cpu: int, base: int, vcpu: int, asid: int, instructions: int
) -> tuple[int, int]:
    """Make references as long as they are of one process on one CPU, each in one page that is translated without ado.

    At most until ``instructions`` have run. Returns the first row that it does not make, and how many have run.
    """
    page_shift = np.uint64(s.params.page_shift)
    page_mask = (_ONE << page_shift) - _ONE
    row, end = np.uint64(first_row), np.uint64(stop)
    run, fetches, stores, tlb_hits = 0, 0, 0, 0
    while row < end and run < instructions:
        access = signed(rows.kind[row])
        if access > _STORE or rows.vcpu[row] != vcpu or rows.asid[row] != asid:
            break
        vaddr, size = rows.vaddr[row], np.uint64(rows.size[row])
        key = np.uint64(asid) if is_user(vaddr) else _ZERO
        vpn, offset = vaddr >> page_shift, vaddr & page_mask
        place = recent_place(cpu, key, vpn)
        note = s.recent[place + _ONE]
        if s.recent[place] != vpn or note >> KEY_SHIFT != key or size - _ONE > page_mask - offset:
            break
        maddr = (note & FRAME_MASK) << page_shift | offset
        if first_way_answers(s.caches, cpu, access, vaddr, maddr, size):
            s.counts[base + L1_HITS + 2 * access] += 1
        else:
            access_lines(s.caches, cpu, base, access, vaddr, maddr, size)
        tlb_hits += signed(note >> THROUGH_SHIFT & _ONE)
        stores += access == _STORE
        fetches += access == _FETCH
        run += signed(rows.arg[row]) if access == _FETCH else 0
        row += _ONE
    made = signed(row) - first_row
    s.counts[base + Event.FETCH_ROWS] += fetches
    s.counts[base + Event.LOAD_ROWS] += made - fetches - stores
    s.counts[base + Event.STORE_ROWS] += stores
    s.counts[base + Event.TLB_HITS] += tlb_hits
    s.counts[base + Event.INSTRUCTIONS] += run
    s.cpus.retired[cpu] += run
    return signed(row), run


@kernel
def run_vcpu(s: State, vcpu: int) -> int:
    """The CPU of a virtual CPU, which runs there from now on."""
    cpu = vcpu % s.params.cpus
    if s.cpus.vcpu[cpu] != vcpu:
        if s.cpus.vcpu[cpu] >= 0:
            base = counts_base(cpu, current_context(s, vcpu))
            s.counts[base + Event.VCPU_SWITCHES] += 1
            change_vcpu(s.system, s, cpu, base)
        s.cpus.vcpu[cpu] = vcpu
    return cpu


@entry
def replay_rows(s: State, rows: Rows, stop: int, cursor: I64, trap: U64) -> int:
    """Replay rows from ``cursor[ROW]`` on until ``stop`` or until Python must act; returns why (see ``walk``).

    ``cursor`` [CURSOR_LENGTH] is brought up to date; ``trap`` [TRAP_LENGTH] says for MAP_PAGE which page: key, vpn,
    address, CPU, context. The call after that goes on with the same row as if nothing had happened; after EVENT with
    the next one.
    """
    row = cursor[ROW]
    done = cursor[DONE_BYTES]
    window_end = cursor[WINDOW_END]
    instructions = cursor[TRACE_INSTRUCTIONS]
    code = END
    while row < stop:
        vcpu, asid, kind = signed(rows.vcpu[row]), signed(rows.asid[row]), signed(rows.kind[row])
        if vcpu >= s.params.vcpus:
            code = CPU_RANGE
            break
        cpu = run_vcpu(s, vcpu)
        if asid != 0 and process_number(s, np.uint64(asid)) == len(s.asids):
            code = UNDECLARED
            break
        context = current_context(s, vcpu)
        base = counts_base(cpu, context)
        if kind <= _STORE and done == 0:
            begin = row
            row, run = quick_references(s, rows, row, stop, cpu, base, vcpu, asid, window_end - instructions)
            instructions += run
            if instructions >= window_end:
                code = WINDOW
                break
            if row > begin:
                continue
        size, arg = signed(rows.size[row]), signed(rows.arg[row])
        if kind <= _STORE:
            if size == 0:
                code = BAD_SIZE
                break
            done = make_reference(s, trap, cpu, vcpu, context, asid, kind, rows.vaddr[row], size, done)
            if done < size:
                code = MAP_PAGE
                break
            done = 0
            s.counts[base + Event.FETCH_ROWS + kind] += 1
            if kind == _FETCH:
                s.counts[base + Event.INSTRUCTIONS] += arg
                s.cpus.retired[cpu] += arg
                instructions += arg
        else:
            code = handle_event(s, trap, cpu, vcpu, kind, asid, rows.vaddr[row], size, arg)
            if code != END:
                break
            if kind == _ZERO_PAGE:
                instructions += arg
        row += 1
        if instructions >= window_end:
            code = WINDOW
            break
    cursor[ROW] = row
    cursor[DONE_BYTES] = done
    cursor[TRACE_INSTRUCTIONS] = instructions
    return code
