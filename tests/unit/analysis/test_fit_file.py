"""The file of fitted prices, and machine files that take them from there."""

import tomllib
from pathlib import Path

import pytest

from discotrace.analysis import fit_file
from discotrace.analysis.configuration import load, read_text, repriced
from discotrace.analysis.fit_file import Fitted, FittedStep, Residual, read_prices, with_fitted, write_fitted
from discotrace.tracegen.errors import ConfigError

SYNC = Residual("pmake sync", "%", 26.7, 27.2)
FITTED = Fitted(
    command="discotrace calibrate prices",
    version="1",
    traces={"pmake-1": "abc"},
    steps=[
        FittedStep(
            "locks", "figure 7", {"locks.handoff_ns": 1234.56}, [], 0.5, [Residual("pmake sync", "%", 26.7, 27.2)]
        ),
        FittedStep("monitor", "table 2", {"monitor.tlb_write_cycles": 0.0}, ["monitor.tlb_write_cycles"], 0.1, []),
    ],
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of fitted prices where machine files find it."""
    path = tmp_path / "fitted.toml"
    write_fitted(path, FITTED)
    monkeypatch.setattr(fit_file, "default_path", lambda: path)
    fit_file._shipped_prices.cache_clear()
    yield path
    fit_file._shipped_prices.cache_clear()


def test_what_is_written_is_read_with_four_digits(file: Path) -> None:
    assert read_prices(file) == {"locks.handoff_ns": 1235.0, "monitor.tlb_write_cycles": 0.0}
    tree = tomllib.loads(file.read_text())
    assert (tree["command"], tree["traces"]) == ("discotrace calibrate prices", {"pmake-1": "abc"})
    assert tree["steps"]["monitor"]["at_limit"] == ["monitor.tlb_write_cycles"]
    left = tree["steps"]["locks"]["residuals"]["pmake sync"]
    assert left == {"published": 26.7, "ours": 27.2, "residual": 0.5, "unit": "%"}


def test_a_machine_file_takes_a_price_from_it(file: Path, tmp_path: Path) -> None:
    machine = tmp_path / "machine.toml"
    text = "\n".join(
        'tlb_write_cycles = "fitted"' if line.startswith("tlb_write_cycles") else line
        for line in read_text("flash").replace('"fitted"', "1.0").splitlines()
    )
    machine.write_text(text)
    assert load(str(machine)).prices.monitor.tlb_write_cycles == 0
    assert load(str(machine), ["monitor.tlb_write_cycles=3"]).prices.monitor.tlb_write_cycles == 3
    again = repriced(load(str(machine), ["monitor.tlb_write_cycles=3"]).to_tables(), str(machine), [])
    assert again["monitor"]["tlb_write_cycles"] == 0


def test_a_price_that_was_not_fitted_is_an_error(file: Path) -> None:
    assert with_fitted({"cpu": {"count": 3}}) == {"cpu": {"count": 3}}
    with pytest.raises(
        ConfigError, match=r'^configuration: l2\.hit_ns is "fitted", but fitted\.toml has no such price'
    ):
        with_fitted({"l2": {"hit_ns": "fitted"}})


@pytest.mark.parametrize("text", ["x =", "x = 1", "[steps]\nx = 1", "[steps.x]", "[steps.x.prices]\na = 'b'"])
def test_a_file_that_is_none_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "fitted.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"discotrace calibrate prices$"):
        read_prices(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prices(tmp_path / "absent.toml")
