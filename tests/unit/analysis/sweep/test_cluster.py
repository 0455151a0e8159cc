"""Workers of a Dask scheduler: a real one, with worker processes on this computer."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from discotrace.analysis.sweep import cluster as module
from discotrace.analysis.sweep.cluster import ClusterWorkers
from discotrace.analysis.sweep.cluster_task import carry_out, code
from discotrace.analysis.sweep.clusters import local_cluster
from discotrace.analysis.sweep.counting import Counting, count
from discotrace.analysis.sweep.execute import tasks_of
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import Plan
from discotrace.analysis.sweep.workers import Done, Failed, Lost, News, Rows, Task
from discotrace.tracegen.errors import ConfigError, TraceError
from tests.unit.analysis.sweep import tasks
from tests.unit.analysis.sweep.sweeping import Notes, plan_of, results, small_trace, swept

AXES: dict[str, Any] = {
    "set": {"tlb.entries": [16, 32, 64], "l2.size_kib": [256, 512], "memory.remote_ns": [300, 900]},
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_cluster(2) as cluster:
        yield str(cluster.scheduler_address)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_of(small_trace(tmp_path_factory.mktemp("traces")), **AXES)


@pytest.fixture(scope="module")
def expected(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("here")
    swept(plan, folder)
    return folder


def assert_same(folder: Path, expected: Path) -> None:
    """Results are equal, counts to the byte, and nothing else is left in the folder."""
    assert results(folder).equals(results(expected))
    found, wanted = ({path.name: path.read_bytes() for path in one.glob("counts/*/*")} for one in (folder, expected))
    assert found == wanted
    assert not list(folder.rglob("*.tmp"))


def outcome(address: str, task: Task) -> News:
    """What comes of one task."""
    with ClusterWorkers(address, 1) as workers:
        workers.submit(task)
        while True:
            for news in workers.news(60):
                if not isinstance(news, Rows):
                    return news


def workers_of(address: str) -> Callable[[], ClusterWorkers]:
    return lambda: ClusterWorkers(address, 1)


def test_a_folder_that_workers_do_not_see_is_filled_by_us(
    address: str, plan: Plan, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterWorkers, "shares", lambda self, folder: False)
    monkeypatch.setattr(
        module, "local_cluster", lambda count: LocalCluster(count, processes=False, dashboard_address=":0")
    )
    asked: list[Task] = []
    submit = ClusterWorkers.submit
    monkeypatch.setattr(ClusterWorkers, "submit", lambda self, task: (asked.append(task), submit(self, task))[1])
    swept(plan, tmp_path, workers_of(address))
    counting = [task.argument for task in asked if task.function is count]
    assert counting
    assert all(one.folder is None for one in counting)
    assert_same(tmp_path, expected)


def test_large_tasks_go_through_the_folder(
    address: str, plan: Plan, expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 0)
    swept(plan, tmp_path, workers_of(address))
    assert_same(tmp_path, expected)


class Interrupted(Notes):
    """A watcher beside which somebody presses Ctrl-C when the first replays are counted."""

    def replays(self, count: int) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_takes_back_what_was_not_begun_and_the_same_sweep_goes_on(
    address: str, plan: Plan, expected: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        swept(plan, tmp_path, workers_of(address), Interrupted())
    with ClusterWorkers(address, 1) as workers:
        left: Any = 1
        for _ in range(200):
            left = workers._clients[0].run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
            if not left:
                break
            time.sleep(0.05)
        assert left == 0
    assert swept(plan, tmp_path, workers_of(address)).done == 24
    assert_same(tmp_path, expected)


def test_a_worker_with_other_code_is_refused(
    address: str, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "code", lambda: ("99.0", "f" * 64))
    with pytest.raises(
        ConfigError, match=r"the worker on .* has discotrace 0\..*, who asks has 99\.0 \(sources ffffffff"
    ):
        swept(plan, tmp_path, workers_of(address))


def test_rows_are_told_while_a_task_works(address: str) -> None:
    with ClusterWorkers(address, 1) as workers:
        workers.submit(Task(tasks.slow, 3))
        told: list[News] = []
        while not any(isinstance(news, Done) for news in told):
            told += workers.news(60)
    assert sum(news.count for news in told if isinstance(news, Rows)) in (1, 2)


def test_results_and_exceptions_come_back(address: str) -> None:
    done = outcome(address, Task(tasks.double, 4))
    assert isinstance(done, Done)
    assert done.result == 8
    failed = outcome(address, Task(tasks.refuse, "no"))
    assert isinstance(failed, Failed)
    assert (type(failed.fault), str(failed.fault)) == (ValueError, "no")


def test_there_is_room_for_two_tasks_a_thread(address: str) -> None:
    with ClusterWorkers(address, 1) as workers:
        assert (workers.count, workers.room) == (2, 4)
        workers.submit(Task(tasks.process, None))
        assert workers.room == 3


def test_threads_of_jobs_that_wait_are_counted() -> None:
    workers = ClusterWorkers("slurm", 4)
    workers._threads_of_each = 32
    assert workers.count == 128


def test_ctrl_c_is_not_for_workers(address: str) -> None:
    """A terminal sends it to all processes that were started there."""
    with ClusterWorkers(address, 1) as workers:
        assert set(workers._clients[0].run(signal.getsignal, signal.SIGINT).values()) == {signal.SIG_IGN}


def counting_of(plan: Plan) -> Counting:
    return tasks_of(plan.replays, plan.spec.window, None, 1)[0]


def _sent(argument: object) -> bytes:
    return ClusterWorkers("dask://nowhere:1", 1)._packed(Task(count, argument), "key")  # type: ignore[return-value]


def test_a_folder_that_a_later_worker_does_not_see_is_not_made_there(plan: Plan, tmp_path: Path) -> None:
    task = replace(counting_of(plan), folder=SweepFolder(tmp_path / "gone"))
    with pytest.raises(ConfigError, match=r"does not see the folder .*gone"):
        carry_out(_sent(task), code(), tmp_path / "gone" / ".seen", lambda rows: None)
    assert not (tmp_path / "gone").exists()


def test_a_trace_that_a_worker_does_not_see_is_named_with_the_worker(plan: Plan) -> None:
    task = counting_of(plan)
    elsewhere = replace(task.wanted[0].trace, source="/nowhere/t.parquet")
    task = replace(task, wanted=tuple(replace(one, trace=elsewhere) for one in task.wanted))
    with pytest.raises(TraceError, match=r"/nowhere/t.parquet: there is no such file \(on the worker on .* must find"):
        carry_out(_sent(task), code(), None, lambda rows: None)


def test_another_trace_under_the_same_name_is_noticed(plan: Plan, tmp_path: Path) -> None:
    task = counting_of(plan)
    other = replace(task.wanted[0].trace, source=small_trace(tmp_path, 50))
    task = replace(task, wanted=tuple(replace(one, trace=other) for one in task.wanted))
    with pytest.raises(TraceError, match=r"is another file than when the sweep was planned.* \(on the worker"):
        carry_out(_sent(task), code(), None, lambda rows: None)


def test_a_policy_that_a_worker_does_not_have_is_no_impossible_point(plan: Plan, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from discotrace.monitor.placement.base import Policy\n"
        "class Mine(Policy):\n    def place(self, page, cpu, nodes):\n        return 0\n"
    )
    trace = plan.spec.traces[0]
    with_policy = plan_of(trace, systems=["disco"], set={"placement.policy": [str(path)]})
    task = counting_of(with_policy)
    elsewhere = [_under(one, "/nowhere/mine.py") for one in task.wanted]
    with pytest.raises(ConfigError, match=r"has another placement policy /nowhere/mine.py"):
        carry_out(_sent(replace(task, wanted=tuple(elsewhere))), code(), None, lambda rows: None)


def _under(wanted: Any, policy: str) -> Any:
    machine = wanted.configuration.machine
    placed = replace(machine, placement=replace(machine.placement, policy=policy))
    return replace(wanted, configuration=replace(wanted.configuration, machine=placed))


KILLED_AT = 3  # tasks that are given out at the same time, to two workers


class Killing(ClusterWorkers):
    """With somebody who kills a worker that has a task, once, as soon as there is one and some tasks are given out."""

    killed = False

    def submit(self, task: Task) -> None:
        super().submit(task)
        if len(self._tasks) >= KILLED_AT and not self.killed:
            client = self._clients[0]
            processes = client.run(os.getpid)
            for worker in [worker for worker, keys in client.processing().items() if keys][:1]:
                os.kill(processes[worker], signal.SIGKILL)
                self.killed = True

    def __exit__(self, *_: object) -> None:
        self.suspicious = self._clients[0].run_on_scheduler(
            lambda dask_scheduler: sum(one.suspicious for one in dask_scheduler.task_prefixes.values())
        )
        super().__exit__()


def test_a_worker_is_killed_and_the_results_are_those_of_this_computer(
    address: str, plan: Plan, expected: Path, tmp_path: Path
) -> None:
    workers, notes = Killing(address, 1), Notes()
    summary = swept(plan, tmp_path, lambda: workers, notes)
    assert (summary.done, summary.failed) == (24, 0)
    assert workers.suspicious > 0, "the killed worker had something to do"
    assert_same(tmp_path, expected)
    rows = sum(one.trace.rows for one in plan.replays)
    assert notes.counted == {"rows": rows, "replays": len(plan.replays), "points": 24}


def test_a_task_that_workers_die_of_is_news_and_what_waited_behind_it_is_done(address: str) -> None:
    deadly, innocent = Task(tasks.die_slowly, None), [Task(tasks.double, number) for number in range(3)]
    found: list[News] = []
    with ClusterWorkers(address, 1) as workers:
        for task in (deadly, *innocent):
            workers.submit(task)
        began = time.monotonic()
        while len(found) < 4 and time.monotonic() < began + 60:
            found += [news for news in workers.news(5) if not isinstance(news, Rows)]
    lost = [news for news in found if isinstance(news, Lost)]
    assert [(news.task, news.deaths, news.why[:6]) for news in lost] == [(deadly, 2, "tcp://")]
    assert sorted(news.result for news in found if isinstance(news, Done)) == [0, 2, 4]
