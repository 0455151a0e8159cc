"""The references of a captured process in order, a stretch at a time, from the files of its images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from discotrace.tracegen.lackey import FETCH
from discotrace.tracegen.raw_format import raw_errors
from discotrace.tracegen.schema import Rows, slice_rows

BATCH_ROWS = 1 << 16


class ReferenceStream:
    """Memory is a batch of rows, however long the process is."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """``paths``: Parquet files of a raw capture."""
        self._batches = _batches(paths)
        self._taken = 0  # rows of the batch
        self._instructions = 0  # of all batches before
        self._last_start = 0  # where the last run of all batches before begins
        self._rows = _no_rows()
        self._starts: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def take(self, stop: int) -> list[Rows]:
        """The next references: runs that begin before instruction ``stop`` of the process, with their data.

        ``vcpu`` and ``asid`` are 0.
        """
        parts = []
        while True:
            end = int(np.searchsorted(self._starts, stop))
            if end > self._taken:
                parts.append(slice_rows(self._rows, self._taken, end))
                self._taken = end
            if end < len(self._starts) or not self._load_next():
                return parts

    def _load_next(self) -> bool:
        batch = next(self._batches, None)
        if batch is not None:
            self._instructions += int(self._rows.arg.sum(dtype=np.int64))
            if len(self._starts):
                self._last_start = int(self._starts[-1])
            self._load(batch)
        return batch is not None

    def _load(self, rows: Rows) -> None:
        self._rows = rows
        self._taken = 0
        is_run = rows.kind == FETCH
        instructions = np.where(is_run, rows.arg, 0).astype(np.int64)
        starts = self._instructions + np.cumsum(instructions) - instructions
        # Data rows go with the run before them, which may be in the batch before.
        self._starts = np.maximum.accumulate(np.where(is_run, starts, self._last_start))


def _batches(paths: Sequence[Path]) -> Iterator[Rows]:
    for path in paths:
        with raw_errors(path):
            for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=["kind", "vaddr", "size", "arg"]):
                kind, vaddr, size, arg = (column.to_numpy() for column in batch.columns)
                count = len(kind)
                yield Rows(np.zeros(count, np.uint16), np.zeros(count, np.uint32), kind, vaddr, size, arg)


def _no_rows() -> Rows:
    empty = np.empty(0, np.uint32)
    return Rows(empty.astype(np.uint16), empty, empty.astype(np.uint8), empty.astype(np.uint64), empty, empty)
