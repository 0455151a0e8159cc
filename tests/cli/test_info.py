"""`info`: its text and its JSON."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from discotrace.cli.info import info
from discotrace.tracegen.errors import ConfigError, OutputError, TraceError
from discotrace.tracegen.schema import File, Kind, Process, Segment, Service, TraceMeta, rows_from_records
from discotrace.tracegen.writer import write_trace
from tests.cli.running import assert_refused, run, sample_trace

KEYS = {
    "misses",
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
    assert set(tree["working_set"]) == {"slice_records", "instructions", "user_code_kib", "user_data_kib", "kernel_kib"}
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


def test_misses_are_told_by_class_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = sample_trace(tmp_path / "s.parquet")
    info(sample, json_output=True)
    assert json.loads(capsys.readouterr().out)["misses"] is None
    info(sample, misses=True, changes=["l2.size_kib=16"], json_output=True)
    misses = json.loads(capsys.readouterr().out)["misses"]
    assert misses["configuration"]["l2"]["size_kib"] == 16
    assert misses["by_class"][0].keys() == {"space", "sharing", "l2_misses"}
    info(sample, misses=True, changes=["l2.size_kib=16"])
    text = capsys.readouterr().out
    assert "L2 misses" in text
    assert f"{misses['by_class'][0]['l2_misses']:,}" in text
    assert "page tables" in text


def test_a_machine_without_misses_is_refused(trace: str) -> None:
    with pytest.raises(ConfigError, match="--misses or --picture"):
        info(trace, machine="uma")


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal(
    tmp_path: Path, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = sample_trace(tmp_path / "s.parquet")
    monkeypatch.setattr("discotrace.cli.console._WIDTH_WITHOUT_TERMINAL", width)
    info(sample, misses=True)
    tables = capsys.readouterr().out.partition("Records by kind")[2].partition("Working sets")[0]
    assert max(len(line) for line in tables.splitlines()) <= width
    assert "…" not in tables


SVG = "{http://www.w3.org/2000/svg}"


def marks(svg: Path, role: str) -> int:
    groups = [group for group in ElementTree.parse(svg).iter(f"{SVG}g") if role in group.get("class", "")]
    return sum(len(group.findall(f"{SVG}path")) for group in groups)


def test_a_picture_has_a_curve_for_each_part_and_a_bar_for_each_class_and_service(tmp_path: Path) -> None:
    sample, svg = sample_trace(tmp_path / "s.parquet"), tmp_path / "s.svg"
    info(sample, picture=str(svg))
    texts = {text.text for text in ElementTree.parse(svg).iter(f"{SVG}text")}
    assert {"s", "user code, KiB", "user data, KiB", "kernel, KiB", "demand_zero", "user, write-shared"} <= texts
    assert marks(svg, "mark-area") == 3
    assert marks(svg, "mark-rect role-mark") == 2 * 7 + 1
    assert svg.stat().st_size < 60_000


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_picture_is_the_same_to_the_last_byte(tmp_path: Path, suffix: str) -> None:
    sample = sample_trace(tmp_path / "s.parquet")
    for name in "ab":
        info(sample, picture=str(tmp_path / f"{name}.{suffix}"))
    first = (tmp_path / f"a.{suffix}").read_bytes()
    assert first == (tmp_path / f"b.{suffix}").read_bytes()
    assert first.startswith(b"\x89PNG" if suffix == "png" else b"<svg")


def test_an_empty_trace_has_a_picture(tmp_path: Path) -> None:
    write_trace(tmp_path / "t", TraceMeta(1), rows_from_records([]))
    info(str(tmp_path / "t"), picture=str(tmp_path / "t.svg"))
    assert ElementTree.parse(tmp_path / "t.svg").getroot().tag == f"{SVG}svg"


def test_a_picture_replaces_another_only_by_force(trace: str, tmp_path: Path) -> None:
    (tmp_path / "p.svg").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        info(trace, picture=str(tmp_path / "p.svg"))
    assert (tmp_path / "p.svg").read_text() == "mine"
    info(trace, picture=str(tmp_path / "p.svg"), force=True)
    assert (tmp_path / "p.svg").read_text() != "mine"


def test_a_picture_of_another_format_is_refused(trace: str, tmp_path: Path) -> None:
    assert_refused(run("info", trace, "--picture", str(tmp_path / "p.gif")), "p.gif", ".svg or .png")


@pytest.mark.parametrize("package", ["altair", "vl_convert"])
def test_without_the_extra_one_line_says_what_to_install(
    trace: str, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "discotrace.analysis.trace_picture", raising=False)
    ended = run("info", trace, "--picture", str(tmp_path / "p.svg"))
    assert_refused(ended, package, "pip install 'discotrace[report]'")
    assert not (tmp_path / "p.svg").exists()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError):
        info(str(tmp_path / "none"))


def test_the_verbs_are_quick_to_import() -> None:
    script = "import sys, discotrace.cli.info, discotrace.cli.validate; print({'numpy', 'pyarrow'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
