"""Samples in place of whole replays in a sweep: what is to be known before them, made once each, and their tasks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from discotrace.analysis.counts_file import CountsFile
from discotrace.analysis.keeping import make_folder
from discotrace.analysis.sampling.choice import Sample
from discotrace.analysis.sampling.pasts import Pasts, chronicle_key
from discotrace.analysis.sampling.run import Asked, check_shared, sampled
from discotrace.analysis.sweep.counting import COMMAND, NO_MEMORY, Counting, opened
from discotrace.analysis.sweep.execute import Watcher
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import Wanted, key_of
from discotrace.analysis.sweep.together import all_done
from discotrace.analysis.sweep.workers import Task, Workers
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader


@dataclass(frozen=True)
class Knowing:
    """What is to be known before samples: of the trace of a replay, or of memory under its system.

    ``pasts``: the folder to keep it in.
    """

    wanted: Wanted
    pasts: Path


def know_trace(task: Knowing, on_rows: Callable[[int], None]) -> None:
    """Make the outline and the trail of a trace, if they are not there. Raises TraceError, OutputError."""
    with opened(task.wanted.trace) as reader:
        Pasts(task.pasts).outline(reader, lambda rows: None)


def know_memory(task: Knowing, on_rows: Callable[[int], None]) -> str | None:
    """Make the chronicle of a trace under a system, if it is not there. Why it is impossible, if it is."""
    pasts, machine = Pasts(task.pasts), task.wanted.configuration.machine
    with opened(task.wanted.trace) as reader:
        try:
            pasts.past(reader, task.wanted.system, machine, pasts.outline(reader, lambda rows: None))
        except ConfigError as fault:
            return str(fault)
    return None


@dataclass(frozen=True)
class SampledCounting(Counting):
    """Samples of one trace to take, one after the other. ``pasts``: where what is known of the trace is."""

    sample: Sample
    pasts: Path

    def key_of(self, wanted: Wanted) -> str:
        """See ``Counting``."""
        return key_of(wanted.trace, wanted.system, wanted.configuration.machine, self.window, self.sample)

    def files(
        self, reader: TraceReader, on_rows: Callable[[int], None], impossible: dict[str, str]
    ) -> Iterator[tuple[str, CountsFile]]:
        """See ``Counting``. Raises TraceError where nothing is known of the trace."""
        pasts, asked = Pasts(self.pasts), Asked(self.window, self.sample)
        for wanted in self.wanted:
            pasts.check(reader, wanted.system, wanted.configuration.machine)
            try:
                yield wanted.key, sampled(reader, pasts, wanted.configuration, [wanted.system], asked, COMMAND)
            except ConfigError as fault:
                impossible[wanted.key] = str(fault)
            except MemoryError:
                impossible[wanted.key] = NO_MEMORY


@dataclass(frozen=True)
class Samples:
    """Replays of intervals; see ``execute.Manner``. ``window`` in instructions; ``pasts``: see ``Knowing``."""

    window: int
    sample: Sample
    pasts: Path

    def prepared(self, missing: Sequence[Wanted], workers: Workers, watcher: Watcher) -> dict[str, str]:
        """Read each trace once, and replay what decides memory, once for all replays that have it in common.

        Raises ConfigError where workers do not see the folder, TraceError, OutputError.
        """
        if not missing:
            return {}
        make_folder(self.pasts)
        check_shared(self.pasts, workers)
        watcher.reading()
        of_traces = {one.trace.source: one for one in missing}
        all_done([Task(know_trace, Knowing(one, self.pasts), self.pasts) for one in of_traces.values()], workers)
        alike: dict[tuple[str, str], list[Wanted]] = {}
        for one in missing:
            key = chronicle_key(one.system, one.configuration.machine)
            alike.setdefault((one.trace.source, key), []).append(one)
        tasks = [Task(know_memory, Knowing(ones[0], self.pasts), self.pasts) for ones in alike.values()]
        reasons = all_done(tasks, workers)
        return {one.key: why for ones, why in zip(alike.values(), reasons, strict=True) if why for one in ones}

    def tasks(self, missing: Sequence[Wanted], folder: SweepFolder | None, workers: int) -> list[Counting]:
        """A task for each."""
        return [SampledCounting((one,), self.window, folder, self.sample, self.pasts) for one in missing]
