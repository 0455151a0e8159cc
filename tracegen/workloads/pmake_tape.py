"""References as compiled code writes them: a tape of rows, and the shapes of code that many places share.

A program's text is a row of routines of ``ROUTINE_BYTES``. Which way a routine is walked follows from ``key``, the
data that it works on.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import part
from discotrace.tracegen.workloads.program import References

ROUTINE_BYTES = 1024
INSTRUCTION_BYTES = 4
FETCH, LOAD, STORE = 0, 1, 2
TAPE_ROWS = 1 << 18
FULL_ROWS = 40_000  # a chunk is handed over when it has so many; one step of any program adds fewer than the rest
FRAME_BYTES = 96


class Tape(NamedTuple):
    """Rows written so far: columns of ``TAPE_ROWS``; ``used`` (1,) says how many, those beyond the end included."""

    kind: npt.NDArray[np.uint8]
    vaddr: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    arg: npt.NDArray[np.uint32]
    used: npt.NDArray[np.int64]


class Image(NamedTuple):
    """Where a program's code is: ``text`` and the shared library's ``library``, routines each; ``stack``: its top.

    ``turns``: how often a loop goes round at most. ``skew``: the choice among N routines falls on those below n with
    probability (n / N) ** (1 / skew).
    """

    text: int
    routines: int
    library: int
    library_routines: int
    stack: int
    turns: int
    skew: float


def new_tape() -> Tape:
    """An empty tape."""
    return Tape(
        np.empty(TAPE_ROWS, np.uint8),
        np.empty(TAPE_ROWS, np.uint64),
        np.empty(TAPE_ROWS, np.uint32),
        np.empty(TAPE_ROWS, np.uint32),
        np.zeros(1, np.int64),
    )


def taken(tape: Tape) -> References:
    """A copy of what is on the tape, which is empty then. Raises OverflowError when a step was too long for it."""
    used = int(tape.used[0])
    if used > TAPE_ROWS:
        raise OverflowError(f"a step of a program wrote {used} rows, the tape has {TAPE_ROWS}")
    tape.used[0] = 0
    return References(
        tape.kind[:used].copy(), tape.vaddr[:used].copy(), tape.size[:used].copy(), tape.arg[:used].copy()
    )


@part
def _row(tape, kind, vaddr, size, arg):  # type: ignore[no-untyped-def]
    at = tape.used[0]
    tape.used[0] = at + 1
    if at < TAPE_ROWS:
        tape.kind[at] = kind
        tape.vaddr[at] = vaddr
        tape.size[at] = size
        tape.arg[at] = arg


@part
def fetch(tape, vaddr, instructions):  # type: ignore[no-untyped-def]
    """Instructions in a row."""
    _row(tape, FETCH, vaddr, instructions * INSTRUCTION_BYTES, instructions)


@part
def loop(tape, vaddr, body, turns):  # type: ignore[no-untyped-def]
    """``turns`` times round a loop of ``body`` instructions whose data comes in the rows behind: one row."""
    _row(tape, FETCH, vaddr, body * INSTRUCTION_BYTES, body * max(turns, 1))


@part
def load(tape, vaddr, size):  # type: ignore[no-untyped-def]
    """A load."""
    _row(tape, LOAD, vaddr, size, 0)


@part
def store(tape, vaddr, size):  # type: ignore[no-untyped-def]
    """A store."""
    _row(tape, STORE, vaddr, size, 0)


@part
def mixed(a, b):  # type: ignore[no-untyped-def]
    """31 well-spread bits of two integers: which way data sends the code."""
    z = (a * 0x9E3779B1 + b * 0x85EBCA6B + 0x1B873593) & 0x7FFFFFFF
    z = ((z ^ (z >> 15)) * 0x2C1B3C6D) & 0x7FFFFFFF
    return z ^ (z >> 12)


@part
def work(tape, start, blocks, key, image):  # type: ignore[no-untyped-def]
    """A call of the routine at ``start``: frame, ``blocks`` basic blocks (at most 16) with stack slots, return.

    A block is the body of a short loop (over operands, over a list), which goes round a few times.
    """
    frame = image.stack - FRAME_BYTES
    fetch(tape, start, 6)
    store(tape, frame + 64, 16)
    at = start + 24
    for block in range(blocks):
        arm = (key >> (block % 30)) & 1
        turns = 1 + (key >> (block % 24)) % image.turns
        loop(tape, at, 8 + 2 * arm, turns)
        slot = frame + 8 * ((key >> (block % 20)) & 7)
        if block % 3 == 2:
            store(tape, slot, 4)
        else:
            load(tape, slot, 4)
        at += 40 + 16 * arm
    fetch(tape, at, 4)
    load(tape, frame + 64, 16)


@part
def skewed(key, count, skew):  # type: ignore[no-untyped-def]
    """A number below ``count`` that follows from 31 bits: most of them give the low numbers, as code has hot parts."""
    share = (key & 0x7FFFFFFF) / 2147483648.0
    return int(share**skew * count)


@part
def routine(image, first, span, key):  # type: ignore[no-untyped-def]
    """The address of one of the routines from ``first`` per mille of the text on, ``span`` long, chosen by the data."""
    count = max(1, span * image.routines // 1000)
    number = first * image.routines // 1000 + skewed(mixed(key, 17), count, image.skew)
    return image.text + number % image.routines * ROUTINE_BYTES


@part
def library(image, key):  # type: ignore[no-untyped-def]
    """The address of one of the shared library's routines."""
    return image.library + key % image.library_routines * ROUTINE_BYTES
