"""Tasks that are all needed, whatever becomes of workers."""

from pathlib import Path

import pytest

from discotrace.analysis.sweep.local import LocalWorkers
from discotrace.analysis.sweep.together import all_done
from discotrace.analysis.sweep.workers import LIVES, Lost, News, Task
from discotrace.tracegen.errors import DiscotraceError
from tests.unit.analysis.sweep import tasks
from tests.unit.analysis.sweep.sweeping import Inline


def test_results_are_in_the_order_of_the_tasks() -> None:
    given = [Task(tasks.double, number) for number in range(5)]
    with LocalWorkers(2) as workers:
        assert all_done(given, workers) == [0, 2, 4, 6, 8]


def test_what_a_task_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="no"):
        all_done([Task(tasks.double, 1), Task(tasks.refuse, "no")], Inline())


class Dying(Inline):
    """Its workers die of a task so many times."""

    def __init__(self, deaths: int) -> None:
        super().__init__()
        self._deaths = deaths

    def carry_out(self, task: Task) -> list[News]:
        if self._deaths:
            self._deaths -= 1
            return [Lost(task, "killed by SIGKILL")]
        return super().carry_out(task)


def test_what_a_dead_worker_had_is_done_again() -> None:
    assert all_done([Task(tasks.double, 1), Task(tasks.double, 2)], Dying(LIVES - 1)) == [2, 4]


def test_a_task_that_workers_die_of_is_given_up() -> None:
    with pytest.raises(DiscotraceError, match=r"2 workers died of the same task, the last: killed by SIGKILL"):
        all_done([Task(tasks.double, 1)], Dying(LIVES))


def test_a_killed_process_is_replaced(tmp_path: Path) -> None:
    with LocalWorkers(1) as workers:
        assert all_done([Task(tasks.die_once, str(tmp_path / "died"))], workers) == ["alive"]
