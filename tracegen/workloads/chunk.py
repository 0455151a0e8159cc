"""References of a program on their way into the trace: where they may be cut, and where they may fault.

A chunk is made ready once, with whole-array operations, and runs slice by slice. Slices that follow each other with
nothing in between go out together: on a CPU by itself most of them do.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.pages import kind_table
from discotrace.tracegen.schema import Kind, Rows, concat_rows
from discotrace.tracegen.workloads.program import References

ROWS_TOGETHER = 1 << 15  # that go out at least, unless a chunk ends: 700 KiB
_RUNS = kind_table(Kind.FETCH, Kind.ZERO_PAGE)  # kinds whose ``arg`` is instructions


@dataclass(eq=False)
class Chunk:
    """References of process ``asid``, of which the first ``done`` have run.

    ``starts``, one longer than the references: instructions of the chunk before each; data rows go with the run before
    them. ``touches``: (row, page) of each page that rows not yet run may be the first to touch, in order.
    """

    asid: int
    references: References
    starts: npt.NDArray[np.int64]
    touches: deque[tuple[int, int]]
    done: int = 0

    def stop(self, instructions: int) -> int:
        """The row before which the process stops, if it runs so many instructions or the run that reaches them."""
        limit = int(self.starts[self.done]) + instructions
        return min(int(self.starts.searchsorted(limit)), len(self.references.kind))

    @property
    def has_run(self) -> bool:
        """Whether nothing of it is left."""
        return self.done == len(self.references.kind)


def run_starts(references: References) -> npt.NDArray[np.int64]:
    """Instructions before the run of each row, and behind the last one the sum of all."""
    is_run = references.kind == Kind.FETCH
    starts = np.zeros(len(is_run) + 1, np.int64)
    np.cumsum(is_run * references.arg, dtype=np.int64, out=starts[1:])
    starts[:-1] *= is_run
    return np.maximum.accumulate(starts)


class Outlet:
    """Passes rows of the kernel and stretches of chunks on in the order in which they come; counts instructions.

    They go out together, as ``emit`` costs as much as hundreds of rows; but before a program goes on, which may use the
    arrays of its chunk again.
    """

    def __init__(self, emit: Callable[[Rows], None]) -> None:
        self._emit = emit
        self._vcpu = 0
        self._chunk: Chunk | None = None  # has rows that have run but are in no part
        self._start = 0  # the first of these rows
        self._parts: list[Rows] = []
        self._rows = 0  # in the parts
        self.instructions = 0

    def pass_on(self, rows: Rows) -> None:
        """Rows of the kernel."""
        self._end_stretch()
        self.instructions += int(np.add.reduce(_RUNS.take(rows.kind) * rows.arg, dtype=np.int64))
        self._add(rows)

    def run(self, vcpu: int, chunk: Chunk, stop: int) -> None:
        """A chunk's rows up to ``stop`` (exclusive), on a CPU."""
        if chunk is not self._chunk or vcpu != self._vcpu:
            self._end_stretch()
            self._vcpu, self._chunk, self._start = vcpu, chunk, chunk.done
        self.instructions += int(chunk.starts[stop] - chunk.starts[chunk.done])
        chunk.done = stop
        if chunk.has_run:
            self.flush()

    def flush(self) -> None:
        """Pass on what has run so far."""
        self._end_stretch()
        if self._parts:
            self._emit(self._parts[0] if len(self._parts) == 1 else concat_rows(self._parts))
        self._parts, self._rows = [], 0

    def _end_stretch(self) -> None:
        chunk, start = self._chunk, self._start
        self._chunk = None
        if chunk is None or start == chunk.done:
            return
        count = chunk.done - start
        vcpu, asid = np.full(count, self._vcpu, np.uint16), np.full(count, chunk.asid, np.uint32)
        self._add(Rows(vcpu, asid, *(column[start : chunk.done] for column in chunk.references)))  # type: ignore[arg-type]

    def _add(self, rows: Rows) -> None:
        self._parts.append(rows)
        self._rows += len(rows.kind)
        if self._rows >= ROWS_TOGETHER:
            self.flush()
