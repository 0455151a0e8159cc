"""The trail of a trace: the rows that decide what caches hold, some percent of all.

In each chunk of ``MARK_ROWS`` rows the first fetch, load and store of each line by each virtual CPU, and the events of
an outline. A replay of the trail alone leaves caches and memory much as a replay of all rows would.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.outline_kernels import LINES, last_touches
from discotrace.tracegen.schema import COLUMN_DTYPES, Rows

I64 = npt.NDArray[np.int64]

MARK_ROWS = 1 << 15  # rows of a chunk
GROUP_CHUNKS = 16  # of which the trails are one row group
_ROW = "row"
_COLUMNS = [pa.field(name, pa.from_numpy_dtype(dtype)) for name, dtype in COLUMN_DTYPES.items()]
_SCHEMA = pa.schema([pa.field(_ROW, pa.int64()), *_COLUMNS])
# Half as large again as with zstd, and read in half the time.
_OPTIONS: dict[str, Any] = {
    "compression": "lz4",
    "use_dictionary": ["vcpu", "asid", "kind"],
    "column_encoding": {_ROW: "DELTA_BINARY_PACKED"},
    "write_statistics": [_ROW],
}


class TrailWriter:
    """Takes the trail chunk by chunk."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file = file
        self._chunks: list[tuple[I64, Rows]] = []

    def add(self, numbers: I64, rows: Rows) -> None:
        """The trail of the next chunk, and the numbers of its rows in the trace."""
        self._chunks.append((numbers, rows))
        if len(self._chunks) == GROUP_CHUNKS:
            self.flush()

    def flush(self) -> None:
        """Write what has been taken."""
        if self._chunks:
            columns = zip(*((numbers, *rows) for numbers, rows in self._chunks), strict=True)
            self._file.write_table(pa.Table.from_arrays([np.concatenate(parts) for parts in columns], schema=_SCHEMA))
        self._chunks = []


@contextmanager
def writing_trail(path: str | os.PathLike[str]) -> Iterator[TrailWriter]:
    """Writes a trail to a file, whole or not at all. Raises OutputError."""
    with (
        atomic_path(path) as temporary,
        output_errors(path),
        pq.ParquetWriter(temporary, _SCHEMA, **_OPTIONS) as file,
    ):
        writer = TrailWriter(file)
        yield writer
        writer.flush()


class TrailReader:
    """An open trail. Use as a context manager."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = pq.ParquetFile(path, pre_buffer=False)
        footer = self._file.metadata
        ranges = [footer.row_group(group).column(0).statistics for group in range(footer.num_row_groups)]
        self._first = np.array([one.min for one in ranges], np.int64)  # rows of the trace, by row group
        self._last = np.array([one.max for one in ranges], np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def between(self, start: int, stop: int) -> tuple[I64, Rows]:
        """The trail of the rows from ``start`` to ``stop`` (exclusive) of the trace, and their numbers in it."""
        groups = np.flatnonzero((self._first < stop) & (start <= self._last)).tolist()
        table = self._file.read_row_groups(groups, use_threads=False) if groups else _SCHEMA.empty_table()
        numbers = table[_ROW].to_numpy()
        part = slice(*np.searchsorted(numbers, [start, stop]))
        return numbers[part], Rows(*(table[name].to_numpy()[part] for name in COLUMN_DTYPES))


def last_of(rows: Rows) -> I64:
    """Places, ascending, of those references of a trail after which one of their lines is not accessed so any more.

    By them alone caches that replace what was used longest ago hold the same lines at the end, dirty ones included.
    """
    kept = np.empty(len(rows.kind), np.int64)
    found = last_touches(*rows[:-1], np.zeros(2 * LINES, np.uint64), kept)
    return kept[:found][::-1]
