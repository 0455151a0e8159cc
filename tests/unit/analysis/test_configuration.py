"""Configurations: presets, files, changes, hints."""

import re
from pathlib import Path

import pytest

from discotrace.analysis.configuration import (
    PRICE_KEYS,
    STRUCTURAL_KEYS,
    from_tables,
    load,
    preset_names,
    read_tables,
    repriced,
    split,
)
from discotrace.analysis.text import toml_of
from discotrace.tracegen.errors import ConfigError


@pytest.mark.parametrize("preset", preset_names())
def test_presets__each_is_whole_and_comes_back_from_its_tables(preset: str) -> None:
    configuration = load(preset)
    assert from_tables(configuration.to_tables()) == configuration


@pytest.mark.parametrize("preset", preset_names())
def test_presets__each_number_has_a_comment(preset: str) -> None:
    path = Path(__file__).parents[3] / "analysis" / "machines" / f"{preset}.toml"
    for line in path.read_text().splitlines():
        if "=" in line.partition("#")[0]:
            assert re.search(r"#\s+\S+", line), line


@pytest.mark.parametrize("preset", preset_names())
def test_presets__each_can_run_a_trace_of_eight_cpus(preset: str) -> None:
    assert load(preset).machine.for_trace(8).cpu.count == 8


def test_keys__a_key_is_structural_or_a_price_but_not_both() -> None:
    for table, keys in PRICE_KEYS.items():
        assert not set(keys) & set(STRUCTURAL_KEYS.get(table, ()))


def test_split__every_key_goes_one_way() -> None:
    structure, prices = split(read_tables("flash"))
    assert {table: list(values) for table, values in structure.items()} == STRUCTURAL_KEYS
    assert {table: list(values) for table, values in prices.items()} == PRICE_KEYS


def test_load__a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(toml_of(load("uma").to_tables()))
    assert load(str(path)) == load("uma")


def test_load__a_preset_hides_a_file_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flash").write_text("no TOML at all")
    assert load("flash").machine.tlb.entries == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("tlb.entires=1", r"did you mean entries\?"),
        ("memory.remote_n=1", r"did you mean remote_ns\?"),
        ("moniter.patch_registers=true", r"did you mean monitor\?"),
        ("tlb.zzz=1", r"known: entries, pages_per_entry, wired, asid_bits"),
    ],
)
def test_load__a_misspelt_key_gives_a_hint(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("flash", [change])


def test_load__changes_act_in_their_order() -> None:
    assert load("flash", ["tlb.entries=32", "tlb.entries=16"]).machine.tlb.entries == 16


def test_repriced__a_price_takes_the_place_of_the_old_one() -> None:
    tables = load("flash").to_tables()
    changed = repriced(tables, None, ["l2.hit_ns=10"])
    assert changed["l2"]["hit_ns"] == 10
    assert tables["l2"]["hit_ns"] == 50, "the tables that were given stay as they are"


def test_repriced__a_structural_key_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"another replay, with --set tlb.entries=128"):
        repriced(load("flash").to_tables(), None, ["tlb.entries=128"])


def test_repriced__the_structure_may_be_repeated() -> None:
    tables = load("flash").to_tables()
    assert repriced(tables, "flash", ["tlb.entries=64"]) == tables


def test_repriced__a_file_comes_before_changes(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[l2]\nhit_ns = 1.0\n[memory]\nlocal_ns = 2.0\n")
    changed = repriced(load("flash").to_tables(), str(path), ["l2.hit_ns=3"])
    assert (changed["l2"]["hit_ns"], changed["memory"]["local_ns"]) == (3, 2)


def test_repriced__the_prices_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"l2.hit_ns is -1"):
        repriced(load("flash").to_tables(), None, ["l2.hit_ns=-1"])
