"""``discotrace sweep --on``: a real scheduler and workers as their commands start them, on this computer's loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from discotrace.tracegen.errors import DiscotraceError
from tests.cli.clusters import Cluster, running_cluster
from tests.cli.running import assert_refused, run, sample_trace
from tests.unit.analysis.sweep.sweeping import Notes, plan_of, results, swept

AXES = ["--set", "tlb.entries=16,32", "--set", "memory.remote_ns=300:900:300"]
SBATCH = """#!{python}
import subprocess, sys, pathlib
script = pathlib.Path(sys.argv[1]).read_text()
copy = pathlib.Path({folder!r}) / "script"
copy.write_text(script)
job = subprocess.Popen(["bash", str(copy)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, start_new_session=True)
print("Submitted batch job", job.pid)
"""
SCANCEL = """#!{python}
import os, signal, sys
os.killpg(int(sys.argv[1]), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample_trace(tmp_path_factory.mktemp("traces") / "t.parquet", 60)


@pytest.fixture(scope="module")
def expected(trace: str, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("here")
    swept(plan_of(trace, set={"tlb.entries": [16, 32], "memory.remote_ns": [300, 600, 900]}), folder)
    return results(folder)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path) as cluster:
        yield cluster


class Killer(Notes):
    """A watcher that kills a process when the first replays are counted."""

    def __init__(self, victim: subprocess.Popen[bytes]) -> None:
        super().__init__()
        self._victim = victim

    def replays(self, count: int) -> None:
        super().replays(count)
        self._victim.kill()


def test_workers_elsewhere_make_the_same_results_until_the_scheduler_is_gone(
    trace: str,
    expected: pl.DataFrame,
    scheduler: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = scheduler.address
    monkeypatch.chdir(Path(trace).parent)  # not where the workers are: paths from there must hold for them too
    ended = run("sweep", "t.parquet", *AXES, "-o", "swept", "--on", address)
    assert (ended.code, ended.err) == (0, "")
    found = pl.read_parquet("swept/results.parquet")
    assert found.drop("trace").equals(expected.drop("trace"))

    from discotrace.analysis.sweep.cluster import ClusterWorkers

    plan, folder, watcher = (
        plan_of(trace, set={"tlb.entries": [4, 8, 16, 32, 64]}),
        tmp_path / "s",
        Killer(scheduler.process),
    )
    with pytest.raises(DiscotraceError, match="is gone; the same command goes on from what is kept") as why:
        swept(plan, folder, lambda: ClusterWorkers(address, 1), watcher)
    assert "\n" not in str(why.value)
    counted = len(list(folder.glob("counts/*/*.parquet")))
    assert watcher.counted["replays"] <= counted < len(plan.replays)
    assert swept(plan, folder).replays_made <= len(plan.replays) - counted


def test_jobs_of_a_queueing_system(
    trace: str, expected: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands are our own: they run the job's script here."""
    import dask

    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = tmp_path / name
        path.write_text(text.format(python=sys.executable, folder=str(tmp_path)))
        path.chmod(0o755)
    assert_refused(
        run("sweep", trace, *AXES, "-o", str(tmp_path / "s"), "--on", "slurm", "--workers", "1"),
        "sbatch is not on this computer",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    arguments = ("sweep", trace, *AXES, "-o", str(tmp_path / "swept"), "--on", "slurm", "--workers", "1")
    assert_refused(run(*arguments), "--on slurm: You must specify how much cores and memory", "jobqueue.yaml")
    described = {"cores": 1, "memory": "2GB", "interface": "lo", "shared-temp-directory": str(tmp_path)}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in described.items()}):
        ended = run(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert pl.read_parquet(tmp_path / "swept" / "results.parquet").equals(expected)
    assert "#SBATCH --mem=2G" in (tmp_path / "script").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "cloud"], "--on is 'cloud', expected local, slurm, pbs"),
        (["--on", "dask://"], "expected local"),
        (["--on", "http://host:1"], "expected local"),
        (["--on", "dask://host"], "expected local"),
        (["--on", "pbs"], "--on pbs needs --workers N"),
    ],
)
def test_what_is_no_cluster_is_one_line(trace: str, tmp_path: Path, arguments: list[str], message: str) -> None:
    assert_refused(run("sweep", trace, *arguments, "-o", str(tmp_path / "s")), message)
    assert not (tmp_path / "s").exists()


def test_a_scheduler_that_does_not_answer_is_one_line(
    trace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discotrace.analysis.sweep.clusters.PATIENCE", 1)
    ended = run("sweep", trace, "-o", str(tmp_path / "s"), "--on", "dask://127.0.0.1:1")
    assert_refused(ended, "no Dask scheduler answers at dask://127.0.0.1:1 within 1 s: start one with: dask scheduler")


@pytest.mark.parametrize(("on", "module"), [("local", "distributed"), ("slurm", "dask_jobqueue")])
def test_without_dask_the_error_says_what_to_install(
    trace: str, monkeypatch: pytest.MonkeyPatch, on: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert_refused(run("sweep", trace, "--on", on, "--workers", "1"), "pip install 'discotrace[dask]'")
