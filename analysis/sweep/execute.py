"""Carries a sweep out: replays what has no counts yet, prices blocks as their counts come, keeps all at once."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from discotrace.analysis.fronts import Run, fronts
from discotrace.analysis.sweep.blocks import Block, Pricing, price
from discotrace.analysis.sweep.counting import Counted, Counting, count
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import Wanted
from discotrace.analysis.sweep.together import all_done
from discotrace.analysis.sweep.warm import is_warm, warm
from discotrace.analysis.sweep.workers import LIVES, PATIENCE, Failed, Lost, News, Rows, Task, Workers
from discotrace.tracegen.errors import DiscotraceError

TASKS_PER_WORKER = 4  # as many at least, so that no worker waits long for the others at the end
MOST_FRONTS = 4  # of one task: with more the decoding that they share is a small part already


class Watcher(Protocol):
    """Who is told how far a sweep is."""

    def rows(self, count: int) -> None:
        """So many more rows of replays are done; less than nothing if a worker died and they are lost."""

    def replays(self, count: int) -> None:
        """So many more replays are counted, or cannot be."""

    def points(self, count: int) -> None:
        """So many more points are priced."""

    def trouble(self, what: str) -> None:
        """Something went wrong that does not stop the sweep."""

    def there(self, replays: int, rows: int) -> None:
        """So many replays, of traces of so many rows, were counted before."""

    def compiling(self) -> None:
        """What the workers need is being compiled."""

    def reading(self) -> None:
        """Whole traces are being read, for what samples of them need."""


@dataclass
class Found:
    """What has come of a sweep so far: keys of priced blocks by their place, and why replays have no counts."""

    blocks: dict[int, str] = field(default_factory=dict)
    impossible: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What is to be done: replays without counts, and blocks, of which some may be priced already."""

    missing: list[Wanted]
    blocks: list[Block]


class Manner(Protocol):
    """How the replays of a sweep are made: of whole traces, or of samples (``sampled.Samples``)."""

    def prepared(self, missing: Sequence[Wanted], workers: Workers, watcher: Watcher) -> dict[str, str]:
        """Have all made that several replays need; why some of them are impossible, by key."""

    def tasks(self, missing: Sequence[Wanted], folder: SweepFolder | None, workers: int) -> list[Counting]:
        """The replays in tasks, for so many workers. ``folder``: where they keep counts, if they can."""


@dataclass(frozen=True)
class WholeTraces:
    """Replays of all rows. ``window`` in instructions."""

    window: int

    def prepared(self, missing: Sequence[Wanted], workers: Workers, watcher: Watcher) -> dict[str, str]:
        """See ``Manner``: nothing."""
        return {}

    def tasks(self, missing: Sequence[Wanted], folder: SweepFolder | None, workers: int) -> list[Counting]:
        """See ``tasks_of``."""
        return tasks_of(missing, self.window, folder, workers)


def tasks_of(missing: Sequence[Wanted], window: int, folder: SweepFolder | None, workers: int) -> list[Counting]:
    """Replays in tasks of one trace each. What shares a front is together; several fronts share the decoding.

    So many fronts in a task that each worker has a few tasks all the same.
    """
    by_trace: dict[str, list[Wanted]] = {}
    for one in missing:
        by_trace.setdefault(one.trace.source, []).append(one)
    parts = [part for of_trace in by_trace.values() for part in _fronts(of_trace)]
    together = min(MOST_FRONTS, max(1, len(parts) // (TASKS_PER_WORKER * workers)))
    tasks: list[list[list[Wanted]]] = []
    for part in parts:
        if tasks and tasks[-1][0][0].trace == part[0].trace and len(tasks[-1]) < together:
            tasks[-1].append(part)
        else:
            tasks.append([part])
    return [Counting(tuple(chain.from_iterable(task)), window, folder) for task in tasks]


def _fronts(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    runs = [Run(one.key, one.system, one.configuration.machine) for one in wanted]
    return [[wanted[place] for place in front] for front in fronts(runs)]


class Execution:
    """The tasks of a sweep and what becomes of them."""

    def __init__(self, work: Work, folder: SweepFolder, manner: Manner, workers: Workers, watcher: Watcher) -> None:
        self.found = Found()
        self._folder = folder
        self._workers = workers
        self._watcher = watcher
        self._blocks = work.blocks
        self._missing = work.missing
        self._manner = manner
        self._counting: deque[Counting] = deque()
        self._pricing: deque[int] = deque()
        self._waits_for = {place: self._keys(block) for place, block in enumerate(work.blocks)}
        self._needed_by: dict[str, list[int]] = {}
        for place, keys in self._waits_for.items():
            for key in keys:
                self._needed_by.setdefault(key, []).append(place)
        missing = {one.key for one in work.missing}
        self._given: dict[Task, int] = {}  # tasks that workers have, and rows that they told of
        self._block_of: dict[Task, int] = {}
        self._deaths: dict[str, int] = {}
        for place in self._waits_for:
            self._waits_for[place] &= missing
            self._price_if_ready(place)

    def run(self) -> None:
        """Do all of it. Raises what a task raises that concerns the whole sweep."""
        self._prepare()
        while self._counting or self._pricing or self._given:
            while self._workers.room > 0 and (self._counting or self._pricing):
                self._give()
            for news in self._workers.news(PATIENCE):
                self._hear(news)

    def _prepare(self) -> None:
        """Have ready what tasks need, and the tasks."""
        kept_by_workers = self._folder if self._workers.shares(self._folder.path) else None
        systems = sorted({one.system for one in self._missing})
        if not is_warm(systems):
            self._watcher.compiling()
            all_done([Task(warm, systems)], self._workers)
        self.found.impossible |= self._manner.prepared(self._missing, self._workers, self._watcher)
        self._settled([one for one in self._missing if one.key in self.found.impossible])
        possible = [one for one in self._missing if one.key not in self.found.impossible]
        self._counting.extend(self._manner.tasks(possible, kept_by_workers, self._workers.count))

    def _give(self) -> None:
        """Pricing comes first: what is counted is to be seen soon."""
        if self._pricing:
            place = self._pricing.popleft()
            task = Task(price, self._pricing_of(place), self._folder.path)
            self._block_of[task] = place
        else:
            counting = self._counting.popleft()
            task = Task(count, counting, None if counting.folder is None else counting.folder.path)
        self._given[task] = 0
        self._workers.submit(task)

    def _hear(self, news: News) -> None:
        if isinstance(news, Rows):
            self._given[news.task] += news.count
            self._watcher.rows(news.count)
            return
        told = self._given.pop(news.task)
        if isinstance(news, Failed):
            raise news.fault
        if isinstance(news, Lost):
            self._watcher.rows(-told)
            self._lost(news)
        elif news.task in self._block_of:
            self._priced(self._block_of.pop(news.task), news.result)
        else:
            self._watcher.rows(news.task.argument.rows - told)  # what its worker did not tell of
            self._counted(news.task.argument, news.result)

    def _counted(self, task: Counting, result: Counted) -> None:
        for key, content in result.contents.items():
            self._folder.keep_counts(key, content)
        self.found.impossible |= result.impossible
        self._settled(task.wanted)

    def _settled(self, wanted: Sequence[Wanted]) -> None:
        """Nothing more will come of these replays: they are counted, or will never be."""
        self._watcher.replays(len(wanted))
        for one in wanted:
            for place in self._needed_by.get(one.key, ()):
                self._waits_for[place].discard(one.key)
                self._price_if_ready(place)

    def _price_if_ready(self, place: int) -> None:
        if self._waits_for[place] or place in self.found.blocks or place in self._pricing:
            return
        task = self._pricing_of(place)
        if self._folder.priced(task.key).exists():
            self._priced(place, task.block.points.height)
        else:
            self._pricing.append(place)

    def _pricing_of(self, place: int) -> Pricing:
        block, keys = self._blocks[place], self._keys(self._blocks[place])
        impossible = {key: why for key, why in self.found.impossible.items() if key in keys}
        failed = {key: why for key, why in self.found.failed.items() if key in keys}
        return Pricing(block, self._folder, impossible, failed)

    def _priced(self, place: int, points: int) -> None:
        self.found.blocks[place] = self._pricing_of(place).key
        self._watcher.points(points)

    def _lost(self, news: Lost) -> None:
        """What a dead worker was doing is done again: replays in smaller parts, so that a deadly one is found."""
        task = news.task.argument
        key = task.key if isinstance(task, Pricing) else task.wanted[0].key
        self._watcher.trouble(f"a worker died ({news.why}); what it was doing is done again")
        self._deaths[key] = self._deaths.get(key, 0) + news.deaths
        if isinstance(task, Pricing):
            if self._deaths[key] >= LIVES:
                raise DiscotraceError(f"the workers that price points die: {news.why}; have fewer with --workers")
            self._pricing.append(self._block_of.pop(news.task))
        elif len(task.wanted) > 1:
            self._counting.extendleft(reversed(task.split()))
        elif self._deaths[key] < LIVES:
            self._counting.appendleft(task)
        else:
            self.found.failed[key] = f"{self._deaths[key]} workers died of it, the last was {news.why}"
            self._settled(task.wanted)

    @staticmethod
    def _keys(block: Block) -> set[str]:
        return {one.key for one in block.replays.values()}
