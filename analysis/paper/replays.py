"""The replays of an experiment: counts and footprints of its bars, kept, so that another price needs no replay."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from discotrace.analysis.configuration import Configuration, load
from discotrace.analysis.counts_file import FORMAT_VERSION, CountsFile, join_systems, read, write
from discotrace.analysis.decisive import decisive
from discotrace.analysis.fronts import Run
from discotrace.analysis.keeping import sources_digest
from discotrace.analysis.paper.experiments import MACHINE, Bar, TraceSpec
from discotrace.analysis.paper.store import Store
from discotrace.analysis.paper.traces import made_from
from discotrace.analysis.provenance import of_counts, of_replay
from discotrace.analysis.run import Replayed, replay_runs
from discotrace.replay.footprint import Footprint, Footprints
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.reader import TraceReader
from discotrace.version import VERSION

WINDOW = 1_000_000  # instructions, as in discotrace replay
LONG_TRACE_ROWS = 100_000_000  # windows of longer traces are longer, so that there are some hundreds, not thousands
COMMAND = "discotrace paper"


@dataclass(frozen=True)
class Counted:
    """What the replay of a bar gave. ``about``: see ``CountsFile``."""

    counts: pl.DataFrame
    footprints: Footprints
    about: dict[str, Any]


def check_prices(changes: Sequence[str]) -> None:
    """Raises ConfigError for a change that is not one of prices."""
    configuration_of(Bar("", ""), changes)


def configuration_of(bar: Bar, changes: Sequence[str] = ()) -> Configuration:
    """The machine and the prices of a bar; ``changes`` are of prices, and what makes the bar comes before them.

    Raises ConfigError for a change that would need another replay.
    """
    configuration = load(MACHINE, [*changes, *bar.changes, *bar.prices])
    for change in changes:
        if load(MACHINE, [change]).machine != load(MACHINE).machine:
            raise ConfigError(f"--set {change}: not a price; the paper's figures belong to the paper's machine")
    return configuration


def counts_path(store: Store, spec: TraceSpec, bar: Bar) -> Path:
    """Where the counts of a bar are, or belong. Bars that differ in prices alone share them."""
    about = {
        "trace": made_from(spec),
        "system": bar.system,
        "machine": decisive(bar.system, configuration_of(bar).machine),
        "version": VERSION,
        "sources": sources_digest("discotrace.replay", "discotrace.monitor"),
        "format": FORMAT_VERSION,
    }
    return store.counts(f"{spec.name}-{bar.system}", about)


def missing(store: Store, spec: TraceSpec, bars: Sequence[Bar]) -> dict[Path, Bar]:
    """The bars that must be replayed, each once, by where their counts will be."""
    wanted: dict[Path, Bar] = {}
    for bar in bars:
        wanted.setdefault(counts_path(store, spec, bar), bar)
    return {path: bar for path, bar in wanted.items() if not path.exists()}


def replay(reader: TraceReader, bars: dict[Path, Bar], on_rows: Callable[[int], None]) -> None:
    """Replay a trace for several bars at once and keep the counts of each.

    ``on_rows`` is told how many more rows all have replayed. Raises TraceError, ConfigError, OutputError.
    """
    window = WINDOW * max(1, round(reader.rows / LONG_TRACE_ROWS))
    runs = [Run(bar.label, bar.system, configuration_of(bar).machine) for bar in bars.values()]
    replayed = replay_runs(reader, runs, window, on_rows)
    for (path, bar), one in zip(bars.items(), replayed, strict=True):
        about = {
            "format_version": FORMAT_VERSION,
            **of_replay(reader, one.run.machine, configuration_of(bar), COMMAND),
            **of_counts(reader, [bar.system], window),
            "generator": reader.meta.provenance,
            "footprints": asdict(one.footprints),
        }
        write(path, CountsFile(join_systems({bar.system: one.counts}), about))


def counted(path: Path) -> Counted:
    """What ``replay`` kept. Raises TraceError for a file that is damaged."""
    file = read(path)
    try:
        parts = {name: Footprint(**pages) for name, pages in file.about["footprints"].items()}
        return Counted(file.of_system(file.about["systems"][0]), Footprints(**parts), file.about)
    except (KeyError, TypeError, AttributeError) as fault:
        raise TraceError(f"{path}: its footprints are damaged: remove the file") from fault


def replayed_as(bar: Bar, found: Counted) -> Replayed:
    """The replay as ``replay_runs`` gave it."""
    machine = configuration_of(bar).machine.for_trace(found.about["cpus"])
    return Replayed(Run(bar.label, bar.system, machine), found.counts.to_arrow(), found.footprints, None)
