"""Replays of a sweep that are made together, in whatever process: one decode of their trace, side by side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from discotrace.analysis.counts_file import FORMAT_VERSION, CountsFile, as_bytes, join_systems, write
from discotrace.analysis.fronts import Run, fronts
from discotrace.analysis.keeping import make_folder
from discotrace.analysis.provenance import of_counts, of_replay
from discotrace.analysis.run import Replayed, replay_runs
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import TraceFile, Wanted, key_of
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.reader import TraceReader

COMMAND = "discotrace sweep"
NO_MEMORY = "this computer has not enough memory for the modelled machine"


@dataclass(frozen=True)
class Counting:
    """Replays of one trace to make together. ``window`` in instructions; ``folder`` to keep the counts in, if any."""

    wanted: tuple[Wanted, ...]
    window: int
    folder: SweepFolder | None

    @property
    def rows(self) -> int:
        """Rows of the trace, for each of the replays."""
        return self.wanted[0].trace.rows * len(self.wanted)

    def split(self) -> "list[Counting]":
        """The same in smaller parts: each front by itself, a front by halves, at last each replay by itself."""
        parts = _fronts(self.wanted)
        if len(parts) == 1:
            middle = len(self.wanted) // 2
            parts = [list(part) for part in (self.wanted[:middle], self.wanted[middle:]) if part]
        return [replace(self, wanted=tuple(part)) for part in parts]

    def key_of(self, wanted: Wanted) -> str:
        """The name of one of the replays, as it is found in this process: that of ``plan.key_of``."""
        return key_of(wanted.trace, wanted.system, wanted.configuration.machine, self.window, None)

    def files(
        self, reader: TraceReader, on_rows: Callable[[int], None], impossible: dict[str, str]
    ) -> Iterator[tuple[str, CountsFile]]:
        """Counts of each of the replays, by key; ``impossible`` is told why others cannot be made."""
        for wanted, one in _replayed(reader, self, on_rows, impossible):
            yield wanted.key, _with_provenance(reader, self.window, wanted, one)


@dataclass(frozen=True)
class Counted:
    """What came of it. ``contents``: files of counts by key, where there was no folder to keep them in.

    ``impossible``: why a replay cannot be made, by key.
    """

    impossible: dict[str, str]
    contents: dict[str, bytes]


def count(task: Counting, on_rows: Callable[[int], None]) -> Counted:
    """Make the replays. ``on_rows`` is told how many more rows of how many replays are done.

    Raises TraceError for a trace that cannot be replayed, OutputError for counts that cannot be kept.
    """
    impossible: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    with opened(task.wanted[0].trace) as reader:
        for key, counts in task.files(reader, on_rows, impossible):
            if task.folder is None:
                contents[key] = as_bytes(counts)
            else:
                path = task.folder.counts(key)
                make_folder(path.parent)
                write(path, counts)
    return Counted(impossible, contents)


@contextmanager
def opened(trace: TraceFile) -> Iterator[TraceReader]:
    """The trace of a plan. Raises TraceError where it is another file by now."""
    with TraceReader(trace.source) as reader:
        if reader.identity() != trace.identity:
            raise TraceError(f"{trace.source}: is another file than when the sweep was planned: start it again")
        yield reader


def _replayed(
    reader: TraceReader, task: Counting, on_rows: Callable[[int], None], impossible: dict[str, str]
) -> list[tuple[Wanted, Replayed]]:
    """All replays at once; where one is impossible, each front by itself, so that it takes no other with it."""
    try:
        return _together(reader, task.wanted, task.window, on_rows)
    except ConfigError as fault:
        parts = _fronts(task.wanted)
        if len(parts) == 1:  # what is impossible before the caches is so with any
            impossible |= dict.fromkeys((one.key for one in task.wanted), str(fault))
            return []
    found = []
    for part in parts:
        try:
            found += _together(reader, part, task.window, lambda rows: None)
        except ConfigError as fault:
            impossible |= dict.fromkeys((one.key for one in part), str(fault))
    return found


def _together(
    reader: TraceReader, wanted: Sequence[Wanted], window: int, on_rows: Callable[[int], None]
) -> list[tuple[Wanted, Replayed]]:
    runs = [_run(one) for one in wanted]
    try:
        replayed = replay_runs(reader, runs, window, lambda rows: on_rows(rows * len(runs)), threads=1)
    except MemoryError as fault:
        raise ConfigError(NO_MEMORY) from fault
    return list(zip(wanted, replayed, strict=True))


def _fronts(wanted: Sequence[Wanted]) -> list[list[Wanted]]:
    return [[wanted[place] for place in front] for front in fronts([_run(one) for one in wanted])]


def _run(wanted: Wanted) -> Run:
    return Run("", wanted.system, wanted.configuration.machine)


def _with_provenance(reader: TraceReader, window: int, wanted: Wanted, one: Replayed) -> CountsFile:
    about = {
        "format_version": FORMAT_VERSION,
        **of_replay(reader, one.run.machine, wanted.configuration, COMMAND),
        **of_counts(reader, [wanted.system], window),
    }
    return CountsFile(join_systems({wanted.system: one.counts}), about)
