"""Whatever is wrong with the input: one line on standard error, exit code 2, nothing written, no traceback."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from discotrace.tracegen.schema import METADATA_KEY, Kind, Privileged, rows_from_records
from tests.cli.running import (
    META,
    USER,
    Ended,
    Record,
    assert_refused,
    good_records,
    raw_table,
    raw_trace,
    run,
    sample_trace,
)

NOTHING_THERE = "counts.parquet"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample_trace(tmp_path_factory.mktemp("traces") / "sample.parquet", steps=30)


@pytest.fixture(scope="module")
def counts(sample: str) -> str:
    path = str(Path(sample).with_name("counts.parquet"))
    assert run("replay", sample, "-o", path).code == 0
    return path


# Files that are no traces: every verb that reads traces refuses them


def missing(path: Path) -> None:
    """Makes nothing."""


def directory(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def not_parquet(path: Path) -> None:
    path.write_text("I  04001000,3\n" * 100)


def truncated(path: Path) -> None:
    raw_trace(path, good_records(1000))
    path.write_bytes(path.read_bytes()[:-100])


def damaged_in_the_middle(path: Path) -> None:
    sample_trace(path)
    data = bytearray(path.read_bytes())
    data[20:220] = bytes(200)
    path.write_bytes(data)


def table_with(**columns: pa.Array) -> pa.Table:
    return pa.table(rows_from_records(good_records(20))._asdict() | columns)


def wrong_type(path: Path) -> None:
    raw_table(path, table_with(vaddr=pa.array(np.arange(20), pa.float64())), META.to_json().encode())


def missing_column(path: Path) -> None:
    raw_table(path, table_with().drop_columns(["size"]), META.to_json().encode())


def nulls(path: Path) -> None:
    kinds = [0] * 12 + [None] + [0] * 7
    raw_table(path, table_with(kind=pa.array(kinds, pa.uint8())), META.to_json().encode())


def no_metadata(path: Path) -> None:
    pq.write_table(table_with(), path)


def metadata_not_json(path: Path) -> None:
    raw_trace(path, good_records(5), b"{cpus: 2")


def metadata_not_an_object(path: Path) -> None:
    raw_trace(path, good_records(5), b"[1, 2]")


def metadata_of_the_future(path: Path) -> None:
    raw_trace(path, good_records(5), json.dumps(json.loads(META.to_json()) | {"format_version": 2}).encode())


def segments_overlap(path: Path) -> None:
    tree = json.loads(META.to_json())
    raw_trace(path, good_records(5), json.dumps(tree | {"segments": tree["segments"][:1] * 2}).encode())


NO_TRACES: list[tuple[Callable[[Path], None], str]] = [
    (missing, "no such file"),
    (directory, "is a directory"),
    (empty, "empty"),
    (not_parquet, "cannot be read as a Parquet file"),
    (truncated, "cannot be read as a Parquet file"),
    (damaged_in_the_middle, "cannot be read as a Parquet file"),
    (wrong_type, "column vaddr has type double, expected uint64"),
    (missing_column, "column size is missing"),
    (nulls, "row group 1, row 2: column kind is null"),
    (no_metadata, "without the metadata key discotrace"),
    (metadata_not_json, "metadata is not that of a discotrace trace"),
    (metadata_not_an_object, "metadata is not that of a discotrace trace"),
    (metadata_of_the_future, "upgrade discotrace"),
    (segments_overlap, "overlap"),
]


READERS = [("replay",), ("curve", "--what", "pages"), ("memory",), ("explain", "hot"), ("info",), ("validate",)]


@pytest.mark.parametrize("verb", READERS, ids=lambda verb: verb[0])
@pytest.mark.parametrize(("make", "message"), NO_TRACES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_is_no_trace_is_refused(
    verb: tuple[str, ...], make: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "no trace.parquet"
    make(path)
    there = sorted(tmp_path.iterdir())
    assert_refused(run(*verb, str(path)), str(path), message)
    assert sorted(tmp_path.iterdir()) == there


def test_an_address_of_an_unknown_file_system_is_refused() -> None:
    assert_refused(run("replay", "floppy://a/t.parquet"), "floppy://a/t.parquet")


# Rows that break the format: the message says where in the file they are

BAD_ROWS: dict[str, tuple[Record, str]] = {
    "unknown kind": ((0, 1, 99, USER, 8, 0), "kind 99 is unknown"),
    "CPU out of range": ((2, 1, Kind.LOAD, USER, 8, 0), "vcpu 2 is out of range: the metadata declares 2 CPUs"),
    "undeclared process": ((0, 77, Kind.LOAD, USER, 8, 0), "process 77 is not declared"),
    "size 0": ((0, 1, Kind.LOAD, USER, 0, 0), "size 0"),
    "outside every segment": ((0, 1, Kind.LOAD, 0x10, 8, 0), "0x10 of process 1 lies in no segment"),
    "kernel outside every segment": ((0, 1, Kind.LOAD, 1 << 63, 8, 0), "0x8000000000000000 of the kernel lies in no"),
    "runs out of its segment": ((0, 1, Kind.LOAD, USER + (1 << 20) - 4, 8, 0), "0x500000 of process 1 lies in no"),
    "cleared page in no segment": ((0, 1, Kind.ZERO_PAGE, 0x1000, 4096, 0), "0x1000 of process 1 lies in no segment"),
    "wired page in no segment": (
        (0, 1, Kind.PRIVILEGED, 0x1000, 1, Privileged.WIRED),
        "0x1000 of process 1 lies in no segment",
    ),
    "unknown service": ((0, 1, Kind.ENTER, 0, 0, 20), "service 20 is unknown"),
    "service of the replay itself": ((0, 1, Kind.ENTER, 0, 0, 4), "service 4 is unknown"),
    "exit without entry": ((0, 1, Kind.EXIT, 0, 0, 5), "service 5 does not nest"),
    "unknown privileged class": ((0, 1, Kind.PRIVILEGED, 0, 1, 9), "privileged class 9 is unknown"),
    "MAP of no segment": ((0, 1, Kind.MAP, USER, 0, 40), "segment 40 is not in the metadata, which has 5"),
    "UNMAP of a segment that does not hold": ((0, 1, Kind.UNMAP, 2 * USER, 0, 4), "segment 4, which does not hold"),
}


@pytest.fixture(params=BAD_ROWS.values(), ids=BAD_ROWS.keys())
def bad_row(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """A trace whose row 3 of row group 1 is bad, and what is to be said of it."""
    record, message = request.param
    records = good_records(30)
    records[13] = record
    return raw_trace(tmp_path / "t.parquet", records), message


def test_replay_says_which_row_is_bad(bad_row: tuple[str, str], tmp_path: Path) -> None:
    path, message = bad_row
    target = tmp_path / NOTHING_THERE
    assert_refused(run("replay", path, "-o", str(target)), path, "row group 1, row 3", message)
    assert not target.exists()


def test_curve_says_the_same(bad_row: tuple[str, str], tmp_path: Path) -> None:
    path, message = bad_row
    ended = run("curve", path, "--what", "l1", "-o", str(tmp_path / "curve.csv"))
    assert_refused(ended, path, "row group 1, row 3", message)
    assert not (tmp_path / "curve.csv").exists()


def test_validate_finds_the_same_row(bad_row: tuple[str, str]) -> None:
    path, _ = bad_row
    ended = run("validate", path)
    assert ended.code == 1
    assert "row group 1, row 3" in ended.out
    assert ended.err.count("\n") == 1


def test_info_survives_bad_rows(bad_row: tuple[str, str]) -> None:
    path, _ = bad_row
    ended = run("info", path)
    if ended.code != 0:
        assert_refused(ended, path)


@pytest.mark.parametrize("batch_before", [0, 300_000])
def test_a_bad_row_is_found_in_later_batches_too(batch_before: int, tmp_path: Path) -> None:
    records = [*good_records(8)]
    rows = rows_from_records(records)
    columns = {name: np.resize(column, batch_before + 8) for name, column in rows._asdict().items()}
    columns["kind"][-1] = 50
    pq.write_table(pa.table(columns, metadata={METADATA_KEY: META.to_json()}), tmp_path / "t.parquet")
    ended = run("replay", str(tmp_path / "t.parquet"))
    assert_refused(ended, f"row group 0, row {batch_before + 7}:", "kind 50 is unknown")


# Outputs


def test_an_output_without_a_directory_is_refused(sample: str, tmp_path: Path) -> None:
    assert_refused(run("replay", sample, "-o", str(tmp_path / "no" / "c.parquet")), "there is no directory", "make it")


def test_an_output_that_exists_is_kept_without_force(sample: str, tmp_path: Path) -> None:
    target = tmp_path / "c.parquet"
    target.write_text("precious")
    assert_refused(run("replay", sample, "-o", str(target)), str(target), "--force")
    assert target.read_text() == "precious"
    assert run("replay", sample, "-o", str(target), "--force").code == 0
    assert target.read_bytes()[:4] == b"PAR1"


@pytest.mark.parametrize("output", ["", "."])
def test_an_output_that_is_a_directory_is_refused(output: str, sample: str) -> None:
    assert_refused(run("replay", sample, "--force", "-o", output), "is a directory, name a file")


def test_the_trace_is_never_overwritten(sample: str) -> None:
    before = Path(sample).read_bytes()
    assert_refused(run("replay", sample, "--force", "-o", sample), "is the trace itself")
    assert Path(sample).read_bytes() == before


def in_a_process(*arguments: str, limit_bytes: int | None = None) -> Ended:
    """Runs ``python -m discotrace`` with a limit to the length of the files that it writes."""

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    result = subprocess.run(
        [sys.executable, "-m", "discotrace", *arguments],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    return Ended(result.returncode, result.stdout, result.stderr)


def test_a_disk_that_is_full_leaves_nothing(sample: str, tmp_path: Path) -> None:
    """A limit to the length of files stands for the full disk: both fail in the middle of a write."""
    assert in_a_process("replay", sample, "--json").code == 0  # leaves the compiled kernels, which are longer
    target = tmp_path / "c.parquet"
    ended = in_a_process("replay", sample, "-o", str(target), limit_bytes=1000)
    assert_refused(ended, f"cannot write {target}", "File too large")
    assert list(tmp_path.iterdir()) == []


# The verb price


@pytest.mark.parametrize("make", [missing, directory, empty, not_parquet, no_metadata, sample_trace])
def test_price_refuses_what_no_replay_wrote(make: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    make(path)
    assert_refused(run("price", str(path)), str(path))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"{", "its metadata are not those of a counts file"),
        (b"[]", "its metadata are not those of a counts file"),
        (b"{}", "its metadata are not those of a counts file"),
        (b'{"format_version": 2}', "counts of format version 2, of an earlier discotrace: replay again"),
        (b'{"format_version": 3}', "its metadata have no discotrace"),
        (b'{"format_version": null}', "its metadata are not those of a counts file"),
        (b'{"format_version": 99}', "counts of format version 99: upgrade discotrace"),
    ],
)
def test_price_refuses_counts_with_other_metadata(metadata: bytes, message: str, counts: str, tmp_path: Path) -> None:
    table = pq.read_table(counts).replace_schema_metadata({b"discotrace_counts": metadata})
    pq.write_table(table, tmp_path / "c.parquet")
    assert_refused(run("price", str(tmp_path / "c.parquet")), str(tmp_path / "c.parquet"), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tlb.entries=128", "tlb.entries is structural: it needs another replay"),
        ("memory.page_kib=16", "memory.page_kib is structural"),
        ("l2.inclusive=false", "l2.inclusive is structural"),
        ("memory.remote_ms=3", "unknown key memory.remote_ms; did you mean remote_ns?"),
        ("memory.remote_ns=-3", "memory.remote_ns is -3"),
        ("memory.remote_ns=nan", "memory.remote_ns is nan"),
    ],
)
def test_price_refuses_what_is_no_price(change: str, message: str, counts: str) -> None:
    assert_refused(run("price", counts, "--set", change), message)


def test_price_refuses_a_bad_file_of_prices(counts: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    assert_refused(run("price", counts, "-p", str(path)), str(path))
    path.write_text("[memory]\nremote_ns = \n")
    assert_refused(run("price", counts, "-p", str(path)), str(path), "not valid TOML")


# Ctrl-C, and readers that leave


@pytest.fixture(scope="module")
def long_trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small file whose replay takes several seconds: the same load of 64 lines over and over."""
    path = tmp_path_factory.mktemp("traces") / "long.parquet"
    rows = rows_from_records([(0, 1, Kind.LOAD, USER, 2048, 0)])
    table = pa.table({name: np.repeat(column, 1 << 22) for name, column in rows._asdict().items()})
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: META.to_json()}), path)
    return str(path)


def test_ctrl_c_ends_a_replay_with_one_line_and_nothing_written(long_trace: str, tmp_path: Path) -> None:
    """Standard error is a terminal here, so that the progress bar tells when the replay has begun."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "discotrace", "replay", long_trace, "-o", str(tmp_path / NOTHING_THERE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while b"replaying" not in shown:
        shown += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    shown = read_rest(ours)
    assert process.returncode == 130
    assert out == b""
    assert shown.rstrip().endswith(b"discotrace: interrupted")
    assert b"Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def read_rest(descriptor: int) -> bytes:
    """What a terminal still holds after the other side has closed it."""
    parts = []
    try:
        while part := os.read(descriptor, 4096):
            parts.append(part)
    except OSError:  # how Linux says that there is nobody on the other side
        pass
    finally:
        os.close(descriptor)
    return b"".join(parts)


def test_a_reader_that_leaves_is_no_error(sample: str) -> None:
    command = [sys.executable, "-m", "discotrace", "info", sample, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0
