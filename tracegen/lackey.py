"""Reads the log of valgrind's tool lackey (``--trace-mem=yes``) into columns of references.

A log is text: ``I  0401ab70,3`` is an instruction of 3 bytes, `` L ``, `` S `` and `` M `` are a load, a store and
a modify. Between these lines stand the banner (``==PID== ...``) and system calls (``SYSCALL[...] ...``), which are
handed on as text with their place among the references.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from discotrace.tracegen.schema import Kind

FETCH, LOAD, STORE = int(Kind.FETCH), int(Kind.LOAD), int(Kind.STORE)

# The shortest line of a reference, " L 1,8\n". A modify makes two rows.
SHORTEST_LINE_BYTES = 7
LONGEST_ADDRESS_DIGITS = 16
LONGEST_SIZE_DIGITS = 5


class References(NamedTuple):
    """References of one program as columns of equal length, with the meanings of ``docs/trace-format.md``."""

    kind: npt.NDArray[np.uint8]
    vaddr: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    arg: npt.NDArray[np.uint32]


class TextLine(NamedTuple):
    """A line that is no reference. ``row`` = number of references of the log before it."""

    row: int
    text: str


class Parsed(NamedTuple):
    """What one piece of a log holds. ``malformed``: byte offsets in the log of lines that look like references."""

    references: References
    texts: list[TextLine]
    malformed: list[int]


class LackeyParser:
    """Parses one log that arrives in pieces; the result does not depend on where the pieces end."""

    def __init__(self) -> None:
        """At the start of a log."""
        self.offset = 0  # bytes of the log that are parsed
        self._rows = 0  # references handed out
        self._unfinished = b""  # start of a line whose end has not arrived
        self._open = np.zeros(3, np.uint64)  # the run being extended: vaddr, bytes, instructions; 0 = none

    def feed(self, piece: bytes) -> Parsed:
        """The references that are complete after ``piece``. A last line without its end waits for the next piece."""
        data = self._unfinished + piece
        complete = data.rfind(b"\n") + 1
        self._unfinished = data[complete:]
        return self._parse(data[:complete])

    def finish(self) -> Parsed:
        """The rest of the log: the run that was being extended. A line without its end is dropped."""
        self.offset += len(self._unfinished)
        self._unfinished = b""
        vaddr, size, instructions = self._open
        self._open[:] = 0
        columns = ([FETCH], [vaddr], [size], [instructions]) if instructions else ([], [], [], [])
        references = _references(*columns)
        self._rows += len(references.kind)
        return Parsed(references, [], [])

    def _parse(self, data: bytes) -> Parsed:
        lines = len(data) // SHORTEST_LINE_BYTES + 1
        kind, vaddr = np.empty(2 * lines, np.uint8), np.empty(2 * lines, np.uint64)
        size, arg = np.empty(2 * lines, np.uint32), np.empty(2 * lines, np.uint32)
        line_breaks = data.count(b"\n")
        # A text line may be as short as its line break; a system call may share its line with a reference.
        texts = np.empty((line_breaks + 1, 3), np.int64)
        malformed = np.empty(line_breaks + 1, np.int64)
        rows, texts_count, malformed_count = scan_lines(
            np.frombuffer(data, np.uint8), kind, vaddr, size, arg, texts, malformed, self._open
        )
        found = Parsed(
            _references(kind[:rows], vaddr[:rows], size[:rows], arg[:rows]),
            [_text_line(data, self._rows, *place) for place in texts[:texts_count].tolist()],
            [self.offset + at for at in malformed[:malformed_count].tolist()],
        )
        self.offset += len(data)
        self._rows += rows
        return found


def _references(kind: npt.ArrayLike, vaddr: npt.ArrayLike, size: npt.ArrayLike, arg: npt.ArrayLike) -> References:
    return References(
        np.array(kind, np.uint8), np.array(vaddr, np.uint64), np.array(size, np.uint32), np.array(arg, np.uint32)
    )


def _text_line(data: bytes, rows_before: int, start: int, stop: int, row: int) -> TextLine:
    return TextLine(rows_before + row, data[start:stop].decode("utf-8", "replace"))


@njit(nogil=True)
def scan_lines(data, kind, vaddr, size, arg, texts, malformed, open_run):  # type: ignore[no-untyped-def]
    """Parses whole lines.

    data: uint8, in, ends with a line break or is empty. kind, vaddr, size, arg: out, room for two rows per
    SHORTEST_LINE_BYTES. texts: int64 [n, 3], out: start, stop, row. malformed: int64 [n], out: offsets. open_run:
    uint64 [3], updated: vaddr, bytes and instructions of the run of instructions that the next line may extend.
    Returns how many rows, texts and malformed lines there are.
    """
    rows = texts_count = malformed_count = 0
    at = 0
    while at < data.size:
        letter = reference_letter(data, at)
        if letter == 0:
            rows = close_run(kind, vaddr, size, arg, rows, open_run)
            stop = text_end(data, at)
            texts[texts_count, 0], texts[texts_count, 1], texts[texts_count, 2] = at, stop, rows
            texts_count += 1
            at = stop + 1 if data[stop] == 10 else stop
            continue
        address, length, stop = reference_body(data, at + 3)
        if length == 0:
            malformed[malformed_count] = at
            malformed_count += 1
        elif letter == 73:  # I
            if open_run[2] == 0 or open_run[0] + open_run[1] != address:
                rows = close_run(kind, vaddr, size, arg, rows, open_run)
                open_run[0] = address
            open_run[1] += length
            open_run[2] += np.uint64(1)
        else:
            rows = close_run(kind, vaddr, size, arg, rows, open_run)
            if letter != 83:  # L or M
                rows = put_row(kind, vaddr, size, arg, rows, LOAD, address, length, 0)
            if letter != 76:  # S or M
                rows = put_row(kind, vaddr, size, arg, rows, STORE, address, length, 0)
        at = stop + 1
    return rows, texts_count, malformed_count


@njit(nogil=True)
def reference_letter(data, at):  # type: ignore[no-untyped-def]
    """The letter I, L, S or M of the line at ``at`` (ASCII), 0 if the line is no reference."""
    if at + 3 >= data.size or data[at + 2] != 32:
        return 0
    first, second = data[at], data[at + 1]
    if first == 73 and second == 32:
        return 73
    if first == 32 and second in (76, 83, 77):
        return second
    return 0


@njit(nogil=True)
def reference_body(data, at):  # type: ignore[no-untyped-def]
    """Address, length (uint64) of ``0401ab70,3`` at ``at``, and where its line ends; length 0 = malformed."""
    address, length = np.uint64(0), np.uint64(0)
    start = at
    while True:
        byte = data[at]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif 97 <= byte <= 102:
            digit = byte - 87
        else:
            break
        address = (address << np.uint64(4)) | np.uint64(digit)
        at += 1
    whole = 1 <= at - start <= LONGEST_ADDRESS_DIGITS and data[at] == 44
    if whole:
        at += 1
        start = at
        while 48 <= data[at] <= 57:
            length = length * np.uint64(10) + np.uint64(data[at] - 48)
            at += 1
        whole = 1 <= at - start <= LONGEST_SIZE_DIGITS and data[at] == 10
        # The last byte of the reference must lie in the address space.
        whole = whole and (length == 0 or address + (length - np.uint64(1)) >= address)
    while data[at] != 10:
        at += 1
    return address, length if whole else np.uint64(0), at


@njit(nogil=True)
def text_end(data, at):  # type: ignore[no-untyped-def]
    """Where the text at ``at`` ends: at its line break, or before a reference in the same line.

    When a thread is created, valgrind leaves out the line break after the system call.
    """
    start = at
    while data[at] != 10:
        if data[at] == 73 and at > start and data[at - 1] == 32 and data[at + 1] == 32 and data[at + 2] == 32:
            _, length, _ = reference_body(data, at + 3)
            if length > 0:
                return at
        at += 1
    return at


@njit(nogil=True)
def close_run(kind, vaddr, size, arg, rows, open_run):  # type: ignore[no-untyped-def]
    """Appends the open run of instructions, if there is one, and returns the new number of rows."""
    if open_run[2] == 0:
        return rows
    rows = put_row(kind, vaddr, size, arg, rows, FETCH, open_run[0], open_run[1], open_run[2])
    open_run[:] = 0
    return rows


@njit(nogil=True)
def put_row(kind, vaddr, size, arg, rows, row_kind, row_vaddr, row_size, row_arg):  # type: ignore[no-untyped-def]
    """Writes row ``rows`` and returns the new number of rows."""
    kind[rows], vaddr[rows], size[rows], arg[rows] = row_kind, row_vaddr, row_size, row_arg
    return rows + 1
