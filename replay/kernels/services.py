"""The stacks of services and of locks of each virtual CPU of the trace, which are what counts are kept by.

``docs/model.md`` sections 3, 8 and 13.
"""

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.locks import release_lock, take_lock
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import STACK, State
from discotrace.replay.kernels.system import leaves_out
from discotrace.replay.kernels.walk import BAD_LOCK, END, EVENT, NESTING, UNKNOWN_SERVICE, counts_base, is_user
from discotrace.tracegen.schema import Kind, Service

_ENTER, _EXIT = int(Kind.ENTER), int(Kind.EXIT)
_LOCK, _UNLOCK = int(Kind.LOCK), int(Kind.UNLOCK)
_MAP, _UNMAP = int(Kind.MAP), int(Kind.UNMAP)
_PAST_LAST_SERVICE = max(Service) + 1
_UTLB_MISS = int(Service.UTLB_MISS)
# Page faults: where the guest's kernel does not handle them, the monitor does.
_DEMAND_ZERO, _QUICK_FAULT = int(Service.DEMAND_ZERO), int(Service.QUICK_FAULT)
_COPY_ON_WRITE, _PAGE_IN = int(Service.COPY_ON_WRITE), int(Service.PAGE_IN)


@inlined
def current_context(s: State, stream: int) -> int:
    """What a virtual CPU of the trace is doing: USER, or the innermost service."""
    return signed(s.streams.context[stream * STACK + s.streams.depth[stream]])


@inlined
def is_fault(service: int) -> bool:
    """Whether the service handles a page fault."""
    return service in (_DEMAND_ZERO, _QUICK_FAULT, _COPY_ON_WRITE, _PAGE_IN)


@kernel
def push_service(s: State, stream: int, service: int) -> int:
    """ENTER without its count: the context becomes the service."""
    if service < 1 or service >= _PAST_LAST_SERVICE or service == _UTLB_MISS:
        return UNKNOWN_SERVICE
    depth = s.streams.depth[stream] + 1
    if depth == STACK:
        return NESTING
    s.streams.depth[stream] = depth
    s.streams.context[stream * STACK + depth] = service
    if s.streams.left_out[stream] == 0 and leaves_out(s.system, service):
        s.streams.left_out[stream] = depth
    return END


@kernel
def pop_service(s: State, stream: int, service: int) -> int:
    """EXIT: back to what was interrupted."""
    depth = s.streams.depth[stream]
    if depth == 0 or s.streams.context[stream * STACK + depth] != service:
        return NESTING
    s.streams.depth[stream] = depth - 1
    if s.streams.left_out[stream] == depth:
        s.streams.left_out[stream] = 0
    return END


@kernel
def enter_service(s: State, cpu: int, stream: int, service: int) -> int:
    """ENTER. Of a service that is left out, only a fault counts: the monitor has to handle it."""
    before = current_context(s, stream)
    code = push_service(s, stream, service)
    if code != END:
        return code
    if s.streams.left_out[stream] == 0:
        s.counts[counts_base(s, cpu, service) + Event.SERVICE_ENTRIES] += 1
    elif s.streams.left_out[stream] == s.streams.depth[stream] and is_fault(service):
        s.counts[counts_base(s, cpu, before) + Event.MONITOR_FAULTS] += 1
    return END


@kernel
def keep_locks(s: State, stream: int, kind: int, lock: int) -> int:
    """LOCK or UNLOCK without its count."""
    kept = take_lock(s, stream, lock) if kind == _LOCK else release_lock(s, stream, lock)
    return END if kept else BAD_LOCK


@kernel
def pass_over(s: State, stream: int, kind: int, vaddr: np.uint64, arg: int) -> int:
    """A row of a dead VM: all that it does is to keep the stacks, and the segments that hold in every VM."""
    if kind == _ENTER:
        return push_service(s, stream, arg)
    if kind == _EXIT:
        return pop_service(s, stream, arg)
    if kind in (_LOCK, _UNLOCK):
        return keep_locks(s, stream, kind, arg)
    if kind in (_MAP, _UNMAP) and not is_user(vaddr) and len(s.vms.dead) > 1:
        return EVENT
    return END
