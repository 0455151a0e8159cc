"""Compares Parquet encodings of a trace: bytes per original reference, speed of writing, speed of reading.

    python benchmarks/encodings.py TRACE [--rows 20000000] [--repeat 3]

Prints a Markdown table. An original reference is an instruction or a LOAD or STORE row. Reading is measured by Arrow
alone into NumPy arrays and through TraceReader (thread ahead, batches of exact length). Seconds of CPU time, over all
threads, hardly depend on what else the machine does. The best of the repeats counts. The layout "delta" stores instead
of each address the difference to the address of the last record of its kind; reading includes the sums that undo this.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit

from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import COLUMN_DTYPES, METADATA_KEY, Kind, Rows, concat_rows, slice_rows
from discotrace.tracegen.writer import ARROW_SCHEMA, COMPRESSION_LEVEL, PARQUET_OPTIONS

BASE_OPTIONS = PARQUET_OPTIONS | {"compression_level": COMPRESSION_LEVEL}

BATCH_ROWS = 1 << 18
RUNS = ["vcpu", "asid", "kind"]  # columns of long runs or very few values
FEW_VALUES = [*RUNS, "size", "arg"]
SPLIT = {"vaddr": "BYTE_STREAM_SPLIT"}
SPLIT_ALL = {"vaddr": "BYTE_STREAM_SPLIT", "size": "BYTE_STREAM_SPLIT", "arg": "BYTE_STREAM_SPLIT"}
PACKED = {"vaddr": "DELTA_BINARY_PACKED"}


@dataclass(frozen=True)
class Encoding:
    """Options of ``pq.ParquetWriter`` under a name; ``delta``: addresses as differences."""

    name: str
    options: dict[str, object] = field(default_factory=dict)
    row_group_rows: int = 1 << 20
    delta: bool = False


def zstd(level: int, **options: object) -> dict[str, object]:
    """Options for zstd and plain columns; one page per column and row group, unless told otherwise."""
    pages = {"data_page_size": 8 << 20, "max_rows_per_page": 1 << 20}
    return {"compression": "zstd", "compression_level": level, "use_dictionary": False} | pages | options


def encodings() -> list[Encoding]:
    """What is compared, from the plainest on: pages, levels, encodings of columns, row groups, layout."""
    small_pages = {"data_page_size": 1 << 20, "max_rows_per_page": 20_000}  # what Arrow does by default
    runs = "dictionary for vcpu, asid, kind"
    return [
        Encoding("Arrow's defaults (dictionary, snappy, small pages)"),
        Encoding("plain, lz4, small pages", zstd(0, **small_pages) | {"compression": "lz4", "compression_level": None}),
        *(Encoding(f"plain, zstd {level}, small pages", zstd(level, **small_pages)) for level in (3, 9)),
        *(Encoding(f"plain, zstd {level}", zstd(level)) for level in (1, 3, 6, 9, 12)),
        *(Encoding(f"{runs}, zstd {level}", zstd(level, use_dictionary=RUNS)) for level in (3, 6, 9)),
        Encoding("the same, row groups of 262,144", BASE_OPTIONS, 1 << 18),
        Encoding(
            "the same, row groups and pages of 4,194,304",
            BASE_OPTIONS | {"data_page_size": 32 << 20, "max_rows_per_page": 1 << 22},
            1 << 22,
        ),
        Encoding("dictionary for all but vaddr, zstd 9", zstd(9, use_dictionary=FEW_VALUES)),
        Encoding("dictionary for all, zstd 9", zstd(9, use_dictionary=True)),
        Encoding(f"{runs}, byte-stream-split vaddr, zstd 9", zstd(9, use_dictionary=RUNS, column_encoding=SPLIT)),
        *(
            Encoding(
                f"{runs}, byte-stream-split others, zstd {level}",
                zstd(level, use_dictionary=RUNS, column_encoding=SPLIT_ALL),
            )
            for level in (3, 6, 9)
        ),
        Encoding(f"{runs}, DELTA_BINARY_PACKED vaddr, zstd 9", zstd(9, use_dictionary=RUNS, column_encoding=PACKED)),
        *(Encoding(f"{runs}, delta, zstd {level}", zstd(level, use_dictionary=RUNS), delta=True) for level in (3, 9)),
    ]


@njit(cache=True)
def differences(
    kind: npt.NDArray[np.uint8], vaddr: npt.NDArray[np.uint64], last: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """Each address minus that of the last record of its kind, modulo 2^64; ``last`` (256,) is updated."""
    out = np.empty_like(vaddr)
    for i in range(len(kind)):
        out[i] = vaddr[i] - last[kind[i]]
        last[kind[i]] = vaddr[i]
    return out


@njit(cache=True)
def sums(
    kind: npt.NDArray[np.uint8], delta: npt.NDArray[np.uint64], last: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    """The inverse of ``differences``."""
    out = np.empty_like(delta)
    for i in range(len(kind)):
        last[kind[i]] += delta[i]
        out[i] = last[kind[i]]
    return out


def converted(batches: Iterator[Rows], convert: Callable[..., npt.NDArray[np.uint64]]) -> Iterator[Rows]:
    """The batches with their addresses replaced by ``convert``."""
    last = np.zeros(256, np.uint64)
    for rows in batches:
        yield rows._replace(vaddr=convert(rows.kind, rows.vaddr, last))


def write(path: Path, rows: Rows, encoding: Encoding, metadata: bytes) -> None:
    step = encoding.row_group_rows
    groups: Iterator[Rows] = (slice_rows(rows, start, start + step) for start in range(0, len(rows.kind), step))
    if encoding.delta:
        groups = converted(groups, differences)
    with pq.ParquetWriter(path, ARROW_SCHEMA, **encoding.options) as writer:
        for group in groups:
            writer.write_table(
                pa.Table.from_arrays([pa.array(c) for c in group], schema=ARROW_SCHEMA), row_group_size=step
            )
        writer.add_key_value_metadata({METADATA_KEY: metadata})


def read_with_arrow(path: Path) -> Iterator[Rows]:
    for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=list(COLUMN_DTYPES)):
        yield Rows._make(column.to_numpy(zero_copy_only=False) for column in batch.columns)


def read_with_reader(path: Path) -> Iterator[Rows]:
    with TraceReader(path) as reader:
        yield from reader.batches(BATCH_ROWS)


def seconds(work: Callable[[], object], clock: Callable[[], float], repeat: int) -> float:
    """The best time of several."""
    times = []
    for _ in range(repeat):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def consume(batches: Iterator[Rows], encoding: Encoding) -> None:
    for _ in converted(batches, sums) if encoding.delta else batches:
        pass


def measure(encoding: Encoding, rows: Rows, metadata: bytes, repeat: int, directory: Path) -> str:
    """One row of the table."""
    path = directory / "trace.parquet"
    count = len(rows.kind)
    references = int(rows.arg[rows.kind == Kind.FETCH].sum(dtype=np.int64))
    references += int(((rows.kind == Kind.LOAD) | (rows.kind == Kind.STORE)).sum())
    writing = seconds(lambda: write(path, rows, encoding, metadata), time.process_time, 1)
    check(path, rows, encoding)
    cpu = seconds(lambda: consume(read_with_arrow(path), encoding), time.process_time, repeat)
    arrow = seconds(lambda: consume(read_with_arrow(path), encoding), time.perf_counter, repeat)
    reader = seconds(lambda: consume(read_with_reader(path), encoding), time.perf_counter, repeat)
    size = path.stat().st_size / references
    speeds = " | ".join(f"{count / time_ / 1e6:.0f}" for time_ in (writing, cpu, arrow, reader))
    return f"| {encoding.name} | {size:.3f} | {speeds} |"


def check(path: Path, rows: Rows, encoding: Encoding) -> None:
    """What was written must be read."""
    batches = read_with_reader(path)
    found = concat_rows(list(converted(batches, sums) if encoding.delta else batches))
    assert all(np.array_equal(a, b) for a, b in zip(found, rows, strict=True)), encoding.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace")
    parser.add_argument("--rows", type=int, default=20_000_000, help="rows taken from the beginning of the trace")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    parts = []
    with TraceReader(arguments.trace) as reader:
        metadata = reader.meta.to_json().encode()
        for batch in reader.batches():
            parts.append(batch)
            if len(parts) * len(parts[0].kind) >= arguments.rows:
                break
    rows = slice_rows(concat_rows(parts), 0, arguments.rows)
    print(f"{len(rows.kind):,} rows; {platform.machine()}, {os.cpu_count()} CPUs, Arrow {pa.__version__}\n")
    head = ("encoding", "bytes per original reference", "write", "read, Arrow", "wall, Arrow", "wall, TraceReader")
    print("M rows per second of CPU time or of wall time:\n")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    with tempfile.TemporaryDirectory() as directory:
        for encoding in encodings():
            print(measure(encoding, rows, metadata, arguments.repeat, Path(directory)), flush=True)


if __name__ == "__main__":
    main()
