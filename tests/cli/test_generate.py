"""`generate`: lists, knobs, what it refuses before it works, and the trace."""

import inspect
import json
from pathlib import Path

import pytest

from discotrace.cli.generate import generate
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.workloads.registry import shipped_workloads
from discotrace.tracegen.workloads.stage import StageParameters
from tests.cli.running import assert_refused, run
from tests.unit.tracegen.workloads.toy import toy_file

CALIBRATED = "[toy.knobs]\npages = 5\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a workload in it."""
    toy_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parameters(path: str = "toy.parquet") -> dict[str, object]:
    with TraceReader(path) as reader:
        found: dict[str, object] = reader.meta.provenance["parameters"]
    return found


@pytest.mark.parametrize("arguments", [[], ["--list"], ["toy.py", "--list"]])
def test_the_workloads_are_listed(folder: Path, arguments: list[str]) -> None:
    ended = run("generate", *arguments)
    assert (ended.code, ended.err) == (0, "")
    for name in shipped_workloads():
        assert f" {name} " in ended.out
    assert list(folder.glob("*.parquet")) == []


def test_the_list_as_json() -> None:
    listed = json.loads(run("generate", "--json").out)["workloads"]
    assert [one["name"] for one in listed] == shipped_workloads()
    assert all(set(one) == {"name", "summary", "cpus", "instances"} for one in listed)


def test_knobs_are_shown(folder: Path) -> None:
    out = run("generate", "toy.py", "--knobs").out
    for text in ("stores to pages", "Stores once to each page", "How many pages there are.", "instructions per store"):
        assert text in out
    assert "calibrated" not in out


def test_knobs__calibrated_ones_are_shown_apart(folder: Path) -> None:
    (folder / "calibrated.toml").write_text(CALIBRATED)
    out = run("generate", "toy.py", "--knobs").out
    assert "calibrated values are taken unless --knob says otherwise" in out
    knobs = json.loads(run("generate", "toy.py", "--knobs", "--json").out)["knobs"]
    about = "How many pages there are."
    assert knobs[0] == {"name": "pages", "type": "int", "default": 64, "about": about, "calibrated": 5}
    assert "calibrated" not in knobs[1]


def test_a_trace_is_written(folder: Path) -> None:
    ended = run("generate", "toy.py", "--scale", "0.5", "--seed", "3", "--knob", "pages=4", "--tick", "500")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("wrote toy.parquet: ")
    assert ended.out.endswith("instructions; next: discotrace replay toy.parquet\n")
    assert " 1 process, " in ended.out
    assert run("validate", "toy.parquet").code == 0
    found = parameters()
    assert (found["scale"], found["seed"], found["pages"], found["tick"]) == (0.5, 3, 4, 500)


def test_the_trace_says_what_made_it(folder: Path) -> None:
    run("generate", "toy.py")
    with TraceReader("toy.parquet") as reader:
        assert reader.meta.provenance["generator"] == "toy"
        assert len(reader.meta.provenance["source_sha256"]) == 64


def test_the_result_as_json(folder: Path) -> None:
    tree = json.loads(run("generate", "toy.py", "--json", "-o", "t.parquet", "--instances", "2", "--cpus", "2").out)
    with TraceReader("t.parquet") as reader:
        assert tree["rows"] == reader.rows
        assert reader.meta.cpus == 2
    assert (tree["workload"], tree["trace"], tree["processes"]) == ("toy", "t.parquet", 2)
    assert tree["parameters"]["instances"] == 2


def test_calibrated_knobs_are_the_defaults(folder: Path) -> None:
    (folder / "calibrated.toml").write_text(CALIBRATED)
    run("generate", "toy.py")
    assert parameters()["pages"] == 5
    run("generate", "toy.py", "--knob", "pages=6", "--force")
    assert parameters()["pages"] == 6


def test_a_file_that_is_there_is_kept(folder: Path) -> None:
    (folder / "toy.parquet").write_text("mine")
    assert_refused(run("generate", "toy.py"), "toy.parquet", "--force")
    assert (folder / "toy.parquet").read_text() == "mine"
    assert run("generate", "toy.py", "--force").code == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["toyy"], ["'toyy' is no workload", "files ending in .py"]),
        (["none.py"], ["workload file 'none.py' cannot be read"]),
        (["toy.py", "--knob", "page=3"], ["no knob page", "did you mean pages?"]),
        (["toy.py", "--knob", "pages=x"], ["knob pages is 'x', expected a whole number"]),
        (["toy.py", "--cpus", "0"], ["--cpus is 0"]),
        (["toy.py", "--instances", "-1"], ["--instances is -1"]),
        (["toy.py", "--scale", "0"], ["--scale is 0.0"]),
        (["toy.py", "--seed", "-1"], ["--seed is -1"]),
        (["toy.py", "--slice", "0"], ["slice is 0"]),
        (["toy.py", "-o", "none/t.parquet"], ["there is no directory none"]),
        (["toy.py", "-o", "."], ["it is a directory"]),
        (["toy.py", "--knob", "pages=0"], ["process 1 cannot map"]),
        (["toy.py", "--knob", "work=-1"], ["workload toy: toy.py:", "OverflowError"]),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(folder: Path, arguments: list[str], parts: list[str]) -> None:
    assert_refused(run("generate", *arguments), *parts)
    assert sorted(path.name for path in folder.iterdir()) == ["toy.py"]


def test_the_stage_has_the_same_defaults() -> None:
    defaults = {name: given.default for name, given in inspect.signature(generate).parameters.items()}
    assert StageParameters() == StageParameters(defaults["quantum"], defaults["slice_length"], defaults["tick"])
