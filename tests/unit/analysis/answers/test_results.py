"""The results of sweeps in whatever state."""

import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from discotrace.analysis.answers.results import read
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.tracegen.errors import ConfigError
from tests.unit.analysis.sweep.sweeping import plan_of, results, small_trace, swept

AXES: dict[str, Any] = {"tlb.entries": [16, 32], "memory.remote_ns": list(range(300, 300 + 2500))}


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_trace(tmp_path_factory.mktemp("traces"))


@pytest.fixture(scope="module")
def whole(trace: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks of 5,000 points."""
    folder = tmp_path_factory.mktemp("whole")
    swept(plan_of(trace, set=AXES), folder)
    assert len(list((folder / "priced").iterdir())) == 2
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "s"))


def test_a_sweep_that_is_done(whole: Path) -> None:
    for path in (whole, whole / "results.parquet"):
        found = read(path)
        assert found.rows.collect().equals(results(whole))
        assert (found.complete, found.points, found.by_status) == (True, 10_000, {"done": 10_000})
        assert found.parameters == ["tlb.entries", "memory.remote_ns"]
        assert found.varying == ["system", "tlb.entries", "memory.remote_ns"]
        assert (found.together, found.remarks) == ([], [])


def test_a_killed_sweep_has_its_blocks(whole: Path, folder: Path) -> None:
    (folder / "results.parquet").unlink()
    assert read(folder).rows.collect().equals(results(whole))
    assert read(folder).complete
    second = pl.read_parquet(
        gone := max((folder / "priced").iterdir(), key=lambda path: pl.read_parquet(path)["point"][0])
    )
    gone.unlink()
    found = read(folder)
    assert found.rows.collect().equals(results(whole).head(10_000 - second.height))
    assert not found.complete
    assert found.remarks == [f"{folder}: 5,000 of 10,000 points so far"]


def test_what_was_priced_after_results_were_written_is_there(whole: Path, folder: Path, trace: str) -> None:
    """A run that was stopped has left results of one block; the run that goes on prices the other."""
    from discotrace.analysis.sweep.results import assemble

    kept = sorted(path.stem for path in (folder / "priced").iterdir())
    assemble(SweepFolder(folder), kept[:1], SweepFolder(folder).asked() | {"complete": False})
    assert read(folder / "results.parquet").points == 5000
    assert read(folder / "results.parquet").remarks == [f"{folder / 'results.parquet'}: 5,000 of 10,000 points so far"]
    assert read(folder).rows.collect().equals(results(whole))


def test_a_half_written_block_is_not_read(folder: Path) -> None:
    (folder / "results.parquet").unlink()
    (folder / "priced" / ".x.parquet.1234.tmp").write_bytes(b"PAR1")
    (folder / "priced" / ".x.parquet").write_bytes(b"PAR1")
    assert read(folder).points == 10_000


def test_results_of_another_sweep_do_not_count(folder: Path, trace: str) -> None:
    other = plan_of(trace, set={"tlb.entries": [64, 128]})
    before = (folder / "results.parquet").read_bytes()
    swept(other, folder, force=True)
    (folder / "results.parquet").write_bytes(before)
    found = read(folder)
    assert (found.points, found.complete, found.parameters) == (4, True, ["tlb.entries"])


def test_a_forced_sweep_leaves_no_block_of_the_one_before_while_it_runs(folder: Path, trace: str) -> None:
    class LookedError(Exception):
        pass

    def workers() -> Any:
        assert list((folder / "priced").iterdir()) == []
        raise LookedError

    with pytest.raises(LookedError):
        swept(plan_of(trace, set={"tlb.entries": [64, 128]}), folder, workers, force=True)
    with pytest.raises(ConfigError, match="has no results yet"):
        read(folder)


def test_of_a_block_that_was_priced_twice_the_newer_counts(folder: Path) -> None:
    """A replay failed, and the next run made it."""
    (folder / "results.parquet").unlink()
    (path, *_) = (folder / "priced").iterdir()
    failed = path.with_name(f"{path.stem}-0123.parquet")
    pl.read_parquet(path).with_columns(status=pl.lit("failed"), time_ms=pl.lit(None, pl.Float64)).write_parquet(failed)
    os.utime(failed, ns=(0, 0))
    assert read(folder).by_status == {"done": 10_000}
    os.utime(path, ns=(0, 0))
    os.utime(failed)
    assert read(folder).by_status == {"done": 5000, "failed": 5000}
    assert read(folder).remarks == [f"{folder}: points that are left out: 5,000 failed"]


def test_impossible_points_are_told(trace: str, tmp_path: Path) -> None:
    swept(plan_of(trace, set={"l2.size_kib": [300, 512]}), tmp_path)
    assert read(tmp_path).complete
    assert read(tmp_path).remarks == [f"{tmp_path}: points that are left out: 2 impossible"]


def test_keys_that_went_together_are_known(trace: str, tmp_path: Path) -> None:
    axes = {"l1i.size_kib": [16, 32], "l1d.size_kib": [16, 32], "tlb.entries": [16, 32]}
    swept(plan_of(trace, set=axes, zip=["l1i.size_kib,l1d.size_kib"], systems=["native"]), tmp_path)
    assert read(tmp_path).together == [("l1i.size_kib", "l1d.size_kib")]
    assert read(tmp_path).varying == list(axes)


def test_interpolated_times_are_remarked(folder: Path) -> None:
    found = read(folder)
    doubtful = found.rows.with_columns(interpolation_error=pl.lit(0.0123))
    assert type(found)("s", doubtful, found.about, complete=True).remarks == [
        "s: times are interpolated, up to 1.2 % off as far as checked"
    ]


def test_what_is_no_sweep_is_said(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "text").write_text("time")
    pl.DataFrame({"time_ms": [1.0]}).write_parquet(tmp_path / "other.parquet")
    (folder / "results.parquet").unlink()
    for path in (folder / "priced").iterdir():
        path.write_bytes(b"PAR1")
    for path, message in (
        (tmp_path / "nowhere", "there is no such file or folder"),
        (tmp_path, "is no folder of a sweep: it has no sweep.json"),
        (tmp_path / "text", "is no Parquet file"),
        (tmp_path / "other.parquet", "has no results of a sweep"),
        (folder, "damaged; remove it and sweep again"),
    ):
        with pytest.raises(ConfigError, match=message):
            read(path)
