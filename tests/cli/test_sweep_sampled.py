"""``discotrace sweep --sample``, here and on a cluster."""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import polars as pl
import pytest

from tests.cli.clusters import running_cluster
from tests.cli.running import assert_refused, run

TRACE = str(Path(__file__).parents[2] / "traces" / "pmake-generated.parquet")
SAMPLE = ("--sample", "--sample-intervals", "5", "--window", "250000", "--system", "native")
AXES = ("--set", "tlb.entries=32,64", "--set", "memory.remote_ns=300,900")


@pytest.fixture(scope="module", autouse=True)
def pasts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("pasts")
    with patch("discotrace.cli.sweep.pasts_folder", return_value=folder):
        yield


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    ended = run("sweep", TRACE, *SAMPLE, *AXES, "-o", str(folder), "--workers", "1")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("4 of 4 points from 2 replays, 2 of them made now, in ")
    return folder


def test_a_sweep_file_says_the_same(swept: Path, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    entries = "sample = true\nsample_intervals = 5\nwindow = 250000\nsystems = ['native']\n"
    file.write_text(f"traces = ['{TRACE}']\n{entries}[set]\ntlb.entries = [32, 64]\nmemory.remote_ns = [300, 900]\n")
    ended = run("sweep", str(file), "-o", str(swept), "--json")
    assert json.loads(ended.out)["replays_made"] == 0


def test_a_dry_run_guesses(swept: Path, tmp_path: Path) -> None:
    there = run("sweep", TRACE, *SAMPLE, *AXES, "-o", str(swept), "--dry-run").out
    assert "2 distinct replays, 2 of them there already" in there
    fresh = run("sweep", TRACE, *SAMPLE, *AXES, "-o", str(tmp_path / "s"), "--dry-run").out
    assert fresh.endswith("; a guess\n")


def test_answers_say_that_they_are_of_samples(swept: Path) -> None:
    for verb in (("best", str(swept), "--minimize", "time"), ("effects", str(swept)), ("diff", str(swept), str(swept))):
        ended = run(*verb)
        assert ended.code == 0
        assert "figures are those of samples; how sure they are is in columns like time_ms_half_width" in ended.err
    best = json.loads(run("best", str(swept), "--minimize", "time_ms_half_width", "--top", "1", "--json").out)
    assert best["results"][0]["time_ms_half_width"] > 0


def test_counts_of_a_point_can_be_priced(swept: Path) -> None:
    assert "±" in run("price", str(next(swept.glob("counts/*/*.parquet")))).out


def test_another_sample_is_another_sweep(swept: Path) -> None:
    other = run("sweep", TRACE, *SAMPLE, "--sample-seed", "2", *AXES, "-o", str(swept))
    assert_refused(other, "has another sweep")
    assert_refused(run("sweep", TRACE, "--sample-seed", "2", *AXES), "sample_seed is for a sweep of samples")


def test_workers_elsewhere_make_the_same_results(
    swept: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        running_cluster(tmp_path) as cluster,
        patch("discotrace.cli.sweep.pasts_folder", return_value=tmp_path_factory.mktemp("others")),
    ):
        ended = run("sweep", TRACE, *SAMPLE, *AXES, "-o", str(tmp_path / "s"), "--on", cluster.address)
    assert (ended.code, ended.err) == (0, "")
    found, expected = (pl.read_parquet(folder / "results.parquet") for folder in (tmp_path / "s", swept))
    assert found.equals(expected)
    ours, theirs = (
        {one.name: one.read_bytes() for one in folder.glob("counts/*/*")} for folder in (tmp_path / "s", swept)
    )
    assert ours == theirs
