"""The server's sort: heapsort of pointers to groups by falling revenue, which is read through the pointer."""

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads import database_layout as d
from discotrace.tracegen.workloads.database_kernels import (
    COMPARE,
    LOAD,
    MERGE,
    POINTERS,
    PUBLISH,
    ROOM,
    SIFT,
    STORE,
    Groups,
    Longs,
    call,
    put,
)
from discotrace.tracegen.workloads.database_layout import Places
from discotrace.tracegen.workloads.program import References


@compiled
def fill_pointers(out: References, at: Places, first: int, last: int, groups: Groups) -> tuple[int, int]:
    """Point to every group. Returns where it stopped and the number of rows."""
    n = 0
    for i in range(first, last):
        if n + ROOM > len(out.kind):
            return i, n
        n = call(out, n, at, POINTERS)
        n = put(out, n, STORE, at.pointers + i * d.POINTER_BYTES, 4, 0)
        groups.order[i] = i
    return last, n


@part
def read_key(out: References, n: int, at: Places, groups: Groups, i: int) -> tuple[int, float]:
    """The revenue behind pointer ``i``."""
    group = groups.order[i]
    n = call(out, n, at, COMPARE)
    n = put(out, n, LOAD, at.pointers + i * d.POINTER_BYTES, 4, 0)
    n = put(out, n, LOAD, at.groups + group * at.group_bytes + d.GROUP_REVENUE, 8, 0)
    return n, groups.revenue[group]


@part
def sift(out: References, n: int, at: Places, groups: Groups, hole: int, end: int, moving: int) -> int:
    """Put group ``moving`` into the heap below ``hole``, the least on top; ``end`` pointers are in the heap."""
    order, key = groups.order, groups.revenue[moving]
    child = 2 * hole + 1
    while child < end:
        n, least = read_key(out, n, at, groups, child)
        if child + 1 < end:
            n, other = read_key(out, n, at, groups, child + 1)
            if other < least:
                child, least = child + 1, other
        if least >= key:
            break
        n = put(out, n, STORE, at.pointers + hole * d.POINTER_BYTES, 4, 0)
        order[hole] = order[child]
        hole, child = child, 2 * child + 1
    order[hole] = moving
    return put(out, n, STORE, at.pointers + hole * d.POINTER_BYTES, 4, 0)


@compiled
def sort(out: References, at: Places, first: int, last: int, groups: Groups) -> tuple[int, int]:
    """Steps [first, last) of ``sort_steps``: one half of the pointers into the heap, then each out of it."""
    n, count = 0, groups.used[0]
    half = count // 2
    for step in range(first, last):
        if n + ROOM > len(out.kind):
            return step, n
        if step < half:
            hole = half - 1 - step
            n = call(out, n, at, SIFT)
            n, _ = read_key(out, n, at, groups, hole)
            n = sift(out, n, at, groups, hole, count, groups.order[hole])
        else:
            end = count - 1 - (step - half)
            moving, least = groups.order[end], groups.order[0]
            n = call(out, n, at, SIFT)
            n, _ = read_key(out, n, at, groups, end)
            n = put(out, n, STORE, at.pointers + end * d.POINTER_BYTES, 4, 0)
            groups.order[end] = least
            n = sift(out, n, at, groups, 0, end, moving)
    return last, n


def sort_steps(count: int) -> int:
    """Steps that sort so many pointers."""
    return count // 2 + max(0, count - 1)


@compiled
def publish(out: References, at: Places, groups: Groups, count: int) -> int:
    """Copy the rows of the first groups to where the first server finds them. Returns the rows."""
    n = 0
    for i in range(count):
        n = call(out, n, at, PUBLISH)
        n = put(out, n, LOAD, at.pointers + i * d.POINTER_BYTES, 4, 0)
        n = put(out, n, LOAD, at.groups + groups.order[i] * at.group_bytes, at.group_bytes, 0)
        n = put(out, n, STORE, at.results + i * d.RESULT_BYTES, d.RESULT_BYTES, 0)
    return n


@compiled
def merge(out: References, at: Places, rows: Longs) -> int:
    """Copy the best rows, whose addresses are given, to the client's buffer. Returns the rows."""
    n = 0
    for i in range(len(rows)):
        n = call(out, n, at, MERGE)
        n = put(out, n, LOAD, rows[i], d.RESULT_BYTES, 0)
        n = put(out, n, STORE, d.DATA + i * d.RESULT_BYTES, d.RESULT_BYTES, 0)
    return n
