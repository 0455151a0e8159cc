"""The file of calibrated knobs."""

import os
from pathlib import Path

import pytest

from discotrace.tracegen.errors import ConfigError, OutputError
from discotrace.tracegen.workloads.calibrated import (
    Calibration,
    calibrated_knobs,
    calibration_file,
    check_free,
    write_calibration,
)
from discotrace.tracegen.workloads.registry import Found, find_workload
from tests.unit.tracegen.workloads.toy import toy_file

KNOBS = {"pages": 3, "work": 1e-05, "mark": 'a "b"\n', "loud": True}


@pytest.fixture
def toy(tmp_path: Path) -> Found:
    return find_workload(toy_file(tmp_path))


def calibration(**knobs: int | float | bool | str) -> Calibration:
    return Calibration("discotrace calibrate toy", "0.1.0", knobs, {"user_percent": 50.0}, {"user_percent": 49.5})


def test_without_a_file_there_are_no_knobs(toy: Found) -> None:
    assert calibrated_knobs(toy) == {}


def test_what_is_written_is_read(toy: Found, tmp_path: Path) -> None:
    assert write_calibration(toy, calibration(**KNOBS)) == tmp_path / "calibrated.toml"
    assert calibrated_knobs(toy) == KNOBS


def test_others_in_the_file_stay(toy: Found, tmp_path: Path) -> None:
    other = find_workload(toy_file(tmp_path, "other one.py"))
    write_calibration(other, calibration(pages=9))
    write_calibration(toy, calibration(pages=3))
    write_calibration(toy, calibration(pages=4))
    assert (calibrated_knobs(other), calibrated_knobs(toy)) == ({"pages": 9}, {"pages": 4})


def test_one_that_is_there_is_replaced_only_if_asked(toy: Found) -> None:
    check_free(toy, may_replace=False)
    write_calibration(toy, calibration(pages=3))
    with pytest.raises(OutputError, match="has a calibration of toy already: replace it with --force"):
        check_free(toy, may_replace=False)
    check_free(toy, may_replace=True)


def test_a_file_that_cannot_be_written_is_noticed_before(toy: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match=r"cannot write .*calibrated.toml: permission denied"):
        check_free(toy, may_replace=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "cannot be read"),
        ("toy = 1", r"\[toy\] has no table of knobs"),
        ("[toy]\nknobs = 1", r"\[toy\] has no table of knobs"),
        ("[toy.knobs]\npage = 1", r"\[toy\]: there is no knob page; did you mean pages"),
        ("[toy.knobs]\npages = 1.5", "knob pages is '1.5', expected a whole number"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(toy: Found, text: str, message: str) -> None:
    calibration_file(toy).write_text(text)
    with pytest.raises(ConfigError, match=message):
        calibrated_knobs(toy)
