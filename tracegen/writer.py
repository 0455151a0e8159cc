"""Writes a trace file: rows of any chunking in, one Parquet file of equal row groups out."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.rules import CHECK_ROWS, FormatChecker, Violation
from discotrace.tracegen.schema import COLUMN_DTYPES, METADATA_KEY, Rows, TraceMeta, slice_rows

ARROW_SCHEMA = pa.schema(
    [pa.field(name, pa.from_numpy_dtype(dtype), nullable=False) for name, dtype in COLUMN_DTYPES.items()]
)

ROW_GROUP_ROWS = 1 << 20
# docs/trace-format.md, Encodings, has the measurements behind these. A page is the stretch that zstd sees at once, so a
# row group is one page per column: Arrow's own limits would cut it into pages of 20,000 rows.
PARQUET_OPTIONS: dict[str, object] = {
    "compression": "zstd",
    "use_dictionary": ["vcpu", "asid", "kind"],
    "data_page_size": 8 * ROW_GROUP_ROWS,
    "max_rows_per_page": ROW_GROUP_ROWS,
    "store_schema": False,
}


COMPRESSION_LEVEL = 9  # of zstd; 19 makes files a fifth smaller and takes 25 times as long, reading is the same


class TraceWriter:
    """Context manager that writes one trace file.

    ``meta`` may grow while rows are written, if what a row needs (process, segment, file) is there before the
    row; it is stored when the file is closed. The file appears under its name only when the block ends without
    an exception. Equal rows and metadata give equal bytes, however the rows were cut into chunks. Memory is one row
    group, about 24 MB.

    Raises TraceError for rows that break a rule of ``docs/trace-format.md`` (at the latest when the block ends) and
    OutputError when the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        meta: TraceMeta,
        row_group_rows: int = ROW_GROUP_ROWS,
        compression_level: int = COMPRESSION_LEVEL,
    ) -> None:
        if row_group_rows < 1:
            raise ValueError(f"row_group_rows is {row_group_rows}, expected at least 1")
        self._path = os.fspath(path)
        self._meta = meta
        self._options = PARQUET_OPTIONS | {"compression_level": compression_level}
        self._checker = FormatChecker(meta)
        self._buffer = Rows(*(np.empty(row_group_rows, dtype) for dtype in COLUMN_DTYPES.values()))
        self._filled = 0  # rows of the buffer in use
        self._checked = 0  # rows of the buffer that the checker has seen
        self.rows = 0  # rows written so far
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            temporary = resources.enter_context(atomic_path(self._path))
            with output_errors(self._path):
                self._sink = resources.enter_context(pa.OSFile(str(temporary), "wb"))
                self._parquet = pq.ParquetWriter(self._sink, ARROW_SCHEMA, **self._options)
            self._resources = resources.pop_all()
        return self

    def write(self, rows: Rows) -> None:
        """Appends records. The arrays are copied, so the caller may use them again."""
        _check_columns(rows)
        capacity = len(self._buffer.kind)
        taken, count = 0, len(rows.kind)
        while taken < count:
            step = min(count - taken, capacity - self._filled)
            free = slice_rows(self._buffer, self._filled, self._filled + step)
            _copy_columns(free, slice_rows(rows, taken, taken + step))
            self._filled += step
            self.rows += step
            taken += step
            if self._filled - self._checked >= CHECK_ROWS:
                self._check()
            if self._filled == capacity:
                self._write_row_group()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._parquet.is_open = False  # no footer for a file that is given up
            self._resources.__exit__(kind, error, traceback)
            return
        with self._resources:
            try:
                self._finish()
            finally:
                self._parquet.is_open = False

    def _finish(self) -> None:
        self._write_row_group()
        _refuse(self._checker.finish())
        with output_errors(self._path):
            self._parquet.add_key_value_metadata({METADATA_KEY: self._meta.to_json()})
            self._parquet.close()
            self._sink.close()

    def _check(self) -> None:
        fresh = slice_rows(self._buffer, self._checked, self._filled)
        for start in range(0, len(fresh.kind), CHECK_ROWS):
            _refuse(self._checker.check(slice_rows(fresh, start, start + CHECK_ROWS)))
        self._checked = self._filled

    def _write_row_group(self) -> None:
        self._check()
        if self._filled:
            columns = [pa.array(column[: self._filled]) for column in self._buffer]
            with output_errors(self._path):
                table = pa.Table.from_arrays(columns, schema=ARROW_SCHEMA)
                self._parquet.write_table(table, row_group_size=self._filled)
        self._filled = self._checked = 0


def write_trace(path: str | os.PathLike[str], meta: TraceMeta, rows: Rows) -> None:
    """Writes a trace that is in memory."""
    with TraceWriter(path, meta) as writer:
        writer.write(rows)


_Columns = Sequence[npt.NDArray[np.unsignedinteger]]


def _copy_columns(target: _Columns, source: _Columns) -> None:
    for to, column in zip(target, source, strict=True):
        to[:] = column


def _check_columns(columns: _Columns) -> None:
    for (name, dtype), column in zip(COLUMN_DTYPES.items(), columns, strict=True):
        if column.dtype != dtype:
            raise TraceError(f"column {name} has dtype {column.dtype}, expected {np.dtype(dtype)}")
        if column.shape != (len(columns[0]),):
            raise TraceError(f"column {name} has shape {column.shape}, expected {(len(columns[0]),)} as the first has")


def _refuse(violations: list[Violation]) -> None:
    if violations:
        first = min(violations, key=lambda violation: violation.row)
        raise TraceError(f"row {first.row} breaks rule {first.rule}: {first.message}")
