"""Sweeps carried out."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import outcome
from discotrace.analysis.run import replay_systems
from discotrace.analysis.site import Site
from discotrace.analysis.sweep.blocks import blocks_of, price
from discotrace.analysis.sweep.counting import count
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.results import write_csv
from discotrace.analysis.sweep.workers import Failed, Lost, News, Task
from discotrace.tracegen.errors import ConfigError, OutputError, TraceError
from discotrace.tracegen.reader import TraceReader
from tests.cli.running import META, good_records, raw_trace
from tests.unit.analysis.sweep.sweeping import Inline, Notes, plan_of, results, small_trace, swept

MIXED: dict[str, Any] = {
    "set": {
        "tlb.entries": [16, 32],
        "l2.size_kib": [256, 512],
        "memory.remote_ns": [300, 900],
        "placement.policy": ["first-touch", "disco"],
    }
}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_trace(tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def mixed(trace: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    swept(plan_of(trace, **MIXED), folder)
    return folder


def test_every_point_is_what_a_replay_by_itself_says(trace: str, mixed: Path) -> None:
    for row in results(mixed).iter_rows(named=True):
        changes = [f"{key}={row[key]}" for key in MIXED["set"]]
        configuration = load("flash", changes)
        with TraceReader(trace) as reader:
            made = replay_systems(reader, configuration.machine, [row["system"]], 1_000_000, lambda rows: None)
            instances = len({process.instance for process in reader.meta.processes})
        counts = pl.from_arrow(made.counts[row["system"]])
        assert isinstance(counts, pl.DataFrame)
        alone = outcome(row["system"], counts, Site(made.machine, instances), configuration.prices)
        assert row["time_ms"] == alone.time_ms
        assert row["remote_miss_ratio"] == alone.remote_miss_ratio
        assert row["kernel_percent"] == alone.kernel_percent
        assert row["monitor_percent"] == alone.monitor_percent
        assert {part: row[f"{part}_ms"] for part in alone.parts_ms} == alone.parts_ms
        assert {where: row[f"stall_{where}_ms"] for where in alone.stalls_ms} == alone.stalls_ms
        assert {name: row[name] for name in alone.rates} == alone.rates
        assert row["shootdowns_per_second"] == alone.actions_per_second["shootdowns"]


def test_each_point_is_compared_with_the_first_system_at_the_same_parameters(mixed: Path) -> None:
    found = results(mixed)
    first = found.filter(pl.col("system") == "native")
    second = found.filter(pl.col("system") == "disco")
    assert first["slowdown"].to_list() == [1.0] * first.height
    assert second["slowdown"].to_list() == pytest.approx((second["time_ms"] / first["time_ms"]).to_list())


def test_points_come_in_order_with_their_parameters(mixed: Path) -> None:
    found = results(mixed)
    assert found["point"].to_list() == list(range(32))
    assert found.columns[:9] == ["point", "trace", "system", *MIXED["set"], "status", "why"]
    assert set(found["status"]) == {"done"}


def test_an_impossible_point_is_a_row_without_figures(trace: str, tmp_path: Path) -> None:
    summary = swept(plan_of(trace, set={"l2.size_kib": [300, 512]}), tmp_path)
    assert (summary.done, summary.impossible, summary.failed) == (2, 2, 0)
    found = results(tmp_path)
    assert found["status"].to_list() == ["impossible", "impossible", "done", "done"]
    assert found["time_ms"].is_null().to_list() == [True, True, False, False]
    assert list(summary.reasons) == ["l2: 300 KiB in 2 ways of 128 B lines gives 1200 sets, expected a power of two"]


def test_what_only_a_replay_finds_impossible_takes_no_other_with_it(trace: str, tmp_path: Path) -> None:
    """64 virtual machines in 16 MiB have four pages each."""
    plan = plan_of(
        trace, systems=["disco"], set={"memory.mib_per_node": 1, "vm.count": [1, 64], "l2.size_kib": [256, 512]}
    )
    summary = swept(plan, tmp_path)
    assert (summary.done, summary.impossible) == (2, 2)
    assert all(why.startswith("out of memory") for why in summary.reasons)


def test_what_is_there_is_not_made_again(trace: str, mixed: Path) -> None:
    before = results(mixed)
    workers = Inline()
    summary = swept(plan_of(trace, **MIXED), mixed, lambda: workers)
    assert summary.replays_made == 0
    assert workers.tasks == []
    assert results(mixed).equals(before)


def test_a_replay_or_a_block_that_is_missing_is_made_alone(trace: str, tmp_path: Path) -> None:
    plan = plan_of(trace, **MIXED)
    swept(plan, tmp_path)
    before = results(tmp_path)
    folder = SweepFolder(tmp_path)
    folder.counts(plan.replays[3].key).unlink()
    next(iter((tmp_path / "priced").iterdir())).unlink()
    workers = Inline()
    assert swept(plan, tmp_path, lambda: workers).replays_made == 1
    assert len(workers.tasks) == 2
    assert {task.function for task in workers.tasks} == {count, price}
    assert results(tmp_path).equals(before)


def test_other_prices_need_no_replay(trace: str, tmp_path: Path) -> None:
    swept(plan_of(trace, **MIXED), tmp_path)
    other = {"set": MIXED["set"] | {"memory.remote_ns": [450, 600, 750]}}
    summary = swept(plan_of(trace, **other), tmp_path, force=True)
    assert (summary.replays_made, summary.points) == (0, 48)
    assert set(results(tmp_path)["memory.remote_ns"]) == {450, 600, 750}


def test_another_sweep_in_the_folder_is_not_overwritten(trace: str, mixed: Path) -> None:
    with pytest.raises(OutputError, match="has another sweep"):
        swept(plan_of(trace, set={"tlb.entries": [64, 128]}), mixed)


def test_only_one_works_in_a_folder(trace: str, mixed: Path) -> None:
    with SweepFolder(mixed).alone(), pytest.raises(OutputError, match="another run is at work"):
        swept(plan_of(trace, **MIXED), mixed)


def test_progress_adds_up(trace: str, tmp_path: Path) -> None:
    plan, notes = plan_of(trace, **MIXED), Notes()
    swept(plan, tmp_path, watcher=notes)
    rows = sum(one.trace.rows for one in plan.replays)
    assert notes.counted == {"rows": rows, "replays": len(plan.replays), "points": 32}


def test_replays_behind_one_front_are_one_task(trace: str, tmp_path: Path) -> None:
    workers = Inline()
    swept(plan_of(trace, systems=["native"], set={"l2.size_kib": [256, 512, 1024]}), tmp_path, lambda: workers)
    counting = [task.argument for task in workers.tasks if task.function is count]
    assert [len(task.wanted) for task in counting] == [3]


def test_several_traces_are_told_apart(trace: str, tmp_path: Path) -> None:
    other = small_trace(tmp_path, 60)
    swept(plan_of(trace, traces=[trace, other], set={"tlb.entries": [16, 32]}), tmp_path / "out")
    found = results(tmp_path / "out")
    assert found["trace"].to_list() == [trace] * 4 + [other] * 4
    times = found.filter(pl.col("system") == "native")["time_ms"].to_list()
    assert times[2] > times[0]


def test_without_axes_it_is_a_replay(trace: str, tmp_path: Path) -> None:
    assert swept(plan_of(trace), tmp_path).points == 2
    assert results(tmp_path)["system"].to_list() == ["native", "disco"]


def test_a_damaged_trace_ends_the_sweep_with_the_place(tmp_path: Path) -> None:
    path = raw_trace(tmp_path / "bad.parquet", [*good_records(12), (0, 9, 1, 0, 8, 0)], META.to_json().encode())
    with pytest.raises(TraceError, match="row group 1, row 2: process 9"):
        swept(plan_of(path, set={"tlb.entries": [16, 32]}), tmp_path / "out")


class Mortal(Inline):
    """A worker that dies of some replays: always, or so many times."""

    def __init__(self, kills: dict[str, int]) -> None:
        super().__init__()
        self._kills = kills

    def carry_out(self, task: Task) -> list[News]:
        if task.function is count:
            for one in task.argument.wanted:
                if self._kills.get(one.key, 0) > 0:
                    self._kills[one.key] -= 1
                    return [Lost(task, "killed by SIGKILL")]
        return super().carry_out(task)


def test_what_a_dead_worker_was_doing_is_done_again(trace: str, tmp_path: Path) -> None:
    plan, notes = plan_of(trace, **MIXED), Notes()
    kills = {plan.replays[2].key: 1}
    summary = swept(plan, tmp_path, lambda: Mortal(kills), notes)
    assert (summary.done, summary.failed) == (32, 0)
    assert notes.troubles == ["a worker died (killed by SIGKILL); what it was doing is done again"]


def test_a_replay_that_workers_die_of_fails_alone(trace: str, tmp_path: Path) -> None:
    plan = plan_of(trace, **MIXED)
    kills = {plan.replays[2].key: 1000}
    summary = swept(plan, tmp_path, lambda: Mortal(kills))
    of_deadly = plan.points.filter(pl.col("replay") == 2).height
    assert (summary.done, summary.failed) == (32 - of_deadly, of_deadly)
    assert "2 workers died of it" in next(iter(summary.reasons))
    again = swept(plan, tmp_path)
    assert (again.done, again.failed, again.replays_made) == (32, 0, 1), "the next run tries it again"


class Stopped(Inline):
    """A worker beside which somebody presses Ctrl-C after so many tasks."""

    def __init__(self, tasks: int) -> None:
        super().__init__()
        self._left = tasks

    def submit(self, task: Task) -> None:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        super().submit(task)


def test_what_is_finished_when_it_is_interrupted_can_be_read(trace: str, mixed: Path, tmp_path: Path) -> None:
    plan = plan_of(trace, **MIXED)
    whole, seen = results(mixed), set()
    for tasks in range(1, 12):
        try:
            swept(plan, tmp_path / f"{tasks}", lambda tasks=tasks: Stopped(tasks))  # type: ignore[misc]
        except KeyboardInterrupt:
            path = tmp_path / f"{tasks}"
            part = results(path) if SweepFolder(path).results.exists() else whole.clear()
            seen.add(part.height)
            assert part.equals(whole.filter(pl.col("point").is_in(part["point"].implode())))
            swept(plan, path)
            assert results(path).equals(whole)
    assert any(0 < height < whole.height for height in seen)


def test_points_of_blocks_that_lie_within_each_other_come_in_order(trace: str, tmp_path: Path) -> None:
    """The price varies slowest, so that each combination of structure has points all over the sweep."""
    plan = plan_of(trace, set={"memory.remote_ns": [600, 900], "tlb.entries": [16, 32, 64]})
    assert len(blocks_of(plan)) == 3
    swept(plan, tmp_path)
    found = results(tmp_path)
    assert found["point"].to_list() == list(range(12))
    assert found["memory.remote_ns"].is_sorted()


def test_nothing_but_impossible_points_is_an_error(trace: str, tmp_path: Path) -> None:
    plan = plan_of(trace, systems=["disco"], set={"memory.mib_per_node": 1, "vm.count": 64})
    with pytest.raises(ConfigError, match=r"every point is impossible; the first: out of memory"):
        swept(plan, tmp_path)


def test_an_error_of_pricing_ends_the_sweep(trace: str, tmp_path: Path) -> None:
    plan = plan_of(trace)

    class Faulty(Inline):
        def carry_out(self, task: Task) -> list[News]:
            return [Failed(task, OutputError("disk full"))] if task.function is price else super().carry_out(task)

    with pytest.raises(OutputError, match="disk full"):
        swept(plan, tmp_path, Faulty)


@pytest.mark.parametrize(("name", "mark"), [("t", b""), ("t\u00fc", b"\xef\xbb\xbf")])
def test_csv_has_a_byte_order_mark_where_it_is_needed(tmp_path: Path, name: str, mark: bytes) -> None:
    """Excel takes a file without one for that of an older encoding."""
    (tmp_path / name).mkdir()
    trace = small_trace(tmp_path / name)
    swept(plan_of(trace, set={"tlb.entries": [16, 32], "placement.policy": ["origin", "disco"]}), tmp_path / "out")
    write_csv(SweepFolder(tmp_path / "out"))
    path = tmp_path / "out" / "results.csv"
    assert path.read_bytes().startswith(mark + b"point,trace,system,tlb.entries,placement.policy,status,why,time_ms,")
    assert pl.read_csv(path).select("trace", "time_ms").equals(results(tmp_path / "out").select("trace", "time_ms"))
