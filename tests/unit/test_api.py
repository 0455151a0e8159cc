"""The verbs as functions, against the command line."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest

import discotrace
from discotrace import api
from discotrace.analysis.sweep.figures import FIGURES
from discotrace.analysis.sweep.sampled_figures import HALF_WIDTH, HALF_WIDTHS
from discotrace.analysis.sweep.spec import KINDS
from discotrace.cli import best, curve, diff, effects, price, replay, sweep
from discotrace.tracegen.errors import CheckFailedError, ConfigError, OutputError, TraceError
from tests.cli.running import run, sample_trace

LONG = str(Path(__file__).parents[2] / "traces" / "pmake-generated.parquet")
AXES = {"tlb.entries": [16, 32], "memory.remote_ns": "300:900:300"}
PRINTED = {"json_output", "quiet", "services", "csv", "picture", "all_sizes", "levels"}  # a frame has it, or makes it
OTHERWISE = {"changes", "together", "dry_run"}  # set, zip, plan_of


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(sample_trace(tmp_path_factory.mktemp("traces") / "t.parquet", 60))


@pytest.fixture(scope="module")
def swept(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    found = discotrace.sweep(trace, folder, set=AXES)
    assert found.equals(pl.read_parquet(folder / "results.parquet"))
    return folder


def test_replay_gives_what_the_command_prints(trace: Path) -> None:
    found = discotrace.replay(trace, set={"tlb.entries": 16}, systems=["disco", "native"], vms=2)
    printed = json.loads(
        run("replay", str(trace), "--set", "tlb.entries=16", "-s", "disco,native", "--vms", "2", "--json").out
    )
    assert found.columns == ["system", *FIGURES]
    for row, result in zip(found.iter_rows(named=True), printed["results"], strict=True):
        assert row["system"] == result["system"]
        for name in ("time_ms", "slowdown", "kernel_percent", "monitor_percent", "remote_miss_ratio"):
            assert row[name] == result[name]
        assert row["user_stall_ms"] == result["parts_ms"]["user_stall"]


def test_a_virtual_machine_can_die(trace: Path) -> None:
    whole, broken = (discotrace.replay(trace, vms=2, systems="disco", crash=crash) for crash in (None, "vm=0,at=10%"))
    assert not broken.equals(whole)


def test_counts_that_are_kept_can_be_priced(trace: Path, tmp_path: Path) -> None:
    counts = tmp_path / "counts.parquet"
    first = discotrace.replay(trace, output=counts)
    assert discotrace.price(counts).equals(first)
    dearer = discotrace.price(counts, set={"memory.local_ns": 3000})
    assert dearer.equals(discotrace.replay(trace, set={"memory.local_ns": 3000}))
    with pytest.raises(OutputError, match="exists"):
        discotrace.replay(trace, output=counts)
    with pytest.raises(ConfigError, match="structural"):
        discotrace.price(counts, set={"tlb.entries": 16})


def test_a_sample_has_half_widths_beside_its_figures(tmp_path: Path) -> None:
    options = ("--window", "250000", "--sample", "--sample-intervals", "5", "--sample-seed", "3")
    with patch("discotrace.cli.sampled.pasts_folder", return_value=tmp_path / "pasts"):
        found = discotrace.replay(
            LONG, window=250_000, sample=True, intervals=5, seed=3, workers=2, output=tmp_path / "counts.parquet"
        )
        printed = json.loads(run("replay", LONG, *options, "--json").out)
    assert found.columns == ["system", *FIGURES, *HALF_WIDTHS]
    for row, result in zip(found.iter_rows(named=True), printed["results"], strict=True):
        flat = {**result, **result["rates"], **{f"{part}_ms": ms for part, ms in result["parts_ms"].items()}}
        for name, low in result["low"].items():
            half = row[f"{name}{HALF_WIDTH}"]
            assert result["high"][name] == pytest.approx(row[name] + half)
            assert low == pytest.approx(max(0, row[name] - half))
            assert name.endswith("_per_second") or row[name] == pytest.approx(flat[name])
    assert discotrace.price(tmp_path / "counts.parquet").equals(found)
    assert found["slowdown_half_width"].to_list()[0] == 0 < found["slowdown_half_width"].to_list()[1]


def test_a_point_of_a_sweep_is_a_replay(trace: Path, swept: Path) -> None:
    alone = discotrace.replay(trace, set={"tlb.entries": 32, "memory.remote_ns": 600})
    at = (pl.col("tlb.entries") == 32) & (pl.col("memory.remote_ns") == 600)
    assert discotrace.results(swept).filter(at).select(alone.columns).equals(alone)


def test_a_plan_says_what_a_sweep_needs(trace: Path) -> None:
    plan = discotrace.plan_of([str(trace)], set=AXES, vms=[1, 2], systems="native")
    assert (plan.points.height, len(plan.replays)) == (12, 2)


def test_a_sweep_file_is_read_and_arguments_come_first(trace: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(f'traces = ["{trace}"]\nsystems = ["native"]\n[set]\ntlb.entries = [16, 32]\n')
    assert discotrace.plan_of(file, set={"tlb.entries": [64]}, systems=["disco"]).points.height == 1
    with pytest.raises(ConfigError, match="stands alone"):
        discotrace.plan_of([str(file), str(trace)])


def test_curve_gives_what_the_command_writes(trace: Path, tmp_path: Path) -> None:
    found = discotrace.curve(trace, "l1d", sets="all", set={"l1d.ways": 4})
    target = tmp_path / "c.parquet"
    run("curve", str(trace), "--what", "l1d", "--sets", "all", "--set", "l1d.ways=4", "-o", str(target))
    assert found.equals(pl.read_parquet(target))


def test_answers_are_those_of_the_command(swept: Path) -> None:
    printed = json.loads(run("best", str(swept), "--minimize", "time", "--by", "system", "--top", "1", "--json").out)
    assert discotrace.best(swept, minimize="time", by="system", top=1).to_dicts() == printed["results"]
    front = json.loads(run("best", str(swept), "--pareto", "user_stall,entries", "--json").out)
    assert discotrace.best(swept, pareto="user_stall,entries").to_dicts() == front["results"]
    few = discotrace.best(swept, maximize="time", subject_to="tlb.entries == 16")
    assert set(few["tlb.entries"]) == {16}


def test_effects_are_shares_that_add_up(swept: Path) -> None:
    found = discotrace.effects(swept, of="user_stall", by="system")
    assert found.columns == ["system", "parameter", "beside", "share"]
    for _, shares in found.group_by("system"):
        assert shares["share"].sum() == pytest.approx(1)


def test_diff_compares_and_checks(trace: Path, swept: Path, tmp_path: Path) -> None:
    discotrace.sweep(trace, tmp_path / "s", set={**AXES, "l2.hit_ns": 500})
    found = discotrace.diff(swept, tmp_path / "s", of="user_stall")
    assert (found["user_stall_ms in B"] > found["user_stall_ms"]).all()
    with pytest.raises(CheckFailedError, match="user_stall>"):
        discotrace.diff(swept, tmp_path / "s", fail_if="user_stall>+1%")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda trace: discotrace.replay("nothing.parquet"), "no such file"),
        (lambda trace: discotrace.replay(trace, set={"tlb.size": 1}), "unknown key tlb.size"),
        (lambda trace: discotrace.replay(trace, workers=2), "give sample=True"),
        (lambda trace: discotrace.replay(trace, sample=True, crash="vm=0,at=1%"), "cannot be had with --crash"),
        (lambda trace: discotrace.sweep(trace, sets=1), "unknown entry sets; did you mean set"),
        (lambda trace: discotrace.sweep(trace, set=["tlb.entries=1"]), "expected values by key"),
        (
            lambda trace: discotrace.sweep(trace, set={"l2.size_kib": [300, 512]}, strict=True),
            "2 points are impossible",
        ),
        (lambda trace: discotrace.best("nothing", minimize="time"), "no such file or folder"),
        (lambda trace: discotrace.best(trace, minimize="time", pareto="a,b"), "no results of a sweep"),
        (lambda trace: discotrace.curve(trace, "l1", sets="some"), "sets is 'some'"),
        (lambda trace: discotrace.replay(trace, set="tlb.entries=3"), "expected values by key"),
        (lambda trace: discotrace.sweep(trace, workers=0), "0 workers cannot do anything"),
        (lambda trace: discotrace.replay(trace, sample=True, workers=-3), "-3 workers cannot do anything"),
    ],
)
def test_what_is_wrong_is_raised(trace: Path, wrong: object, message: str) -> None:
    with pytest.raises((ConfigError, TraceError), match=message):
        wrong(trace)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("verb", "function"),
    [(verb, getattr(api, verb.__name__)) for verb in (replay, price, sweep, curve, best, effects, diff)],
    ids=lambda one: one.__name__,
)
def test_names_are_those_of_the_command_line(verb: object, function: object) -> None:
    ours, theirs = (inspect.signature(one).parameters for one in (function, verb))  # type: ignore[arg-type]
    entries = {*KINDS, "vms"} if "entries" in ours else {*()}
    kept = {"output", "force"} if verb is curve else {*()}
    assert {*theirs} - PRINTED - OTHERWISE - kept <= {*ours, *entries}


def test_the_package_is_quick_to_import_and_replay_is_a_package_too() -> None:
    script = (
        "import sys, discotrace; assert 'polars' not in sys.modules; assert callable(discotrace.replay);"
        "from discotrace.replay.engine import Replay; assert callable(discotrace.replay);"
        "assert {'sweep', 'best'} <= set(dir(discotrace))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    with pytest.raises(AttributeError, match="no attribute 'rebate'"):
        discotrace.rebate  # type: ignore[attr-defined]  # noqa: B018
