"""`info`: its text and its JSON."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from discotrace.cli.info import info
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import File, Kind, Process, Segment, Service, TraceMeta, rows_from_records
from discotrace.tracegen.writer import write_trace

KEYS = {
    "sharing",
    "schema",
    "trace",
    "format_version",
    "file_bytes",
    "row_groups",
    "records",
    "records_by_kind",
    "instructions",
    "user_instructions",
    "idle_instructions",
    "original_references",
    "file_bytes_per_original_reference",
    "cpus",
    "instructions_by_cpu",
    "processes",
    "footprint",
    "services",
    "files",
    "working_set",
    "provenance",
}


@pytest.fixture
def trace(tmp_path: Path) -> str:
    meta = TraceMeta(
        cpus=2,
        processes=[Process(asid, f"[job {asid}]") for asid in range(1, 13)],
        segments=[Segment(asid, 0, 1 << 20, "anonymous") for asid in range(1, 13)],
        files=[File(1, "/tmp/a.c", 4096)],
        provenance={"command": "generate", "seed": 7},
    )
    rows = [(0, asid, Kind.SWITCH, 0, 0, asid - 1) for asid in range(1, 13)]
    records = []
    for asid, switch in enumerate(rows, start=1):
        records += [switch, (0, asid, Kind.FETCH, 4096 * asid, 64, 16 * asid), (0, asid, Kind.LOAD, 0, 8, 0)]
    records += [(0, 12, Kind.ENTER, 0, 0, Service.READ), (0, 12, Kind.EXIT, 0, 0, Service.READ)]
    write_trace(tmp_path / "t.parquet", meta, rows_from_records(records))
    return str(tmp_path / "t.parquet")


def test_text_tells_the_main_numbers(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    info(trace)
    captured = capsys.readouterr()
    for part in ("records", "38", "original references", "1,260", "seed", "READ", "user anonymous", "Working set"):
        assert part in captured.out
    assert captured.err == ""


def test_only_the_largest_processes_are_listed(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    info(trace)
    text = capsys.readouterr().out
    assert "[job 12]" in text
    assert "[job 3]" in text
    assert "[job 2]" not in text


def test_text_has_no_colours_outside_a_terminal(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    info(trace)
    assert "\x1b" not in capsys.readouterr().out


def test_json_has_stable_keys(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    info(trace, json_output=True)
    tree = json.loads(capsys.readouterr().out)
    assert set(tree) == KEYS
    assert tree["schema"] == 1
    assert set(tree["processes"][0]) == {"asid", "name", "parent", "instance", "instructions"}
    assert set(tree["working_set"]) == {"slice_records", "user_code_kib", "user_data_kib", "kernel_kib"}
    assert tree["footprint"] == [{"sort": "user_anonymous", "virtual_kib": 96, "distinct_kib": 96}]
    assert tree["services"] == [{"service": "read", "entries": 1, "instructions": 0}]


def test_json_numbers_fit_together(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    info(trace, json_output=True)
    tree = json.loads(capsys.readouterr().out)
    assert tree["instructions"] == sum(tree["instructions_by_cpu"]) == 16 * 78
    assert tree["instructions"] == sum(process["instructions"] for process in tree["processes"])
    assert tree["records"] == sum(tree["records_by_kind"].values())
    assert tree["file_bytes"] == Path(trace).stat().st_size
    assert tree["file_bytes_per_original_reference"] == tree["file_bytes"] / tree["original_references"]


def test_an_empty_trace_has_no_bytes_per_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trace(tmp_path / "t", TraceMeta(1), rows_from_records([]))
    info(str(tmp_path / "t"), json_output=True)
    assert json.loads(capsys.readouterr().out)["file_bytes_per_original_reference"] is None
    info(str(tmp_path / "t"))
    assert "records" in capsys.readouterr().out


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError):
        info(str(tmp_path / "none"))


def test_the_verbs_are_quick_to_import() -> None:
    script = "import sys, discotrace.cli.info, discotrace.cli.validate; print({'numpy', 'pyarrow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
