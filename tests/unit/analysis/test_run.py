"""Runs of several systems over one decode of a trace."""

from pathlib import Path

import pytest

from discotrace.analysis.run import SYSTEMS, new_system, replay_systems
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.reader import TraceReader
from tests.cli.running import META, good_records, raw_trace, sample_trace
from tests.machines import machine


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "t.parquet"
    sample_trace(path, steps=50)
    return path


def test_counts_come_by_system(sample: Path) -> None:
    with TraceReader(sample) as reader:
        finished = replay_systems(reader, machine(), ["disco", "native"], 1000, lambda rows: None)
    assert list(finished.counts) == ["disco", "native"]


def test_the_machine_comes_back_with_its_cpus(sample: Path) -> None:
    with TraceReader(sample) as reader:
        assert replay_systems(reader, machine(), ["native"], 1000, lambda rows: None).machine.cpu.count == 2


@pytest.mark.parametrize("batch_rows", [1, 7, 1 << 18])
def test_every_row_is_reported_once(sample: Path, batch_rows: int) -> None:
    reported: list[int] = []
    with TraceReader(sample) as reader:
        replay_systems(reader, machine(), ["native", "disco"], 1000, reported.append, batch_rows)
        assert sum(reported) == reader.rows
    assert max(reported) <= batch_rows


@pytest.mark.parametrize("systems", [["native"], ["disco"], ["native", "disco"], ["disco", "native"]])
def test_a_bad_row_is_found_under_every_system(systems: list[str], tmp_path: Path) -> None:
    raw_trace(tmp_path / "t", [*good_records(12), (0, 9, 1, 0, 8, 0)])
    with TraceReader(tmp_path / "t") as reader, pytest.raises(TraceError, match="row group 1, row 2: process 9"):
        replay_systems(reader, machine(), systems, 1000, lambda rows: None, 5)


def test_an_unknown_system_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown system 'xen'; known: native, disco"):
        new_system("xen", machine(cpu__count=1), META)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_knows_its_name(name: str) -> None:
    assert new_system(name, machine(cpu__count=1), META).name == name
