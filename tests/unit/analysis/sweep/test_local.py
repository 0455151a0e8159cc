"""Workers on this computer, real processes all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from discotrace.analysis.sweep.local import LocalWorkers
from discotrace.analysis.sweep.workers import Done, Failed, Lost, News, Rows, Task, Work
from tests.unit.analysis.sweep import tasks

ROOT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def outcomes(*work: tuple[Work, Any], count: int = 2) -> dict[Any, News]:
    """What came of tasks, by their argument."""
    found: dict[Any, News] = {}
    waiting = [Task(*one) for one in work]
    with LocalWorkers(count) as workers:
        while len(found) < len(work):
            while workers.room and waiting:
                workers.submit(waiting.pop(0))
            for news in workers.news(60):
                if not isinstance(news, Rows):
                    found[news.task.argument] = news
    return found


def test_results_and_rows_come_back() -> None:
    task, rows = Task(tasks.double, 4), 0
    with LocalWorkers(1) as workers:
        assert (workers.count, workers.room) == (1, 1)
        workers.submit(task)
        assert workers.room == 0
        news: News | None = None
        while not isinstance(news, Done):
            for news in workers.news(60):
                rows += news.count if isinstance(news, Rows) else 0
        assert workers.room == 1
    assert (news.task, news.result, rows) == (task, 8, 4)


def test_there_are_as_many_processes_as_asked_for_and_each_is_used_again() -> None:
    found = outcomes(*((tasks.process, None),) * 1, *((tasks.process, number) for number in range(7)), count=2)
    assert len({news.result for news in found.values() if isinstance(news, Done)}) == 2


def test_an_exception_is_news() -> None:
    news = outcomes((tasks.refuse, "no"))["no"]
    assert isinstance(news, Failed)
    assert isinstance(news.fault, ValueError)
    assert str(news.fault) == "no"


def test_an_exception_that_cannot_be_sent_is_told_in_words() -> None:
    news = outcomes((tasks.refuse_strangely, 1))[1]
    assert isinstance(news, Failed)
    assert str(news.fault) == "UnsendableError: 2"


@pytest.mark.parametrize(
    ("work", "argument", "why"),
    [
        (tasks.die, int(signal.SIGKILL), "killed by SIGKILL"),
        (tasks.die, int(signal.SIGSEGV), "killed by SIGSEGV"),
        (tasks.leave, 3, "ended with exit code 3"),
    ],
)
def test_a_worker_that_dies_is_news_and_is_replaced(work: Work, argument: int, why: str) -> None:
    found = outcomes((work, argument), (tasks.double, 40), (tasks.double, 41), (tasks.double, 42), count=1)
    lost = found[argument]
    assert isinstance(lost, Lost)
    assert lost.why == why
    assert all(isinstance(found[number], Done) for number in (40, 41, 42))


def _noted(path: Path) -> int:
    while not path.exists() or not path.read_text():
        time.sleep(0.02)
    return int(path.read_text())


def _is_gone(process: int) -> bool:
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_busy_workers_are_gone_when_they_are_let_go(tmp_path: Path) -> None:
    with LocalWorkers(1) as workers:
        workers.submit(Task(tasks.note_and_sleep, str(tmp_path / "pid")))
        process = _noted(tmp_path / "pid")
    assert _is_gone(process)


def test_busy_workers_do_not_outlive_who_started_them(tmp_path: Path) -> None:
    """Killed, nobody can tell them: they notice the end of their input."""
    script = (
        "import sys\n"
        "from discotrace.analysis.sweep.local import LocalWorkers\n"
        "from discotrace.analysis.sweep.workers import Task\n"
        "from tests.unit.analysis.sweep import tasks\n"
        "with LocalWorkers(1) as workers:\n"
        "    workers.submit(Task(tasks.note_and_sleep, sys.argv[1]))\n"
        "    workers.news(600)\n"
    )
    path = tmp_path / "pid"
    starter = subprocess.Popen([sys.executable, "-c", script, str(path)])
    process = _noted(path)
    starter.kill()
    starter.wait()
    assert _is_gone(process)
