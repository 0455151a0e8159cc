"""`validate`: what it prints and when it fails."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from discotrace.cli.validate import validate
from discotrace.tracegen.errors import CheckFailedError, TraceError
from discotrace.tracegen.schema import METADATA_KEY, Kind, Process, Segment, TraceMeta, rows_from_records

META = TraceMeta(1, [Process(1, "cc1")], [Segment(1, 0, 1 << 20, "anonymous")])


def trace(tmp_path: Path, sizes: list[int]) -> str:
    """A file of LOAD records in row groups of 10, written without TraceWriter, which would refuse broken ones."""
    rows = rows_from_records([(0, 1, Kind.LOAD, 64 * place, size, 0) for place, size in enumerate(sizes)])
    table = pa.table(rows._asdict(), metadata={METADATA_KEY: META.to_json()})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=10)
    return str(tmp_path / "t.parquet")


def test_a_sound_trace_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = trace(tmp_path, [8] * 1500)
    validate(path)
    captured = capsys.readouterr()
    assert captured.out == f"OK: {path}: 1,500 rows keep every rule\n"
    assert captured.err == ""


def test_an_empty_trace_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate(trace(tmp_path, []))
    assert "0 rows" in capsys.readouterr().out


def test_a_broken_rule_is_shown_with_place_and_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = trace(tmp_path, [8] * 25 + [0] + [8] * 5)
    with pytest.raises(CheckFailedError, match="1 rule is broken") as caught:
        validate(path)
    assert caught.value.exit_code == 1
    assert capsys.readouterr().out == (
        "rule size: row group 2, row 5: a reference touches at least 1 byte\n"
        "    vcpu=0 asid=1 kind=LOAD vaddr=0x640 size=0 arg=0\n"
    )


def test_every_broken_rule_is_shown_in_the_order_of_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckFailedError, match="2 rules are broken"):
        validate(trace(tmp_path, [8, 1 << 21, 0]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[::2]] == ["rule segment", "rule size"]


def test_json_tells_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = trace(tmp_path, [8] * 12 + [0])
    with pytest.raises(CheckFailedError):
        validate(path, json_output=True)
    assert json.loads(capsys.readouterr().out) == {
        "schema": 1,
        "trace": path,
        "rows": 13,
        "valid": False,
        "violations": [
            {
                "rule": "size",
                "row": 12,
                "row_group": 1,
                "row_in_group": 2,
                "message": "a reference touches at least 1 byte",
                "record": {"vcpu": 0, "asid": 1, "kind": "LOAD", "vaddr": "0x300", "size": 0, "arg": 0},
            }
        ],
    }


def test_json_of_a_sound_trace_has_no_violations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate(trace(tmp_path, [8]), json_output=True)
    tree = json.loads(capsys.readouterr().out)
    assert (tree["valid"], tree["violations"]) == (True, [])


def test_a_file_that_cannot_be_read_gives_exit_code_2(tmp_path: Path) -> None:
    with pytest.raises(TraceError) as caught:
        validate(str(tmp_path / "none"))
    assert caught.value.exit_code == 2
