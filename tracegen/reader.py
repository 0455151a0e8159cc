"""Reads a trace file: batches of exactly the wanted length, decoded by a thread ahead of the consumer."""

import hashlib
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.meta_rules import metadata_faults
from discotrace.tracegen.schema import COLUMN_DTYPES, METADATA_KEY, Rows, TraceMeta, concat_rows, slice_rows

BATCH_ROWS = 1 << 18
PART_ROWS = 1 << 16  # decoded at a time where few rows are wanted
BATCHES_AHEAD = 3


class TraceReader:
    """An open trace file.

    ``source`` is a path or a URL of a file system that Arrow knows (``s3://``, ``gs://``, ``hdfs://``, ``file://``);
    ``filesystem`` overrides where it is looked up. Raises TraceError when the file is missing, is not a trace, or
    has metadata that break the format. Use as a context manager, or ``close`` it.
    """

    def __init__(self, source: str | os.PathLike[str], filesystem: pyarrow.fs.FileSystem | None = None) -> None:
        self.source = os.fspath(source)
        with _arrow_errors(self.source):
            self._file, self.file_bytes = _open(self.source, filesystem)
        try:
            with _arrow_errors(self.source):
                # Reading ahead by itself, Arrow would keep the whole file in memory until it is closed.
                self._parquet = pq.ParquetFile(self._file, pre_buffer=False)
            _check_schema(self.source, self._parquet.schema_arrow)
            self.meta = _read_meta(self.source, self._parquet.metadata)
        except BaseException:
            self._file.close()
            raise
        footer = self._parquet.metadata
        self.rows: int = footer.num_rows
        self.row_groups: int = footer.num_row_groups
        # First row of each row group, and the number of rows at the end.
        self._starts = list(accumulate((footer.row_group(i).num_rows for i in range(self.row_groups)), initial=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. Batches that were handed out stay valid."""
        self._file.close()

    def identity(self) -> dict[str, str | int]:
        """What tells this trace from others, for the provenance of results.

        Name, bytes, rows, and the SHA-256 of the Parquet footer, which holds the metadata and size and range of every
        column chunk: enough to notice another file without reading it whole.
        """
        with _arrow_errors(self.source):
            length = int.from_bytes(self._file.read_at(4, self.file_bytes - 8), "little")
            footer = self._file.read_at(length, self.file_bytes - 8 - length)
        name = self.source.rstrip("/").rsplit("/", 1)[-1]
        return {
            "name": name,
            "rows": self.rows,
            "bytes": self.file_bytes,
            "footer_sha256": hashlib.sha256(footer).hexdigest(),
        }

    def position(self, row: int) -> tuple[int, int]:
        """Where a row of the trace is found in the file: (row group, row in it), all counted from 0."""
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row} of a trace of {self.rows} rows")
        group = bisect_right(self._starts, row) - 1
        return group, row - self._starts[group]

    def locate(self, row: int) -> str:
        """The position of a row for messages: "row group 3, row 17"."""
        group, place = self.position(row)
        return f"row group {group}, row {place}"

    def record(self, row: int) -> tuple[int, int, int, int, int, int]:
        """One record: (vcpu, asid, kind, vaddr, size, arg). Decodes its row group up to it: for messages only."""
        group, place = self.position(row)
        with _arrow_errors(self.source):
            for batch in self._parquet.iter_batches(row_groups=[group], columns=list(COLUMN_DTYPES)):
                if place < batch.num_rows:
                    vcpu, asid, kind, vaddr, size, arg = (batch.column(name)[place].as_py() for name in COLUMN_DTYPES)
                    return vcpu, asid, kind, vaddr, size, arg
                place -= batch.num_rows
        raise TraceError(f"{self.source}, {self.locate(row)}: the row is not there, the file is damaged")

    def batches(self, batch_rows: int = BATCH_ROWS) -> Iterator[Rows]:
        """All records in order, ``batch_rows`` at a time (the last batch may be shorter), wherever row groups end.

        The arrays are read-only and mostly views of decoded pages. A thread decodes a few batches ahead; it ends with
        the iterator, also when the consumer stops early. Raises TraceError when the file is damaged or has nulls.
        """
        if batch_rows < 1:
            raise ValueError(f"batch_rows is {batch_rows}, expected at least 1")
        return _ahead(_exact(self._decoded(batch_rows), batch_rows))

    def batches_between(self, start: int, stop: int) -> Iterator[Rows]:
        """The records from ``start`` to ``stop`` (exclusive), in batches of any length.

        Decodes their row groups from the beginning on, in the caller's thread. Raises TraceError when the file is
        damaged or has nulls.
        """
        groups = list(range(self.position(start)[0], self.position(stop - 1)[0] + 1)) if start < stop else []
        row = self._starts[groups[0]] if groups else stop
        with _arrow_errors(self.source):
            for batch in self._parquet.iter_batches(PART_ROWS, row_groups=groups, columns=list(COLUMN_DTYPES)):
                if start < row + batch.num_rows:
                    part = self._to_rows(batch, row)
                    yield slice_rows(part, max(0, start - row), min(batch.num_rows, stop - row))
                row += batch.num_rows
                if row >= stop:
                    return
        if row < stop:
            raise TraceError(f"{self.source}: rows {start} to {stop} are not there: the file is damaged")

    def _decoded(self, batch_rows: int) -> Iterator[Rows]:
        row = 0
        with _arrow_errors(self.source):
            for batch in self._parquet.iter_batches(batch_rows, columns=list(COLUMN_DTYPES)):
                yield self._to_rows(batch, row)
                row += batch.num_rows
        if row != self.rows:
            raise TraceError(f"{self.source}: {row} rows found, {self.rows} announced: the file is damaged")

    def _to_rows(self, batch: pa.RecordBatch, first_row: int) -> Rows:
        for name in COLUMN_DTYPES:
            if batch.column(name).null_count:
                row = first_row + batch.column(name).is_null().index(True).as_py()
                raise TraceError(f"{self.source}, {self.locate(row)}: column {name} is null, nulls are not allowed")
        return Rows(*(batch.column(name).to_numpy(zero_copy_only=True) for name in COLUMN_DTYPES))


def _exact(parts: Iterator[Rows], batch_rows: int) -> Iterator[Rows]:
    """The same records in batches of ``batch_rows``. Records are copied only where a batch takes from two parts."""
    waiting: list[Rows] = []
    count = 0
    for part in parts:
        start = 0
        while count + len(part.kind) - start >= batch_rows:
            stop = start + batch_rows - count
            waiting.append(slice_rows(part, start, stop))
            yield waiting[0] if len(waiting) == 1 else concat_rows(waiting)
            waiting, count, start = [], 0, stop
        if start < len(part.kind):
            waiting.append(slice_rows(part, start, len(part.kind)))
            count += len(part.kind) - start
    if waiting:
        yield concat_rows(waiting)


def _ahead(batches: Iterator[Rows]) -> Iterator[Rows]:
    """The same batches, made by one thread that works up to BATCHES_AHEAD batches ahead."""
    pending: deque[Future[Rows | None]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="trace-decode") as thread:
        try:
            for _ in range(BATCHES_AHEAD):
                pending.append(thread.submit(next, batches, None))
            while (batch := pending.popleft().result()) is not None:
                pending.append(thread.submit(next, batches, None))
                yield batch
        finally:
            for future in pending:
                future.cancel()


def _open(source: str, filesystem: pyarrow.fs.FileSystem | None) -> tuple[pa.NativeFile, int]:
    """The file and its length in bytes."""
    path = source
    if filesystem is None:
        if "://" in source:
            filesystem, path = pyarrow.fs.FileSystem.from_uri(source)
        else:
            filesystem = pyarrow.fs.LocalFileSystem()
    info = filesystem.get_file_info(path)
    if info.type == pyarrow.fs.FileType.NotFound:
        raise TraceError(f"{source}: there is no such file")
    if info.type == pyarrow.fs.FileType.Directory:
        raise TraceError(f"{source}: is a directory, expected a trace file")
    if info.size == 0:
        raise TraceError(f"{source}: the file is empty")
    file = filesystem.open_input_file(path)
    return file, file.size()


def _check_schema(source: str, schema: pa.Schema) -> None:
    for name, dtype in COLUMN_DTYPES.items():
        found = schema.get_all_field_indices(name)
        if len(found) != 1:
            problem = "is missing" if not found else f"occurs {len(found)} times"
            raise TraceError(f"{source}: column {name} {problem}; a trace has the columns {', '.join(COLUMN_DTYPES)}")
        expected, actual = pa.from_numpy_dtype(dtype), schema.field(found[0]).type
        if actual != expected:
            raise TraceError(f"{source}: column {name} has type {actual}, expected {expected}")


def _read_meta(source: str, footer: pq.FileMetaData) -> TraceMeta:
    text = (footer.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise TraceError(f"{source}: a Parquet file without the metadata key {METADATA_KEY.decode()}: not a trace")
    try:
        meta = TraceMeta.from_json(text)
    except TraceError as fault:
        raise TraceError(f"{source}: {fault}") from fault
    faults = metadata_faults(meta)
    if faults:
        raise TraceError(f"{source}: metadata: {faults[0]}")
    return meta


@contextmanager
def _arrow_errors(source: str) -> Iterator[None]:
    """Turns what Arrow raises about a file into a TraceError of one line that names it."""
    try:
        yield
    except (OSError, pa.ArrowException) as fault:
        reason = os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else str(fault).split("\n")[0]
        raise TraceError(f"{source}: cannot be read as a Parquet file: {reason}") from fault
