"""Generates traces in processes of their own, while others that are there already are replayed.

Traces of one workload are made one after the other: the first compiles what all of them run.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

from discotrace.analysis.paper.experiments import TraceSpec
from discotrace.analysis.paper.traces import make_trace
from discotrace.tracegen.errors import DiscotraceError

_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Job:
    """A trace to generate, and where."""

    spec: TraceSpec
    path: Path


@dataclass
class _Worker:
    job: Job
    process: BaseProcess
    answer: Connection


class Generation:
    """Makes traces beside what else goes on; ``finished`` gives each as it is ready."""

    def __init__(self, jobs: Iterable[Job], workers: int, on_start: Callable[[TraceSpec], None]) -> None:
        self._waiting = list(jobs)
        self._count = len(self._waiting)
        self._workers = workers
        self._on_start = on_start
        self._running: list[_Worker] = []
        self._finished: SimpleQueue[TraceSpec | DiscotraceError] = SimpleQueue()
        self._stop = Event()
        self._thread = Thread(target=self._work, daemon=True)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Works while the block runs; when it is left early, what is not done is given up."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def finished(self) -> Iterator[TraceSpec]:
        """Each trace when it is there. Raises what went wrong with one."""
        for _ in range(self._count):
            answer = self._finished.get()
            if isinstance(answer, DiscotraceError):
                raise answer
            yield answer

    def _work(self) -> None:
        try:
            while (self._waiting or self._running) and not self._stop.is_set():
                self._start_some()
                wait([worker.process.sentinel for worker in self._running], _SECONDS_BETWEEN_LOOKS)
                self._collect()
        finally:
            for worker in self._running:
                worker.process.terminate()
                worker.process.join()

    def _start_some(self) -> None:
        for job in list(self._waiting):
            if len(self._running) >= self._workers:
                return
            if job.spec.workload not in {worker.job.spec.workload for worker in self._running}:
                self._waiting.remove(job)
                self._running.append(_started(job))
                self._on_start(job.spec)

    def _collect(self) -> None:
        for worker in [worker for worker in self._running if not worker.process.is_alive()]:
            self._running.remove(worker)
            self._finished.put(_answer(worker))


def _started(job: Job) -> _Worker:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_generate, args=(job, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(job, process, mine)


def _answer(worker: _Worker) -> TraceSpec | DiscotraceError:
    worker.process.join()
    if worker.process.exitcode == 0:
        return worker.job.spec
    try:
        reason = str(worker.answer.recv())
    except EOFError:
        reason = f"its process ended with code {worker.process.exitcode}"
    return DiscotraceError(f"trace {worker.job.spec.name} could not be generated: {reason}")


def _generate(job: Job, answer: Connection) -> None:
    """What a worker does: Ctrl-C is the parent's business, whose end is ours too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the half-made file is removed
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        make_trace(job.spec, job.path)
    except Exception as fault:  # whatever it is: a worker has no other way to say why it ended
        answer.send(" ".join(str(fault).split()) or type(fault).__name__)
        sys.exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
