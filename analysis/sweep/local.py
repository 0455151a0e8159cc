"""Workers on this computer: processes, each with its tasks on its standard input (``worker``)."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Self

from discotrace.analysis.sweep.worker import DONE, ROWS
from discotrace.analysis.sweep.workers import Done, Failed, Lost, News, Rows, Task

SINGLE_THREADED = dict.fromkeys(  # for libraries that would start as many threads as there are cores
    ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
WORKER = (sys.executable, "-m", "discotrace.analysis.sweep.worker")


class _Process:
    """A worker process and the task that it has."""

    def __init__(self) -> None:
        (its_input, tasks), (answers, its_output) = os.pipe(), os.pipe()
        environment = {**os.environ, **SINGLE_THREADED}  # there is a worker for each core
        self._process = subprocess.Popen(WORKER, stdin=its_input, stdout=its_output, env=environment)
        os.close(its_input)  # with these open here, the end of neither of us would be noticed by the other
        os.close(its_output)
        self._tasks = Connection(tasks, readable=False)
        self.answers = Connection(answers, writable=False)
        self.task: Task | None = None

    def begin(self, task: Task) -> None:
        """Give it a task. A process that has died is found out when its answers are read."""
        self.task = task
        with suppress(BrokenPipeError):
            self._tasks.send((task.function, task.argument))

    def answer(self) -> News | None:
        """The next answer; waits for it. None if the process has died without a task."""
        try:
            kind, value = self.answers.recv()
        except (EOFError, OSError):
            return None if self.task is None else Lost(self.task, self._how_it_ended())
        assert self.task is not None
        if kind == ROWS:
            return Rows(self.task, value)
        task, self.task = self.task, None
        return Done(task, value) if kind == DONE else Failed(task, value)

    def end(self) -> None:
        """It is gone, whatever it was doing."""
        self._process.kill()
        self._process.wait()
        self._tasks.close()
        self.answers.close()

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class LocalWorkers:
    """Worker processes on this computer. One that dies is replaced, and its task is news."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._processes: dict[Connection, _Process] = {}  # by where their answers come from

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.end()
        self._processes.clear()

    @property
    def count(self) -> int:
        """As many as there may be."""
        return self._count

    @property
    def room(self) -> int:
        """A task for each that has none."""
        return self._count - sum(process.task is not None for process in self._processes.values())

    def shares(self, folder: Path) -> bool:
        """See ``Workers``: they are on this computer."""
        return True

    def submit(self, task: Task) -> None:
        """See ``Workers``; there must be room."""
        idle = (process for process in self._processes.values() if process.task is None)
        (next(idle, None) or self._another()).begin(task)

    def news(self, seconds: float) -> list[News]:
        """See ``Workers``."""
        found: list[News] = []
        for ready in wait(self._processes, seconds):
            process = self._processes[ready]  # type: ignore[index]  # only connections are waited for
            answer = process.answer()
            if answer is None or isinstance(answer, Lost):
                del self._processes[process.answers]
                process.end()
            if answer is not None:
                found.append(answer)
        return found

    def _another(self) -> _Process:
        process = _Process()
        self._processes[process.answers] = process
        return process


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
