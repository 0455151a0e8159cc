"""Sweeps whose replays are samples."""

from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest

import discotrace
from discotrace.analysis.sweep.counting import count
from discotrace.analysis.sweep.local import LocalWorkers
from discotrace.analysis.sweep.sampled import know_memory, know_trace
from discotrace.analysis.sweep.sampled_figures import HALF_WIDTHS
from discotrace.analysis.sweep.workers import Task
from discotrace.tracegen.errors import ConfigError, OutputError, TraceError
from tests.unit.analysis.sweep.sweeping import Inline, plan_of, results, small_trace, swept

LONG = str(Path(__file__).parents[4] / "traces" / "pmake-generated.parquet")
SAMPLE: dict[str, Any] = {"sample": True, "sample_intervals": 5, "sample_seed": 2, "window": 250_000}
AXES: dict[str, Any] = {"set": {"tlb.entries": [32, 64], "memory.remote_ns": [300, 900]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of samples that was carried out, with what is known of the trace."""
    folder, workers = tmp_path_factory.mktemp("samples"), Inline()
    summary = swept(plan_of(LONG, **SAMPLE, **AXES), folder, lambda: workers)
    assert (summary.points, summary.done, summary.replays_made) == (8, 8, 4)
    functions = Counter(task.function for task in workers.tasks)
    assert [functions[one] for one in (know_trace, know_memory, count)] == [1, 2, 4]
    return folder


def test_each_point_is_a_sample_by_itself(folder: Path) -> None:
    found = results(folder)
    with patch("discotrace.cli.sampled.pasts_folder", return_value=folder / "pasts"):
        for entries, remote_ns in ((32, 300), (64, 900)):
            changes = {"tlb.entries": entries, "memory.remote_ns": remote_ns}
            alone = discotrace.replay(LONG, set=changes, sample=True, intervals=5, seed=2, window=250_000)
            at = (pl.col("tlb.entries") == entries) & (pl.col("memory.remote_ns") == remote_ns)
            assert found.filter(at).select(alone.columns).equals(alone)
    assert found.columns[-len(HALF_WIDTHS) :] == list(HALF_WIDTHS)
    assert (found["time_ms_half_width"] > 0).all()


def test_what_is_there_is_not_made_again_and_prices_need_no_replay(folder: Path) -> None:
    before = results(folder)
    plan = plan_of(LONG, **SAMPLE, **AXES)
    next(folder.glob("counts/*/*.parquet")).unlink()
    assert swept(plan, folder).replays_made == 1
    assert results(folder).equals(before)
    other = plan_of(LONG, **SAMPLE, set={"tlb.entries": [32, 64], "l2.hit_ns": 80})
    assert swept(other, folder, force=True).replays_made == 0
    assert swept(plan, folder, force=True).replays_made == 0
    assert results(folder).equals(before)


def test_processes_make_the_same_results(folder: Path, tmp_path: Path) -> None:
    swept(plan_of(LONG, **SAMPLE, **AXES), tmp_path, lambda: LocalWorkers(2))
    assert results(tmp_path).equals(results(folder))


def test_samples_and_whole_traces_do_not_mix(folder: Path) -> None:
    whole, sampled = plan_of(LONG, **AXES, window=250_000), plan_of(LONG, **SAMPLE, **AXES)
    other = plan_of(LONG, **{**SAMPLE, "sample_seed": 3}, **AXES)
    keys = [{one.key for one in plan.replays} for plan in (whole, sampled, other)]
    assert sum(map(len, keys)) == len(set().union(*keys)) == 12
    for plan in (whole, other):
        with pytest.raises(OutputError, match="has another sweep"):
            swept(plan, folder)


def test_what_cannot_be_sampled_is_impossible_and_skipped(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pasts").symlink_to(folder / "pasts")
    axes = {"vm.count": [1, 2], "memory.page_kib": [4, 16], "l2.size_kib": [1024]}
    summary = swept(plan_of(LONG, **SAMPLE, set=axes, systems=["native"]), tmp_path)
    assert (summary.done, summary.impossible) == (1, 3)
    one, other = sorted(summary.reasons)
    assert "one virtual machine" in one
    assert "pages of 4 KiB" in other
    assert results(tmp_path)["time_ms_half_width"].null_count() == 3


def test_a_memory_that_is_too_small_is_impossible(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pasts").symlink_to(folder / "pasts")
    plan = plan_of(LONG, **SAMPLE, set={"memory.mib_per_node": [1, 32], "tlb.entries": [32, 64]}, systems=["native"])
    summary = swept(plan, tmp_path)
    assert (summary.done, summary.impossible) == (2, 2)
    assert swept(plan, tmp_path).replays_made == 2, "they are tried again"


def test_a_trace_that_is_too_short_is_impossible(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"every point is impossible.* too few for 5 intervals"):
        swept(plan_of(small_trace(tmp_path), **SAMPLE), tmp_path / "s")


def test_answers_read_them(folder: Path) -> None:
    best = discotrace.best(folder, minimize="time", top=1)
    assert best["time_ms"][0] == results(folder)["time_ms"].min()
    narrow = discotrace.best(folder, minimize="time", subject_to="time_ms_half_width < 0.5 * time_ms")
    assert narrow.height > 0
    assert set(discotrace.effects(folder)["parameter"]) >= {"system", "tlb.entries"}
    assert discotrace.diff(folder, folder, fail_if="time>+0%").height == 8


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sample_seed": 1}, "sample_seed is for a sweep of samples"),
        ({"sample": False, "sample_intervals": 9}, "sample_intervals is for a sweep of samples"),
        ({"sample": True, "sample_intervals": 2}, "sample at least 5"),
        ({"sample": 25}, "sample is 25, expected true or false"),
        ({"sample": True, "set": {"vm.count": 2}}, "every point is impossible; the first: a sample is of one"),
    ],
)
def test_what_is_wrong_ends_it(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(LONG, **wrong)


def test_workers_must_know_of_the_trace(tmp_path: Path) -> None:
    class Blind(Inline):
        """Its worker does not see any longer what is known of the trace."""

        def submit(self, task: Task) -> None:
            if task.function is count:
                (tmp_path / "pasts").rename(tmp_path / "elsewhere")
            super().submit(task)

    with pytest.raises(TraceError, match=r"nothing is known here of .* the same placement policy and the folder"):
        swept(plan_of(LONG, **SAMPLE, systems=["native"]), tmp_path, Blind)
