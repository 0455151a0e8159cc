"""A worker: a process that carries out the tasks which come in on its standard input.

``python -m discotrace.analysis.sweep.worker``. A task is a function and its argument; answers, on standard output, are
``(ROWS, count)`` while it works, in any number, then ``(DONE, result)`` or ``(FAILED, exception)``. It is a program of
its own, and not a process of ``multiprocessing``, which would run a user's script once more in every worker.
"""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from discotrace.analysis.sweep.workers import Work

ROWS, DONE, FAILED = "rows", "done", "failed"
OFTEN = 0.1  # seconds between two words of how far it is


class Reporter:
    """Tells how many rows are done, not more often than every ``often`` seconds."""

    def __init__(self, tell: Callable[[str, Any], None], often: float = OFTEN) -> None:
        self._tell = tell
        self._often = often
        self._waiting = 0
        self._told = time.monotonic()

    def __call__(self, rows: int) -> None:
        """So many more rows are done."""
        self._waiting += rows
        if time.monotonic() - self._told >= self._often:
            self.flush()

    def flush(self) -> None:
        """Tell what has not been told."""
        if self._waiting:
            self._tell(ROWS, self._waiting)
        self._waiting, self._told = 0, time.monotonic()


def main() -> None:
    """Carry out tasks until the standard input ends, which it does when whoever wants them dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us, and tells us by the end of our input
    answers = Connection(os.dup(sys.stdout.fileno()), readable=False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is no answer
    tasks: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(Connection(sys.stdin.fileno(), writable=False), tasks), daemon=True).start()
    while True:
        function, argument = tasks.get()
        _carry_out(function, argument, lambda kind, value: answers.send((kind, value)))


def _listen(source: Connection, tasks: "SimpleQueue[Any]") -> None:
    """Take tasks while another is being carried out. At the end of the input the process ends at once, busy or not."""
    with suppress(EOFError, OSError):
        while True:
            tasks.put(source.recv())
    os._exit(0)


def _carry_out(function: Work, argument: Any, tell: Callable[[str, Any], None]) -> None:
    reporter = Reporter(tell)
    try:
        result = function(argument, reporter)
    except Exception as fault:  # whatever it is, who wanted the task must hear of it
        reporter.flush()
        tell(FAILED, _picklable(fault))
    else:
        reporter.flush()
        tell(DONE, result)


def _picklable(fault: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(fault))
    except Exception:
        return RuntimeError(f"{type(fault).__name__}: {fault}")
    return fault


if __name__ == "__main__":
    main()
