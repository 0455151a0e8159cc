"""Workers beyond this computer: those of a Dask scheduler, an existing one or one of our own."""

from __future__ import annotations

import os
import pickle
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

from distributed import CancelledError, Client, Future, KilledWorker

from discotrace.analysis.sweep.cluster_names import LOCAL, QUEUES
from discotrace.analysis.sweep.cluster_task import code, on_worker
from discotrace.analysis.sweep.clusters import PATIENCE, connected, local_cluster, queued_cluster
from discotrace.analysis.sweep.local import cores
from discotrace.analysis.sweep.workers import Done, Failed, Lost, News, Rows, Task
from discotrace.tracegen.atomic import output_errors
from discotrace.tracegen.errors import ConfigError, DiscotraceError

TASKS_PER_THREAD = 2  # so that a worker has the next one when it is done with one
LOOK = 5.0  # seconds between two looks at which workers there are
TRIES = 3  # of a task whose workers died before they are known to have begun with it
LONELY = 600.0  # seconds without any worker of a scheduler after which a sweep ends
MOST_BYTES = 1 << 20  # of a task that goes through the scheduler; more goes through the sweep's folder


class ClusterWorkers:
    """Workers of a Dask scheduler. What dies of a task is Dask's to replace; that it died is news.

    Raises DiscotraceError from any method if the scheduler is gone.
    """

    def __init__(self, on: str, asked: int) -> None:
        """``on``: see ``clusters``; ``asked``: how many processes or jobs, where they are ours to start."""
        self._on = on
        self._asked = asked
        self._cluster: Any = None  # if it is ours
        self._here: Any = None  # a cluster on this computer for tasks in a folder that the workers do not see
        self._clients: list[Client] = []
        self._tasks: dict[str, tuple[Task, Future[Any]]] = {}  # by the future's key
        self._begun: Counter[str] = Counter()  # how often, likewise
        self._tried: Counter[Task] = Counter()
        self._heard: SimpleQueue[Future[Any] | list[Any]] = SimpleQueue()  # what has ended; [key, rows] that are done
        self._topic = f"discotrace-{secrets.token_hex(8)}"
        self._signs: dict[Path, Path | None] = {}  # by folder; None where the workers do not see it
        self._rests: dict[str, Path] = {}  # files of tasks, by the future's key
        self._threads = 0
        self._threads_of_each = 1  # of those that are ours to start
        self._looked = self._seen = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self._reach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # a scheduler that is gone needs no word from us
            self._clients[0].cancel([future for _, future in self._tasks.values()], force=True)
        self._tasks.clear()
        for rest in (*self._rests.values(), *filter(None, self._signs.values())):
            rest.unlink(missing_ok=True)
        for ours in (*self._clients, self._cluster, self._here):
            with suppress(Exception):
                ours.close()

    @property
    def count(self) -> int:
        """Threads of all workers, those included that were asked for and may still wait for their jobs."""
        return max(self._threads, self._asked * self._threads_of_each if self._is_ours else 1)

    @property
    def room(self) -> int:
        """Some tasks for each thread."""
        return TASKS_PER_THREAD * max(1, self._threads) - len(self._tasks)

    def shares(self, folder: Path) -> bool:
        """See ``Workers``. A file is put into the folder, and each worker there now is asked whether it sees it."""
        if folder not in self._signs:
            sign = folder.resolve() / f".seen-{secrets.token_hex(8)}.tmp"
            with output_errors(folder):
                sign.touch()
            with self._talking():
                answers = self._clients[0].run(os.path.exists, str(sign), on_error="ignore").values()
            self._signs[folder] = sign if all(answers) else None
            if not all(answers):
                sign.unlink()
        return self._signs[folder] is not None

    def submit(self, task: Task) -> None:
        """See ``Workers``."""
        client = self._clients[0]
        sign = None
        if task.folder is not None:
            if self.shares(task.folder):
                sign = self._signs[task.folder]
            else:
                client = self._client_here()
        key: str = f"{task.function.__name__}-{secrets.token_hex(8)}"
        with self._talking():
            future = client.submit(
                on_worker, self._topic, key, self._packed(task, key), code(), sign, key=key, pure=False
            )
            self._tasks[key] = task, future
            future.add_done_callback(self._heard.put)

    def news(self, seconds: float) -> list[News]:
        """See ``Workers``."""
        with self._talking():
            if time.monotonic() - self._looked >= LOOK:
                self._look()
            found = [self._news_of(heard) for heard in self._some_heard(min(seconds, LOOK))]
        return [news for news in found if news is not None]

    @property
    def _is_ours(self) -> bool:
        return self._on == LOCAL or self._on in QUEUES

    def _reach(self) -> None:
        """Have a scheduler and at least one worker. Jobs may wait in their queue for as long as they have to."""
        if self._on in QUEUES:
            self._cluster, self._threads_of_each = queued_cluster(self._on, self._asked)
        elif self._on == LOCAL:
            self._cluster = local_cluster(self._asked)
        client = Client(self._cluster, set_as_default=False) if self._cluster else connected(self._on)
        self._know(client)
        try:
            client.wait_for_workers(1, timeout=None if self._on in QUEUES else PATIENCE)
        except TimeoutError as fault:
            remedy = f"start some with: dask worker {client.scheduler_info()['address']}"
            raise ConfigError(f"the scheduler at {self._on} has no worker: {remedy}") from fault
        self._look()

    def _know(self, client: Client) -> None:
        self._clients.append(client)
        client.subscribe_topic(self._topic, lambda event: self._heard.put(event[1]))

    def _client_here(self) -> Client:
        if self._here is None:
            self._here = local_cluster(cores())
            self._know(Client(self._here, set_as_default=False))
        return self._clients[1]

    def _packed(self, task: Task, key: str) -> bytes | Path:
        """A task as it is sent: as it is, or through the folder that it works in."""
        content = pickle.dumps((task.function, task.argument))
        if len(content) <= MOST_BYTES or task.folder is None:
            return content
        path = task.folder.resolve() / f".{key}.tmp"
        with output_errors(path):
            path.write_bytes(content)
        self._rests[key] = path
        return path

    def _some_heard(self, seconds: float) -> Iterator[Future[Any] | list[Any]]:
        """All that has been heard until now, or the next that is."""
        with suppress(Empty):
            yield self._heard.get(timeout=seconds)
            while True:
                yield self._heard.get_nowait()

    def _news_of(self, heard: Future[Any] | list[Any]) -> News | None:
        if isinstance(heard, Future):
            return self._end_of(heard)
        key, rows = heard
        if key not in self._tasks:  # it has ended since
            return None
        if not rows:
            self._begun[key] += 1
            return None
        return Rows(self._tasks[key][0], rows)

    def _end_of(self, future: Future[Any]) -> News | None:
        key = str(future.key)
        task, _ = self._tasks.pop(key)
        if key in self._rests:
            self._rests.pop(key).unlink(missing_ok=True)
        if future.status == "cancelled":
            raise DiscotraceError(f"{self._gone()}: it forgot a task that it had")
        fault = future.exception()
        if fault is None:
            return Done(task, future.result())
        if isinstance(fault, KilledWorker):
            return self._lost(task, key, fault.last_worker.address)
        if isinstance(fault, ImportError):
            remedy = "install the same discotrace for the scheduler and all workers"
            return Failed(task, ConfigError(f"the cluster at {self._on} lacks something: {fault}; {remedy}"))
        return Failed(task, fault)

    def _lost(self, task: Task, key: str, worker: str) -> News | None:
        """Dask gives a task up whose workers died, also where it was waiting behind the one that they died of."""
        deaths = self._begun.pop(key, 0)
        self._tried[task] += 1
        if deaths or self._tried[task] >= TRIES:
            return Lost(task, worker, max(deaths, 1))
        self.submit(task)
        return None

    def _look(self) -> None:
        """See how many threads there are, and have workers of our own again that ended before their time."""
        self._threads = sum(self._clients[0].nthreads().values())
        self._looked = time.monotonic()
        if self._threads:
            self._seen = self._looked
        if self._on in QUEUES:
            self._cluster.scale(jobs=self._asked)
        elif self._on == LOCAL:
            self._cluster.scale(self._asked)
        elif self._looked - self._seen > LONELY:
            raise DiscotraceError(f"the scheduler at {self._on} has had no worker for {LONELY:.0f} s; {_GOES_ON}")

    def _gone(self) -> str:
        return f"the Dask scheduler at {self._on} is gone; {_GOES_ON}"

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Turns what Dask raises about a scheduler that is gone into an error of one line."""
        try:
            yield
        except (OSError, RuntimeError, CancelledError) as fault:
            if isinstance(fault, RuntimeError) and self._clients[0].status == "running":
                raise
            raise DiscotraceError(f"{self._gone()}: {' '.join(str(fault).split())}") from fault


_GOES_ON = "the same command goes on from what is kept"
