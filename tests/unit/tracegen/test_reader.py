"""TraceReader: batches of any length, and one clear sentence for each way in which a file can be no trace."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import (
    COLUMN_DTYPES,
    METADATA_KEY,
    Kind,
    Process,
    Rows,
    Segment,
    TraceMeta,
    concat_rows,
    rows_from_records,
    slice_rows,
)
from discotrace.tracegen.writer import TraceWriter

START = 0x10000
META = TraceMeta(1, [Process(1, "cc1")], [Segment(1, START, START + (1 << 20), "anonymous")])
ROWS = rows_from_records([(0, 1, Kind.LOAD, START + 8 * i, 8, 0) for i in range(1000)])


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    with TraceWriter(tmp_path / "t.parquet", META, row_group_rows=64) as writer:
        writer.write(ROWS)
    return tmp_path / "t.parquet"


def table() -> pa.Table:
    return pa.table(ROWS._asdict(), metadata={METADATA_KEY: META.to_json()})


def decode_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("trace-decode")]


def equal(left: Rows, right: Rows) -> bool:
    return all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("batch_rows", [1, 7, 63, 64, 65, 500, 999, 1000, 1001, 1 << 20])
def test_batches_have_exactly_the_wanted_length(trace: Path, batch_rows: int) -> None:
    with TraceReader(trace) as reader:
        batches = list(reader.batches(batch_rows))
    assert len(batches) == -(-1000 // batch_rows)
    for number, batch in enumerate(batches):
        assert equal(batch, slice_rows(ROWS, number * batch_rows, (number + 1) * batch_rows))


def test_the_file_describes_itself(trace: Path) -> None:
    with TraceReader(trace) as reader:
        assert (reader.rows, reader.row_groups, reader.meta) == (1000, 16, META)
        assert reader.file_bytes == trace.stat().st_size


def test_rows_are_located_by_row_group(trace: Path) -> None:
    with TraceReader(trace) as reader:
        assert [reader.locate(row) for row in (0, 63, 64, 999)] == [
            "row group 0, row 0",
            "row group 0, row 63",
            "row group 1, row 0",
            "row group 15, row 39",
        ]
        with pytest.raises(IndexError):
            reader.locate(1000)


def test_one_record_can_be_looked_up(trace: Path) -> None:
    with TraceReader(trace) as reader:
        assert reader.record(130) == (0, 1, Kind.LOAD, START + 8 * 130, 8, 0)


def test_batches_can_be_read_again(trace: Path) -> None:
    with TraceReader(trace) as reader:
        assert equal(concat_rows(list(reader.batches(100))), concat_rows(list(reader.batches(77))))


def test_batches_stay_valid_after_the_file_is_closed(trace: Path) -> None:
    with TraceReader(trace) as reader:
        batch = next(reader.batches(100))
    assert equal(batch, slice_rows(ROWS, 0, 100))


def test_the_decode_thread_ends_with_a_consumer_that_stops_early(trace: Path) -> None:
    with TraceReader(trace) as reader:
        batches = reader.batches(10)
        next(batches)
        assert decode_threads()
        del batches
        assert not decode_threads()


def test_the_decode_thread_ends_with_a_consumer_that_fails(trace: Path) -> None:
    def consume(batches: Iterator[Rows]) -> None:
        for _ in batches:
            raise ZeroDivisionError

    with TraceReader(trace) as reader, pytest.raises(ZeroDivisionError):
        consume(reader.batches(10))
    assert not decode_threads()


def test_file_urls_are_opened(trace: Path) -> None:
    with TraceReader(f"file://{trace}") as reader:
        assert reader.rows == 1000


def test_other_file_systems_are_opened(trace: Path) -> None:
    below = pyarrow.fs.SubTreeFileSystem(str(trace.parent), pyarrow.fs.LocalFileSystem())
    with TraceReader("t.parquet", filesystem=below) as reader:
        assert equal(concat_rows(list(reader.batches())), ROWS)


def test_order_of_columns_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    mixed = table().select(list(COLUMN_DTYPES)[::-1]).append_column("note", pa.array(["x"] * 1000))
    pq.write_table(mixed, tmp_path / "t")
    with TraceReader(tmp_path / "t") as reader:
        assert equal(concat_rows(list(reader.batches(300))), ROWS)


def retyped(name: str, dtype: pa.DataType) -> pa.Table:
    return table().set_column(table().column_names.index(name), name, table().column(name).cast(dtype))


def remade(change: Callable[[TraceMeta], None]) -> pa.Table:
    meta = TraceMeta.from_json(META.to_json())
    change(meta)
    return table().replace_schema_metadata({METADATA_KEY: meta.to_json()})


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (table().drop_columns(["vaddr"]), "column vaddr is missing"),
        (retyped("size", pa.int64()), "column size has type int64, expected uint32"),
        (retyped("asid", pa.string()), "column asid has type string, expected uint32"),
        (table().replace_schema_metadata({}), "without the metadata key discotrace"),
        (table().replace_schema_metadata({METADATA_KEY: "{"}), "metadata is not that of a discotrace trace"),
        (remade(lambda meta: setattr(meta, "format_version", 2)), "upgrade discotrace"),
        (remade(lambda meta: meta.processes.append(Process(1, "twin"))), "asid 1 is declared twice"),
    ],
)
def test_a_parquet_file_that_is_no_trace_is_refused(tmp_path: Path, broken: pa.Table, message: str) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(broken, path)
    with pytest.raises(TraceError, match=message) as caught:
        TraceReader(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_nulls_are_refused_with_their_row(tmp_path: Path) -> None:
    sizes = pa.array([None if row == 700 else 8 for row in range(1000)], pa.uint32())
    pq.write_table(table().set_column(4, "size", sizes), tmp_path / "t", row_group_size=300)
    with TraceReader(tmp_path / "t") as reader, pytest.raises(TraceError, match="row group 2, row 100: column size"):
        list(reader.batches(128))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such file"):
        TraceReader(tmp_path / "t")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is a directory"):
        TraceReader(tmp_path)


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(TraceError, match="nowhere://t"):
        TraceReader("nowhere://t")


@pytest.mark.parametrize(("content", "message"), [(b"", "empty"), (b"text\n" * 99, "cannot be read as a Parquet file")])
def test_a_file_that_is_not_parquet_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(TraceError, match=message):
        TraceReader(tmp_path / "t")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(trace: Path, kept: float) -> None:
    content = trace.read_bytes()
    trace.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(TraceError, match="cannot be read as a Parquet file"):
        TraceReader(trace)


def test_a_damaged_page_is_an_error_while_reading(trace: Path) -> None:
    content = bytearray(trace.read_bytes())
    column = pq.read_metadata(trace).row_group(9).column(3)
    content[column.data_page_offset : column.data_page_offset + column.total_compressed_size] = bytes(
        column.total_compressed_size
    )
    trace.write_bytes(content)
    with TraceReader(trace) as reader, pytest.raises(TraceError, match=str(trace)):
        list(reader.batches(100))
    assert not decode_threads()
