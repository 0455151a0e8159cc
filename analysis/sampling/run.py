"""A sampled replay: choose intervals, replay them under each system."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa

from discotrace.analysis.configuration import Configuration
from discotrace.analysis.counts_file import FORMAT_VERSION, CountsFile, join_systems
from discotrace.analysis.provenance import of_counts, of_replay
from discotrace.analysis.run import SYSTEMS
from discotrace.analysis.sampling.choice import Sample, check_machine, chosen
from discotrace.analysis.sampling.pasts import Pasts
from discotrace.analysis.sampling.pieces import Pieces, replay_pieces
from discotrace.analysis.sampling.stored import about_sample
from discotrace.analysis.sweep.together import all_done
from discotrace.analysis.sweep.warm import warm
from discotrace.analysis.sweep.workers import Task, Workers
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader

TASKS_PER_WORKER = 2  # so that no worker waits long for the others at the end

# Shows that so many are being done, by what is done and of what; gives the function that is told how many more are.
Watch = Callable[[int, str, str], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Asked:
    """How to sample. ``workers``: what starts them; None = intervals are replayed here, one after the other."""

    window: int
    sample: Sample
    workers: Callable[[], Workers] | None = None


def unwatched(total: int, description: str, unit: str) -> AbstractContextManager[Callable[[int], None]]:
    """A ``Watch`` that shows nothing."""
    return nullcontext(lambda count: None)


def sampled(
    reader: TraceReader,
    pasts: Pasts,
    configuration: Configuration,
    systems: Sequence[str],
    asked: Asked,
    command: str,
    watch: Watch = unwatched,
) -> CountsFile:
    """Counts of a sample of a trace. Raises ConfigError for what cannot be sampled, else as a replay does."""
    machine = configuration.machine.for_trace(reader.meta.cpus)
    check(machine, systems)
    with watch(pasts.missing_rows(reader), "reading", "rows") as advance:
        outline = pasts.outline(reader, advance)
    choice = chosen(outline, asked.window, asked.sample)
    source = reader.source if "://" in reader.source else os.path.abspath(reader.source)
    folder = pasts.folder.absolute()  # workers may have another directory to work in
    tasks = [Pieces(source, folder, system, machine, asked.window, choice, choice.firsts) for system in systems]
    disks = {}
    for system in systems:
        with watch(reader.rows, f"following memory under {system}", "rows") as advance:
            disks[system] = pasts.past(reader, system, machine, outline, advance).chronicle.disks
    about = {
        "format_version": FORMAT_VERSION,
        **of_replay(reader, machine, configuration, command),
        **of_counts(reader, systems, asked.window),
        **about_sample(choice, disks),
    }
    with watch(len(tasks) * len(choice.firsts), "replaying", "intervals") as advance:
        counts = replayed(tasks, asked.workers, advance)
    return CountsFile(join_systems(dict(zip(systems, counts, strict=True))), about)


def replayed(
    tasks: Sequence[Pieces], workers: Callable[[], Workers] | None, advance: Callable[[int], None]
) -> list[pa.Table]:
    """Counts of each task, in order, whoever replays its intervals. Raises ConfigError where workers cannot.

    ``advance`` is told how many more intervals are done.
    """
    if workers is None:
        return [_joined([replay_pieces(task, lambda rows: advance(1))]) for task in tasks]
    warm(sorted({task.system for task in tasks}), lambda rows: None)
    with workers() as working:
        check_shared(tasks[0].folder, working)
        parts = -(-TASKS_PER_WORKER * working.count // len(tasks))
        split = [task.split(parts) for task in tasks]
        given = [Task(replay_pieces, part, part.folder) for of_task in split for part in of_task]
        results = iter(all_done(given, working, lambda task: advance(len(task.argument.firsts))))
    return [_joined(islice(results, len(of_task))) for of_task in split]


def check_shared(folder: Path, workers: Workers) -> None:
    """Raises ConfigError where workers do not see the folder of ``Pasts``."""
    if not workers.shares(folder):
        raise ConfigError(
            f"the workers do not see {folder}, where what is known of a trace is kept: have XDG_CACHE_HOME name a "
            "folder that all share"
        )


def _joined(tables: Iterable[pa.Table]) -> pa.Table:
    return pa.concat_tables([table.combine_chunks() for table in tables], promote_options="default")


def check(machine: Machine, systems: Sequence[str]) -> None:
    """Raises ConfigError for what cannot be sampled."""
    if not systems:
        raise ConfigError(f"no system to replay under; known: {', '.join(SYSTEMS)}")
    for system in systems:
        if system not in SYSTEMS:
            raise ConfigError(f"unknown system {system!r}; known: {', '.join(SYSTEMS)}")
    check_machine(machine)
