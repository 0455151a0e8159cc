"""``show-config``: prints a configuration that gives itself again."""

import tomllib
from pathlib import Path

import pytest

from discotrace.analysis.configuration import load, preset_names
from tests.cli.running import run


@pytest.mark.parametrize("preset", preset_names())
def test_what_is_printed_is_a_machine_file_of_the_same_machine(preset: str, tmp_path: Path) -> None:
    printed = run("show-config", "-m", preset)
    assert (printed.code, printed.err) == (0, "")
    path = tmp_path / "machine.toml"
    path.write_text(printed.out)
    assert run("show-config", "-m", str(path)).out == printed.out
    assert load(str(path)) == load(preset)


@pytest.mark.parametrize("preset", preset_names())
def test_the_help_names_every_preset(preset: str) -> None:
    assert preset in run("show-config", "--help").out


def test_without_options_it_is_flash() -> None:
    assert run("show-config").out == run("show-config", "-m", "flash").out


@pytest.mark.parametrize(
    ("change", "table", "key", "value"),
    [
        ("tlb.entries=128", "tlb", "entries", 128),
        ("memory.remote_ns=600", "memory", "remote_ns", 600.0),
        ("l2.inclusive=false", "l2", "inclusive", False),
        ("placement.native=first-touch", "placement", "native", "first-touch"),
        ("placement.native='first-touch'", "placement", "native", "first-touch"),
        (" tlb.entries = 128 ", "tlb", "entries", 128),
        ("memory.remote_ns=1e-5", "memory", "remote_ns", 1e-5),
    ],
)
def test_changes_are_in_what_is_printed(change: str, table: str, key: str, value: object) -> None:
    changes = ["--set", change, "--set", "cpu.count=1"]
    assert tomllib.loads(run("show-config", *changes).out)[table][key] == value
