"""The kernel locks that each virtual CPU of the trace holds: counts are kept by the one taken last.

``docs/model.md`` sections 8 and 15.
"""

from discotrace.replay.counts import N_LOCKS, OTHER_LOCK
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import LOCKS_HELD, State
from discotrace.replay.kernels.vms import cpu_of


@inlined
def lock_class(lock: int) -> int:
    """By which lock counts are kept: the first few have counters of their own, all others share some."""
    return lock if 0 < lock < OTHER_LOCK else OTHER_LOCK


@inlined
def current_lock(s: State, stream: int) -> int:
    """The class of the lock that a virtual CPU of the trace took last and still holds; 0 = none."""
    held = signed(s.streams.locks_held[stream])
    if held == 0:
        return 0
    return lock_class(signed(s.streams.locks[stream * LOCKS_HELD + held - 1]))


@inlined
def counts_plane(s: State, cpu: int, vm: int, lock: int) -> int:
    """The counters of a VM on a CPU under a lock, marked as in use in this window."""
    plane = signed(s.vms.seat[vm * s.params.cpus + cpu] * N_LOCKS + lock)
    s.planes_used[plane] = 1
    return plane


@kernel
def count_under_current_lock(s: State, stream: int) -> None:
    """CPUs on which a virtual CPU of the stream ran last count under the lock that it holds now."""
    for vm in range(len(s.vms.dead)):
        cpu = cpu_of(s, vm, stream)
        if s.cpus.vcpu[cpu] == vm * s.params.streams + stream:
            s.cpus.plane[cpu] = counts_plane(s, cpu, vm, current_lock(s, stream))


@kernel
def take_lock(s: State, stream: int, lock: int) -> bool:
    """LOCK without its count. False if the stream holds as many as are kept."""
    held = s.streams.locks_held[stream]
    if held == LOCKS_HELD:
        return False
    s.streams.locks[stream * LOCKS_HELD + held] = lock
    s.streams.locks_held[stream] = held + 1
    count_under_current_lock(s, stream)
    return True


@kernel
def release_lock(s: State, stream: int, lock: int) -> bool:
    """UNLOCK without its count, of a lock taken at any time. False if the stream does not hold it."""
    last = signed(stream * LOCKS_HELD + s.streams.locks_held[stream]) - 1
    at = last
    while at >= stream * LOCKS_HELD and s.streams.locks[at] != lock:
        at -= 1
    if at < stream * LOCKS_HELD:
        return False
    for place in range(at, last):
        s.streams.locks[place] = s.streams.locks[place + 1]
    s.streams.locks_held[stream] -= 1
    count_under_current_lock(s, stream)
    return True
