"""The life of a reference, and of the events between: the one loop over the rows of a trace.

``docs/model.md`` section 3. The loop knows a system by six compiled functions and comes back to Python where a page
must be mapped, an event concerns the address spaces, a window ends, or a row breaks the format.
"""

import numpy as np

from discotrace.replay.counts import IDLE, Event
from discotrace.replay.kernels.cache import data_lines, fetch_lines
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.page_map import find_page
from discotrace.replay.kernels.state import INVALID, STACK, State
from discotrace.replay.kernels.system import change_vcpu, execute_privileged, is_translated, wire, zero_page
from discotrace.replay.kernels.tlb import mapped_group, recent_slot
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
    ask_for_page,
    counts_base,
    is_user,
    translate,
    untranslated,
)
from discotrace.tracegen.schema import Kind, Privileged, Rows, Service

_ZERO = np.uint64(0)
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
def range_is_mapped(s: State, trap: np.ndarray, cpu: int, context: int, key: np.uint64, vaddr: np.uint64, size: int) -> bool:
    """Whether all pages of a range are mapped; if not, ``trap`` says which is the first that is not."""
    page_bytes = 1 << s.params.page_shift
    while size > 0:
        here = min(size, page_bytes - np.int64(vaddr & np.uint64(page_bytes - 1)))
        vpn = vaddr >> np.uint64(s.params.page_shift)
        if find_page(s.pages, key, vpn) == INVALID:
            ask_for_page(trap, cpu, context, key, vpn, vaddr)
            return False
        vaddr += np.uint64(here)
        size -= here
    return True


@kernel
def write_wired_entry(
    s: State, trap: np.ndarray, cpu: int, vcpu: int, context: int, asid: int, vaddr: np.uint64, times: int
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
    s: State, trap: np.ndarray, cpu: int, vcpu: int, kind: int, asid: int, vaddr: np.uint64, size: int, arg: int
) -> int:
    """A row that is no reference. Returns END, or why Python must act before the row is done."""
    context = s.vcpus.context[vcpu * STACK + s.vcpus.depth[vcpu]]
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
    if kind == _MAP or kind == _UNMAP or kind == _PROCESS_EXIT:
        s.counts[counts_base(cpu, context) + Event.PROCESS_EXITS] += kind == _PROCESS_EXIT
        return EVENT
    return count_plain_event(s, cpu, context, kind, size)


@inlined
def frame_of(s: State, trap: np.ndarray, cpu: int, vcpu: int, context: int, asid: int, vaddr: np.uint64) -> int:
    """Frame of an address, through the TLB if the system translates it; INVALID if a page must be mapped first."""
    user = is_user(vaddr)
    key = np.uint64(asid) if user else _ZERO
    vpn = vaddr >> np.uint64(s.params.page_shift)
    slot = recent_slot(cpu, key, vpn)
    through_tlb = user or is_translated(s.system, vaddr)
    if s.recent.vpn[slot] == vpn and s.recent.key[slot] == key:
        s.counts[counts_base(cpu, context) + Event.TLB_HITS] += through_tlb
        return s.recent.frame[slot]
    if through_tlb:
        return translate(s, trap, cpu, vcpu, context, key, vpn, vaddr)
    return untranslated(s, trap, cpu, context, vpn, vaddr)


@inlined
def make_reference(
    s: State, trap: np.ndarray, cpu: int, vcpu: int, context: int, asid: int, kind: int, vaddr: np.uint64, size: int, done: int
) -> int:
    """Touch bytes ``done`` .. ``size`` of a reference, page by page. Returns the bytes done: ``size`` if all are."""
    page_bytes = 1 << s.params.page_shift
    base = counts_base(cpu, context)
    while done < size:
        here = vaddr + np.uint64(done)
        frame = frame_of(s, trap, cpu, vcpu, context, asid, here)
        if frame == INVALID:
            return done
        bytes_here = min(size - done, page_bytes - np.int64(here & np.uint64(page_bytes - 1)))
        if kind == _FETCH:
            fetch_lines(s, cpu, base, here, bytes_here, frame)
        else:
            data_lines(s, cpu, base, kind, here, bytes_here, frame)
        done += bytes_here
    return done


@kernel
def run_vcpu(s: State, vcpu: int) -> int:
    """The CPU of a virtual CPU, which runs there from now on."""
    cpu = vcpu % s.params.cpus
    if s.cpus.vcpu[cpu] != vcpu:
        if s.cpus.vcpu[cpu] >= 0:
            base = counts_base(cpu, s.vcpus.context[vcpu * STACK + s.vcpus.depth[vcpu]])
            s.counts[base + Event.VCPU_SWITCHES] += 1
            change_vcpu(s.system, s, cpu, base)
        s.cpus.vcpu[cpu] = vcpu
    return cpu


@inlined
def is_declared(s: State, asid: int) -> bool:
    """Whether the metadata knows the process (0 = none is always fine)."""
    if asid == 0:
        return True
    place = np.searchsorted(s.asids, np.uint64(asid))
    return place < len(s.asids) and s.asids[place] == np.uint64(asid)


@kernel
def replay_rows(
    s: State,
    rows: Rows,
    stop: int,
    cursor: np.ndarray,
    trap: np.ndarray,
) -> int:
    """Replay rows from ``cursor[ROW]`` on until ``stop`` or until Python must act; returns why (see ``walk``).

    ``cursor`` [CURSOR_LENGTH] is brought up to date; ``trap`` [TRAP_LENGTH] says for MAP_PAGE which page: key, vpn,
    address, CPU, context. The call after that goes on with the same row as if nothing had happened; after EVENT with the next one.
    """
    last_vcpu, last_asid, cpu = -1, -1, 0
    done = cursor[DONE_BYTES]
    window_end = cursor[WINDOW_END]
    instructions = cursor[TRACE_INSTRUCTIONS]
    code = END
    row = cursor[ROW]
    while row < stop:
        vcpu = np.int64(rows.vcpu[row])
        if vcpu != last_vcpu:
            if vcpu >= s.params.vcpus:
                code = CPU_RANGE
                break
            cpu = run_vcpu(s, vcpu)
            last_vcpu = vcpu
            context = s.vcpus.context[vcpu * STACK + s.vcpus.depth[vcpu]]
        asid = np.int64(rows.asid[row])
        if asid != last_asid:
            if not is_declared(s, asid):
                code = UNDECLARED
                break
            last_asid = asid
        kind = np.int64(rows.kind[row])
        size = np.int64(rows.size[row])
        if kind <= _STORE:
            if size == 0:
                code = BAD_SIZE
                break
            done = make_reference(
                s, trap, cpu, vcpu, context, asid, kind, rows.vaddr[row], size, done
            )
            if done < size:
                code = MAP_PAGE
                break
            done = 0
            base = counts_base(cpu, context)
            s.counts[base + Event.FETCH_ROWS + kind] += 1
            if kind == _FETCH:
                run = np.int64(rows.arg[row])
                s.counts[base + Event.INSTRUCTIONS] += run
                s.cpus.retired[cpu] += run
                instructions += run
        else:
            arg = np.int64(rows.arg[row])
            code = handle_event(
                s, trap, cpu, vcpu, kind, asid, rows.vaddr[row], size, arg
            )
            if code != END:
                break
            context = s.vcpus.context[vcpu * STACK + s.vcpus.depth[vcpu]]
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
