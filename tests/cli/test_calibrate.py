"""`calibrate`: from the command to the file that generate reads."""

import json
import tomllib
from pathlib import Path

import pytest

from discotrace.tracegen.reader import TraceReader
from tests.cli.running import assert_refused, run
from tests.unit.tracegen.workloads.toy import toy_file

TARGET = ["--target", "kernel_percent=40"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a workload in it."""
    toy_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_searches_writes_and_generate_takes_it(folder: Path) -> None:
    ended = run("calibrate", "toy.py", *TARGET, "--evaluations", "12", "--knob", "pages=16")
    assert (ended.code, ended.err) == (0, "")
    assert "reached / target" in ended.out
    table = tomllib.loads((folder / "calibrated.toml").read_text())["toy"]
    assert table["targets"] == {"kernel_percent": 40}
    assert table["reached"]["kernel_percent"] == pytest.approx(40, rel=0.1)
    assert table["knobs"]["pages"] == 16
    assert table["command"] == f"discotrace calibrate toy.py {' '.join(TARGET)} --evaluations 12 --knob pages=16"
    run("generate", "toy.py")
    with TraceReader("toy.parquet") as reader:
        assert reader.meta.provenance["parameters"]["work"] == table["knobs"]["work"]


def test_the_result_as_json(folder: Path) -> None:
    tree = json.loads(run("calibrate", "toy.py", *TARGET, "--evaluations", "1", "--json").out)
    assert set(tree) == {"schema", "workload", "knobs", "measures", "file"}
    assert tree["knobs"] == {"work": 50.0}
    assert tree["measures"]["kernel_percent"]["target"] == 40
    assert tree["measures"]["user_percent"]["target"] is None


def test_a_calibration_that_is_there_is_kept(folder: Path) -> None:
    (folder / "calibrated.toml").write_text("[toy.knobs]\nwork = 3.0\n")
    assert_refused(run("calibrate", "toy.py", *TARGET), "calibrated.toml", "--force")
    assert run("calibrate", "toy.py", *TARGET, "--evaluations", "1", "--force").code == 0
    assert tomllib.loads((folder / "calibrated.toml").read_text())["toy"]["knobs"] == {"work": 50.0}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["toyy"], ["'toyy' is no workload"]),
        (["toy.py"], ["nothing is published of toy", "--target"]),
        (["toy.py", "--target", "x=1"], ["no such measure"]),
        (["toy.py", *TARGET, "--search", "x=1,2"], ["toy has no number x"]),
        (["toy.py", *TARGET, "--knob", "x=1"], ["no knob x"]),
        (["toy.py", *TARGET, "--scale", "0"], ["--scale is 0.0"]),
        (["toy.py", *TARGET, "--output", "x.toml"], ["--output is for calibrating prices"]),
        (["prices", "--scale", "0", "-o", "x.toml"], ["--scale is 0.0"]),
        (["prices"], ["fitted.toml has fitted prices already", "--force", "-o FILE"]),
        (["prices", "--seed", "2"], ["--seed is for calibrating a workload"]),
        (["prices", "--evaluations", "24"], ["--evaluations is for calibrating a workload"]),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(folder: Path, arguments: list[str], parts: list[str]) -> None:
    assert_refused(run("calibrate", *arguments), *parts)
    assert sorted(path.name for path in folder.iterdir()) == ["toy.py"]
