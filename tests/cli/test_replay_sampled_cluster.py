"""``discotrace replay --sample --on``: intervals replayed by workers elsewhere."""

import json
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from discotrace.analysis.sampling.pieces import replay_pieces
from discotrace.analysis.sweep.cluster import ClusterWorkers
from discotrace.analysis.sweep.workers import Task
from tests.cli.clusters import running_cluster
from tests.cli.running import Ended, assert_refused, run

TRACE = Path(__file__).parents[2] / "traces" / "pmake-generated.parquet"
SAMPLE = ("--sample", "--sample-intervals", "5", "--window", "250000", "--system", "native", "--json")


@pytest.fixture(scope="module")
def pasts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pasts")


def sampled(pasts: Path, *options: str, trace: str = str(TRACE)) -> Ended:
    with patch("discotrace.cli.sampled.pasts_folder", return_value=pasts):
        return run("replay", trace, *SAMPLE, *options)


def test_workers_elsewhere_give_the_same_answer_though_one_is_killed(
    pasts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = json.loads(sampled(pasts).out)
    submit = ClusterWorkers.submit
    given: list[Task] = []
    with running_cluster(tmp_path) as cluster:

        def submit_and_kill(self: ClusterWorkers, task: Task) -> None:
            submit(self, task)
            given.append(task)
            if len(given) == 3:
                cluster.workers[0].kill()

        monkeypatch.setattr(ClusterWorkers, "submit", submit_and_kill)
        monkeypatch.chdir(TRACE.parent)  # not where the workers are: paths from there must hold for them too
        ended = sampled(Path(os.path.relpath(pasts)), "--on", cluster.address, trace=TRACE.name)
    assert ended.err == ""
    assert json.loads(ended.out)["results"] == expected["results"]
    assert {task.function for task in given} == {replay_pieces}
    assert [len(task.argument.firsts) for task in given[:2]] == [2, 1]


def test_a_folder_that_workers_do_not_see_is_one_line(pasts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClusterWorkers, "shares", lambda self, folder: False)
    ended = sampled(pasts, "--on", "local", "--workers", "1")
    assert_refused(ended, "the workers do not see", str(pasts), "XDG_CACHE_HOME name a folder that all share")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--on", "cloud"), "--on is 'cloud', expected local, slurm, pbs"),
        (("--on", "slurm"), "--on slurm needs --workers N"),
    ],
)
def test_what_is_no_cluster_is_one_line(pasts: Path, options: tuple[str, ...], message: str) -> None:
    assert_refused(sampled(pasts, *options), message)


@pytest.mark.parametrize(
    "option", [("--on", "local"), ("--workers", "2"), ("--sample-intervals", "25"), ("--sample-seed", "2")]
)
def test_a_whole_trace_is_for_one_worker(option: tuple[str, str]) -> None:
    assert_refused(run("replay", str(TRACE), *option), "--on are for intervals of a trace: give --sample")
