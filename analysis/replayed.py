"""A trace replayed: counts, with all that is needed to price them and to make them again."""

from collections.abc import Callable

from discotrace.analysis.configuration import Configuration
from discotrace.analysis.counts_file import FORMAT_VERSION, CountsFile, join_systems
from discotrace.analysis.provenance import of_counts, of_replay
from discotrace.analysis.run import replay_systems
from discotrace.replay.crash import Crash
from discotrace.tracegen.reader import BATCH_ROWS, TraceReader


def replayed(
    reader: TraceReader,
    configuration: Configuration,
    systems: str,
    window: int,
    crash: Crash | None,
    command: str,
    advance: Callable[[int], None],
) -> CountsFile:
    """Replay a trace under systems, named with commas between.

    ``command``: what to say of how this was asked for; ``advance`` is told how many more rows are done. Raises
    ConfigError, TraceError.
    """
    names = list(dict.fromkeys(name.strip() for name in systems.split(",") if name.strip()))
    finished = replay_systems(reader, configuration.machine, names, window, advance, BATCH_ROWS, crash)
    about = {
        "format_version": FORMAT_VERSION,
        **of_replay(reader, finished.machine, configuration, command),
        **of_counts(reader, names, window, crash, finished.losses),
    }
    return CountsFile(join_systems(finished.counts), about)
