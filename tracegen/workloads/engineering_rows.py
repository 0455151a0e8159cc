"""How compiled simulators write down their references, one by one, and draw their random numbers."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import part
from discotrace.tracegen.schema import Kind
from discotrace.tracegen.workloads.emit import INSTRUCTION_BYTES, Text
from discotrace.tracegen.workloads.program import References

FETCH, LOAD, STORE = int(Kind.FETCH), int(Kind.LOAD), int(Kind.STORE)


class Routine(NamedTuple):
    """A run of instructions at a fixed place, as compiled loops can take it."""

    start: int
    instructions: int


def routines(text: Text, *instructions: int) -> list[Routine]:
    """The next routines of a text, of so many instructions each."""
    blocks = [text.block(count) for count in instructions]
    return [Routine(block.start, block.instructions) for block in blocks]


class Out(NamedTuple):
    """Room for references: columns of one length."""

    kind: npt.NDArray[np.uint8]
    vaddr: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    arg: npt.NDArray[np.uint32]


def room(rows: int) -> Out:
    """Room for so many references."""
    return Out(
        np.empty(rows, np.uint8), np.empty(rows, np.uint64), np.empty(rows, np.uint32), np.empty(rows, np.uint32)
    )


def taken(out: Out, count: int) -> References:
    """A copy of the first ``count`` references."""
    kind, vaddr, size, arg = out
    return References(kind[:count].copy(), vaddr[:count].copy(), size[:count].copy(), arg[:count].copy())


@part
def fetch(out: Out, n: int, start: int, instructions: int) -> int:
    """Reference ``n``: so many instructions from byte ``start`` on. Returns n + 1."""
    out.kind[n], out.vaddr[n] = FETCH, start
    out.size[n], out.arg[n] = instructions * INSTRUCTION_BYTES, instructions
    return n + 1


@part
def execute(out: Out, n: int, routine: Routine) -> int:
    """Reference ``n``: the instructions of a routine. Returns n + 1."""
    return fetch(out, n, routine.start, routine.instructions)


@part
def load(out: Out, n: int, vaddr: int, size: int) -> int:
    """Reference ``n``: a load of ``size`` bytes. Returns n + 1."""
    out.kind[n], out.vaddr[n] = LOAD, vaddr
    out.size[n], out.arg[n] = size, 0
    return n + 1


@part
def store(out: Out, n: int, vaddr: int, size: int) -> int:
    """Reference ``n``: a store of ``size`` bytes. Returns n + 1."""
    out.kind[n], out.vaddr[n] = STORE, vaddr
    out.size[n], out.arg[n] = size, 0
    return n + 1


@part
def random_below(seed: npt.NDArray[np.uint64], bound: int) -> int:
    """A random number from 0 to ``bound`` - 1, at most 2^31, by xorshift64; ``seed`` (1 element, not 0) is updated."""
    x = seed[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    seed[0] = x
    return int(((x >> np.uint64(33)) * np.uint64(bound)) >> np.uint64(31))
