"""The hash table of names that preprocessor, compiler, assembler and loader all have: chains of nodes in an obstack."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import part
from discotrace.tracegen.workloads.pmake_tape import fetch, load, loop, store

MOST_NAMES = 1 << 15
POOL_BYTES = 1 << 20
NODE_BYTES = 96  # of a name, before its letters
NAMES, POOL, TOP = 0, 1, 2  # of ``counts``
ABSENT = -1
NOT_DEFINED = 0  # the kind of a name that has just been entered


class Names(NamedTuple):
    """Names by number: ``link`` the next of the chain, letters ``pool[start : start + length]``, ``vaddr`` the node.

    ``kind`` and ``value`` are what the program keeps of a name. ``counts`` (3,): names, letters, and the end of the
    permanent obstack. ``table``: address of the buckets.
    """

    bucket: npt.NDArray[np.int64]
    link: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    vaddr: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]
    pool: npt.NDArray[np.uint8]
    counts: npt.NDArray[np.int64]
    table: int


def new_names(table: int, obstack: int, buckets: int) -> Names:
    """An empty table at an address, with nodes from ``obstack`` on."""
    link, start, length, kind, vaddr, value = (np.zeros(MOST_NAMES, np.int64) for _ in range(6))
    pool, counts = np.zeros(POOL_BYTES, np.uint8), np.array([0, 0, obstack], np.int64)
    return Names(np.full(buckets, ABSENT, np.int64), link, start, length, vaddr, kind, value, pool, counts, table)


@part
def _hash(names, text, start, stop):  # type: ignore[no-untyped-def]
    value = np.int64(0)
    for i in range(start, stop):
        value = (value * 31 + np.int64(text[i])) & 0x7FFFFFFF
    return value % len(names.bucket)


@part
def _same(names, number, text, start, stop):  # type: ignore[no-untyped-def]
    if names.length[number] != stop - start:
        return False
    begin = names.start[number]
    for i in range(stop - start):  # noqa: SIM110, numba has no generators in all()
        if names.pool[begin + i] != text[start + i]:
            return False
    return True


@part
def find(tape, code, names, text, start, stop, base):  # type: ignore[no-untyped-def]
    """Number of the name ``text[start:stop]`` (at address ``base + start``) or ABSENT; the code is at ``code``."""
    length = stop - start
    hashed = _hash(names, text, start, stop)
    loop(tape, code, 5, length)
    load(tape, base + start, length)
    load(tape, names.table + 4 * hashed, 4)
    number = names.bucket[hashed]
    while number != ABSENT:
        fetch(tape, code + 24, 7)
        load(tape, names.vaddr[number], 16)
        if names.length[number] == length:
            loop(tape, code + 56, 4, length)
            load(tape, names.vaddr[number] + NODE_BYTES, length)
        if _same(names, number, text, start, stop):
            return number
        number = names.link[number]
    return ABSENT


@part
def enter(tape, code, names, text, start, stop):  # type: ignore[no-untyped-def]
    """A new name: its node and letters go to the end of the obstack. Returns its number, or ABSENT when full."""
    number, length = names.counts[NAMES], stop - start
    if number == MOST_NAMES or names.counts[POOL] + length > POOL_BYTES:
        return ABSENT
    hashed = _hash(names, text, start, stop)
    names.start[number], names.length[number] = names.counts[POOL], length
    for place in range(length):
        names.pool[names.counts[POOL] + place] = text[start + place]
    names.link[number], names.bucket[hashed] = names.bucket[hashed], number
    names.kind[number], names.value[number] = NOT_DEFINED, 0
    names.vaddr[number] = allocate(tape, code + 80, names, NODE_BYTES + length)
    names.counts[NAMES] += 1
    names.counts[POOL] += length
    store(tape, names.vaddr[number] + NODE_BYTES, length)
    store(tape, names.table + 4 * hashed, 4)
    return number


@part
def allocate(tape, code, names, size):  # type: ignore[no-untyped-def]
    """So many bytes of the permanent obstack, cleared: their address."""
    found = names.counts[TOP]
    names.counts[TOP] += (size + 15) // 16 * 16
    fetch(tape, code, 14)
    store(tape, found, size)
    return found


@part
def found_or_entered(tape, code, names, text, start, stop, base):  # type: ignore[no-untyped-def]
    """Number of a name that is in the table afterwards."""
    number = find(tape, code, names, text, start, stop, base)
    if number == ABSENT:
        number = enter(tape, code, names, text, start, stop)
    return number
