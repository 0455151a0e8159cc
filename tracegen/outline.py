"""The outline of a trace: what must be known of all that came before to begin in its middle.

Of hundreds of millions of rows a small part decides what memory holds: the first touch of each page by each virtual
CPU, and events of address spaces and files. These rows are kept, and every ``MARK_ROWS`` rows a mark: the instructions
so far, and which services each virtual CPU is in and which locks it holds. One pass over the trace finds them all.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.outline_kernels import (
    BAD_NESTING,
    DONE,
    FULL,
    LINES,
    STACK,
    copy_touches,
    distinct_pages,
    forget_pages,
    scan_rows,
)
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import COLUMN_DTYPES, Rows, TraceMeta, concat_rows, rows_from_records
from discotrace.tracegen.trail import MARK_ROWS, TrailWriter

I64 = npt.NDArray[np.int64]

_PLACES = 1 << 17  # for touches, at first
_CHUNKS = (1 << 15) - 1  # that are told apart before their numbers come again


@dataclass(frozen=True)
class Outline:
    """The rows that the state of memory depends on, and marks.

    ``row`` [n]: their numbers in the trace, ascending, and what they are in the columns of ``rows``. At mark ``m``,
    which is row ``m * MARK_ROWS`` and behind the last one the end of the trace: ``instructions`` [marks], ``running``
    [marks, V] (the last process of each virtual CPU), ``services`` and ``locks`` [marks, V, STACK], of which ``depth``
    [marks, 2, V] are in use.
    """

    total_rows: int
    row: I64
    vcpu: npt.NDArray[np.uint16]
    asid: npt.NDArray[np.uint32]
    kind: npt.NDArray[np.uint8]
    vaddr: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    arg: npt.NDArray[np.uint32]
    instructions: I64
    running: I64
    services: npt.NDArray[np.uint32]
    locks: npt.NDArray[np.uint32]
    depth: npt.NDArray[np.uint8]

    @property
    def rows(self) -> Rows:
        """The kept rows."""
        return Rows(*(getattr(self, name) for name in COLUMN_DTYPES))

    @property
    def total_instructions(self) -> int:
        """Instructions of the trace."""
        return int(self.instructions[-1])

    def mark_before(self, instructions: int) -> int:
        """The last mark at which no more instructions have run; the first if there is none."""
        return max(0, int(np.searchsorted(self.instructions[:-1], instructions, side="right")) - 1)

    def mark_after(self, instructions: int) -> int:
        """The first mark, or the end of the trace, at which so many instructions have run."""
        return min(len(self.instructions) - 1, int(np.searchsorted(self.instructions, instructions)))

    def row_of(self, mark: int) -> int:
        """The row at a mark."""
        return min(mark * MARK_ROWS, self.total_rows)


class Scanner:
    """Scans rows in order for those that an outline keeps."""

    def __init__(self, meta: TraceMeta) -> None:
        self._meta = meta
        self._touches = np.zeros(2 * _PLACES, np.uint64)
        self._lines = np.zeros(2 * LINES, np.uint64)
        self._chunk = 0
        self._used = np.zeros(1, np.int64)
        self.instructions = np.zeros(1, np.int64)
        self.stacks = np.zeros((2, meta.cpus, STACK), np.int64)  # of services, of locks
        self.depth = np.zeros((2, meta.cpus), np.int64)
        self.running = np.zeros(meta.cpus, np.int64)

    def scan(self, rows: Rows) -> tuple[I64, npt.NDArray[np.bool_]]:
        """Scan a chunk: the places of the rows of its trail, and which of them the outline keeps.

        Raises TraceError for an EXIT or UNLOCK of what was never entered.
        """
        kept, matters = np.empty(len(rows.kind), np.int64), np.empty(len(rows.kind), np.bool_)
        found, at = np.zeros(1, np.int64), 0
        self._chunk = self._chunk % _CHUNKS + 1
        while at < len(rows.kind):
            why, at = scan_rows(
                *rows,
                at,
                self._touches,
                self._lines,
                np.uint64(self._chunk),
                self._used,
                self.stacks.reshape(-1),
                self.depth.reshape(-1),
                self.running,
                self.instructions,
                kept,
                matters,
                found,
            )
            if why == FULL:
                larger = np.zeros(2 * len(self._touches), np.uint64)
                copy_touches(self._touches, larger, self._used)
                self._touches = larger
            elif why == BAD_NESTING:
                raise TraceError(f"service or lock {rows.arg[at]} does not nest; see discotrace validate")
            elif why != DONE:
                self._end_segment(int(rows.arg[why]))
        return kept[: found[0]], matters[: found[0]]

    def _end_segment(self, number: int) -> None:
        if number >= len(self._meta.segments):
            raise TraceError(f"segment {number} is not in the metadata; see discotrace validate")
        one = self._meta.segments[number]
        ends = np.uint64(one.start), np.uint64(one.end)
        forget_pages(self._touches, self._lines, self._meta.cpus, one.asid, *ends)


def pages_touched(rows: Rows, kinds: Sequence[int]) -> tuple[I64, I64]:
    """Address space (0 = the kernel) and number of each page that rows of some kinds touch."""
    places, of_kinds = 1 << 14, sum(1 << kind for kind in kinds)
    while True:
        space, vpn, used = np.empty(places, np.int64), np.empty(places, np.int64), np.zeros(1, np.int64)
        touches = np.zeros(2 * places, np.uint64)
        if distinct_pages(rows.asid, rows.kind, rows.vaddr, rows.size, of_kinds, touches, used, space, vpn):
            return space[: used[0]], vpn[: used[0]]
        places *= 2


def outline_of(reader: TraceReader, trail: TrailWriter, on_rows: Callable[[int], None]) -> Outline:
    """Read a trace once and write its trail. ``on_rows`` is told how many more rows are done. Raises TraceError."""
    scanner, first = Scanner(reader.meta), 0
    numbers: list[I64] = []
    kept: list[Rows] = []
    marks: list[tuple[Any, ...]] = []
    for rows in reader.batches(MARK_ROWS):
        marks.append(_mark(scanner))
        places, matters = scanner.scan(rows)
        trail.add(places + first, Rows._make(column[places] for column in rows))
        places = places[matters]
        numbers.append(places + first)
        kept.append(Rows._make(column[places] for column in rows))
        first += len(rows.kind)
        on_rows(len(rows.kind))
    marks.append(_mark(scanner))
    instructions, running, stacks, depth = (np.array(column) for column in zip(*marks, strict=True))
    return Outline(
        first,
        np.concatenate([np.zeros(0, np.int64), *numbers]),
        *concat_rows([rows_from_records([]), *kept]),
        instructions=instructions,
        running=running,
        services=stacks[:, 0].astype(np.uint32),
        locks=stacks[:, 1].astype(np.uint32),
        depth=depth.astype(np.uint8),
    )


def _mark(scanner: Scanner) -> tuple[int, I64, I64, I64]:
    return int(scanner.instructions[0]), scanner.running.copy(), scanner.stacks.copy(), scanner.depth.copy()


def save(path: str | os.PathLike[str], outline: Outline) -> None:
    """Write an outline to a file, whole or not at all. Raises OutputError."""
    with atomic_path(path) as temporary, output_errors(path), open(temporary, "wb") as file:
        np.savez(file, **{one.name: getattr(outline, one.name) for one in fields(outline)})


def load(path: str | os.PathLike[str]) -> Outline:
    """Read what ``save`` wrote."""
    with np.load(path) as arrays:
        return Outline(int(arrays["total_rows"]), *(arrays[one.name] for one in fields(Outline)[1:]))
