"""Runs of several systems over one decode of a trace."""

from pathlib import Path

import pyarrow as pa
import pytest

from discotrace.analysis.fronts import Run
from discotrace.analysis.run import NO_WINDOWS, SYSTEMS, new_system, replay_runs, replay_systems
from discotrace.replay.crash import Crash
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
    with pytest.raises(ConfigError, match="unknown system 'xen'; known: native, disco, splashos"):
        new_system("xen", META, machine(cpu__count=2))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_knows_its_name(name: str) -> None:
    assert new_system(name, META, machine(cpu__count=2)).name == name


def test_runs_on_several_machines_come_in_their_order(sample: Path) -> None:
    runs = [Run(f"{count} VMs", "disco", machine(vm__count=count)) for count in (2, 1)]
    with TraceReader(sample) as reader:
        replayed = replay_runs(reader, runs, NO_WINDOWS, lambda rows: None)
    assert [one.run.label for one in replayed] == ["2 VMs", "1 VMs"]
    assert [one.run.machine.cpu.count for one in replayed] == [2, 2]
    assert all(one.counts.num_rows and one.loss is None for one in replayed)


def test_a_run_is_the_same_alone_and_beside_others(sample: Path) -> None:
    def tables(*counts_of_vms: int) -> list[pa.Table]:
        runs = [Run(f"{count}", "disco", machine(vm__count=count)) for count in counts_of_vms]
        with TraceReader(sample) as reader:
            return [one.counts for one in replay_runs(reader, runs, 1000, lambda rows: None)]

    assert tables(1, 2, 1) == [*tables(1), *tables(2), *tables(1)]


def test_what_does_not_fit_says_which_run_it_was(sample: Path) -> None:
    runs = [Run("large", "disco", machine()), Run("small", "disco", machine(memory__mib_per_node=1, vm__count=64))]
    with TraceReader(sample) as reader, pytest.raises(ConfigError, match=r"^small: out of memory"):
        replay_runs(reader, runs, NO_WINDOWS, lambda rows: None)


@pytest.mark.parametrize("batch_rows", [1, 7, 1 << 18])
def test_a_crash_costs_the_same_in_batches_of_any_size(sample: Path, batch_rows: int) -> None:
    with TraceReader(sample) as reader:
        crash = Crash(0, reader.rows // 2)
        systems = ["native", "disco"]
        finished = replay_systems(reader, machine(), systems, 1000, lambda rows: None, batch_rows, crash)
        after = reader.rows - crash.row
    assert list(finished.losses) == systems
    assert [loss.rows for loss in finished.losses.values()] == [after, after], "there is one virtual machine"
    assert [loss.processes for loss in finished.losses.values()] == [[1, 2], [1, 2]]
