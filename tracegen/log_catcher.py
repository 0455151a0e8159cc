"""Takes hold of new logs before the next program of the same process overwrites them."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType

# Valgrind names logs by process, so an exec overwrites the log of the program before. Between the two valgrind starts
# anew, which was measured to take 15 ms.
CATCH_SECONDS = 0.002


class LogCatcher:
    """Context manager: a thread that renames each log in ``directory`` as soon as it appears.

    A thread of its own, because reading logs may keep the main one busy for too long.
    """

    def __init__(self, directory: Path) -> None:
        """``directory``: where valgrind makes a log named by its process."""
        self._directory = directory
        self._caught: SimpleQueue[tuple[int, Path]] = SimpleQueue()
        self._count = 0
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="log-catcher", daemon=True)

    def __enter__(self) -> "LogCatcher":
        """Starts the thread."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the thread."""
        self._end.set()
        self._thread.join()

    def caught(self) -> Iterator[tuple[int, Path]]:
        """(process, its renamed log) of every log that has appeared since the last call, in order of appearance."""
        self._catch()
        while True:
            try:
                yield self._caught.get_nowait()
            except Empty:
                return

    def _watch(self) -> None:
        while not self._end.wait(CATCH_SECONDS):
            self._catch()

    def _catch(self) -> None:
        with self._lock:
            for pid in sorted(int(name) for name in os.listdir(self._directory) if name.isdigit()):
                log = self._directory / f"image-{self._count}"
                os.rename(self._directory / str(pid), log)
                self._count += 1
                self._caught.put((pid, log))
