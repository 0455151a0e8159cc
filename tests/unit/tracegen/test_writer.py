"""TraceWriter: what it writes, and what it leaves behind when something goes wrong."""

import errno
from pathlib import Path

import numpy as np
import polars
import pyarrow.parquet as pq
import pytest

from discotrace.tracegen import atomic
from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.errors import OutputError, TraceError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import (
    COLUMN_DTYPES,
    Kind,
    Process,
    Rows,
    Segment,
    TraceMeta,
    concat_rows,
    rows_from_records,
    slice_rows,
)
from discotrace.tracegen.writer import TraceWriter, write_trace

START = 0x10000


def meta() -> TraceMeta:
    return TraceMeta(2, [Process(1, "cc1")], [Segment(1, START, START + (1 << 20), "anonymous")])


def rows(count: int) -> Rows:
    return rows_from_records([(0, 1, Kind.LOAD, START + 8 * i, 8, 0) for i in range(count)])


def equal(left: Rows, right: Rows) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("chunk", [1, 7, 64, 99, 1000])
def test_bytes_do_not_depend_on_how_rows_were_cut(tmp_path: Path, chunk: int) -> None:
    all_rows = rows(300)
    write_trace(tmp_path / "whole", meta(), all_rows)
    with TraceWriter(tmp_path / "cut", meta()) as writer:
        for start in range(0, 300, chunk):
            writer.write(slice_rows(all_rows, start, start + chunk))
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_row_groups_have_the_wanted_length(tmp_path: Path) -> None:
    with TraceWriter(tmp_path / "t", meta(), row_group_rows=64) as writer:
        writer.write(rows(130))
        assert writer.rows == 130
    footer = pq.read_metadata(tmp_path / "t")
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [64, 64, 2]


def test_an_empty_trace_is_a_trace(tmp_path: Path) -> None:
    write_trace(tmp_path / "t", meta(), rows(0))
    with TraceReader(tmp_path / "t") as reader:
        assert (reader.rows, list(reader.batches()), reader.meta) == (0, [], meta())


def test_caller_may_use_its_arrays_again(tmp_path: Path) -> None:
    chunk = rows(10)
    with TraceWriter(tmp_path / "t", meta()) as writer:
        writer.write(chunk)
        chunk.vaddr[:] = 0
    with TraceReader(tmp_path / "t") as reader:
        assert equal(concat_rows(list(reader.batches())), rows(10))


def test_metadata_added_while_writing_are_stored(tmp_path: Path) -> None:
    growing = meta()
    with TraceWriter(tmp_path / "t", growing) as writer:
        writer.write(rows(5))
        growing.processes.append(Process(2, "ld", parent=1))
        growing.segments.append(Segment(2, START, START + 4096, "anonymous"))
        growing.provenance["rows"] = 6
        writer.write(rows_from_records([(1, 2, Kind.STORE, START, 8, 0)]))
    with TraceReader(tmp_path / "t") as reader:
        assert reader.meta == growing


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_when_the_block_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def write_and_fail() -> None:
        with TraceWriter(tmp_path / "t", meta(), row_group_rows=8) as writer:
            writer.write(rows(20))
            raise error

    with pytest.raises(error):
        write_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_an_old_file_survives_a_failure(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("old")
    with pytest.raises(TraceError), TraceWriter(tmp_path / "t", meta()) as writer:
        writer.write(rows_from_records([(9, 1, Kind.LOAD, START, 8, 0)]))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("t", "old")]


@pytest.mark.parametrize("bad_row", [0, 63, 64, 129])
def test_a_broken_rule_is_reported_with_its_row(tmp_path: Path, bad_row: int) -> None:
    broken = rows(130)
    broken.size[bad_row] = 0
    with (
        pytest.raises(TraceError, match=f"row {bad_row} breaks rule size"),
        TraceWriter(tmp_path / "t", meta(), row_group_rows=64) as writer,
    ):
        writer.write(broken)
    assert list(tmp_path.iterdir()) == []


def test_rules_of_the_end_of_the_trace_are_checked(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="never left"):
        write_trace(tmp_path / "t", meta(), rows_from_records([(0, 1, Kind.ENTER, 0, 0, 6)]))
    assert list(tmp_path.iterdir()) == []


def test_columns_of_other_types_are_refused(tmp_path: Path) -> None:
    wrong = rows(3)._replace(size=np.ones(3, np.int64))
    with pytest.raises(TraceError, match="column size has dtype int64, expected uint32"):
        write_trace(tmp_path / "t", meta(), wrong)


def test_columns_of_unequal_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="column arg"):
        write_trace(tmp_path / "t", meta(), rows(3)._replace(arg=np.zeros(2, np.uint32)))


def test_columns_are_not_nullable_and_of_the_types_of_the_format(tmp_path: Path) -> None:
    write_trace(tmp_path / "t", meta(), rows(3))
    schema = pq.read_schema(tmp_path / "t")
    assert [(field.name, str(field.type), field.nullable) for field in schema] == [
        (name, np.dtype(dtype).name, False) for name, dtype in COLUMN_DTYPES.items()
    ]


def test_other_readers_see_the_true_addresses(tmp_path: Path) -> None:
    write_trace(tmp_path / "t", meta(), rows(300))
    frame = polars.read_parquet(tmp_path / "t")
    assert equal(Rows._make(frame[name].to_numpy() for name in COLUMN_DTYPES), rows(300))


def test_pages_are_long_enough_for_far_repetitions(tmp_path: Path) -> None:
    """A random stretch of 40,000 addresses comes twice: pages of 20,000 rows could not see it again."""
    offset = np.random.default_rng(1).integers(0, (1 << 20) - 8, 40_000, np.uint64)
    once = concat_rows([rows(1)] * 40_000)._replace(vaddr=offset + np.uint64(START))
    write_trace(tmp_path / "once", meta(), once)
    write_trace(tmp_path / "twice", meta(), concat_rows([once, once]))
    assert (tmp_path / "twice").stat().st_size < 1.1 * (tmp_path / "once").stat().st_size


def test_a_missing_directory_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no directory"):
        write_trace(tmp_path / "no" / "t", meta(), rows(1))


def test_a_directory_in_place_of_the_file_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        write_trace(tmp_path, meta(), rows(1))


def test_a_device_is_not_replaced() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        write_trace("/dev/null", meta(), rows(1))


def test_a_full_disk_is_an_output_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError) as caught, output_errors(tmp_path / "t"):
        raise OSError(errno.ENOSPC, "long\nstory")
    assert str(caught.value) == f"cannot write {tmp_path / 't'}: No space left on device"


def test_a_disk_that_fills_up_at_the_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", no_space)
    with pytest.raises(OutputError, match="No space left"):
        write_trace(tmp_path / "t", meta(), rows(1))
    assert list(tmp_path.iterdir()) == []


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_trace(tmp_path / "t", meta(), rows(1))
    assert (tmp_path / "t").stat().st_mode == (tmp_path / "plain").stat().st_mode
