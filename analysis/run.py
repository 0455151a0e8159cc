"""Runs replays: one decode of a trace feeds them all at once, each front in a thread of its own."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import polars as pl
import pyarrow as pa

from discotrace.analysis.configuration import Configuration
from discotrace.analysis.fronts import Run, fronts
from discotrace.analysis.outcome import ServiceTime, outcome
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.site import Site
from discotrace.monitor.disco import DiscoSystem
from discotrace.monitor.history import History
from discotrace.monitor.splashos import SplashosSystem
from discotrace.replay.crash import Crash, Loss
from discotrace.replay.engine import Replay, RowFault
from discotrace.replay.footprint import Footprints
from discotrace.replay.machine import Hierarchy, Machine
from discotrace.replay.native import NativeSystem
from discotrace.replay.system import System
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.reader import BATCH_ROWS, TraceReader
from discotrace.tracegen.schema import Rows, TraceMeta

NO_WINDOWS = 1 << 62  # a window longer than any trace

SYSTEMS: dict[str, Callable[[TraceMeta, Machine, History | None, Sequence[Hierarchy]], System]] = {
    NATIVE: lambda meta, machine, history, beside: NativeSystem(meta, machine, beside),
    "disco": DiscoSystem,
    "splashos": SplashosSystem,
}
WITH_MONITOR = [name for name in SYSTEMS if name != NATIVE]


@dataclass(frozen=True)
class Replayed:
    """What one replay gave: tidy counts, memory in use, and what the crash cost if there was one.

    The machine of ``run`` has its CPUs resolved.
    """

    run: Run
    counts: pa.Table
    footprints: Footprints
    loss: Loss | None


@dataclass(frozen=True)
class Finished:
    """What replays of one trace under several systems gave, by system, and the machine with its CPUs resolved."""

    counts: dict[str, pa.Table]
    losses: dict[str, Loss]
    machine: Machine


def new_system(
    name: str,
    meta: TraceMeta,
    machine: Machine,
    history: History | None = None,
    beside: Sequence[Hierarchy] = (),
) -> System:
    """A system under test by name; ``beside``: see ``System``. Raises ConfigError for an unknown one."""
    if name not in SYSTEMS:
        raise ConfigError(f"unknown system {name!r}; known: {', '.join(SYSTEMS)}")
    return SYSTEMS[name](meta, machine, history, beside)


def replay_systems(
    reader: TraceReader,
    machine: Machine,
    systems: list[str],
    window: int,
    on_rows: Callable[[int], None],
    batch_rows: int = BATCH_ROWS,
    crash: Crash | None = None,
) -> Finished:
    """Replay a trace under several systems on one machine. Arguments and errors are those of ``replay_runs``."""
    if not systems:
        raise ConfigError(f"no system to replay under; known: {', '.join(SYSTEMS)}")
    replayed = replay_runs(reader, [Run(s, s, machine) for s in systems], window, on_rows, batch_rows, crash)
    return Finished(
        {one.run.label: one.counts for one in replayed},
        {one.run.label: one.loss for one in replayed if one.loss},
        replayed[0].run.machine,
    )


def replay_runs(
    reader: TraceReader,
    runs: list[Run],
    window: int,
    on_rows: Callable[[int], None],
    batch_rows: int = BATCH_ROWS,
    crash: Crash | None = None,
    threads: int | None = None,
) -> list[Replayed]:
    """Make several replays of a trace side by side.

    ``window`` in instructions; ``on_rows`` is told how many more rows all of them have replayed; ``threads`` that
    replay, beside the one that decodes: by default one for each front.
    Raises TraceError with the place in the file for a row that breaks the format, ConfigError for what cannot be built
    or does not fit into the machine.
    """
    meta = reader.meta
    runs = [replace(run, machine=run.machine.for_trace(meta.cpus)) for run in runs]
    places = fronts(runs)
    replays = [_new_replay(meta, [runs[place] for place in front], window, crash) for front in places]
    labels = [runs[front[0]].label for front in places]
    with ThreadPoolExecutor(threads or len(replays)) as pool:
        for rows in reader.batches(batch_rows):
            try:
                _feed_all(pool, labels, replays, rows)
            except RowFault as fault:
                raise TraceError(f"{reader.source}: {reader.locate(fault.row)}: {fault.message}") from fault
            on_rows(len(rows.kind))
    found = {}
    for front, one in zip(places, replays, strict=True):
        for place, counts in zip(front, one.finish_lanes(), strict=True):
            found[place] = Replayed(runs[place], counts.table(), one.footprints, one.loss)
    return [found[place] for place in range(len(runs))]


def replay_alone(
    reader: TraceReader, replay: Replay, on_rows: Callable[[int], None], batch_rows: int = BATCH_ROWS
) -> None:
    """Feed one replay with a whole trace. ``on_rows`` is told how many more rows are done.

    Raises TraceError and ConfigError as ``replay_runs`` does.
    """
    for rows in reader.batches(batch_rows):
        try:
            replay.feed(rows)
        except RowFault as fault:
            raise TraceError(f"{reader.source}: {reader.locate(fault.row)}: {fault.message}") from fault
        on_rows(len(rows.kind))


def _new_replay(meta: TraceMeta, runs: Sequence[Run], window: int, crash: Crash | None) -> Replay:
    """The replay of runs that share a front."""
    first, beside = runs[0], [run.machine.caches for run in runs[1:]]
    return Replay(meta, new_system(first.system, meta, first.machine, first.history, beside), window, crash)


def _feed_all(pool: ThreadPoolExecutor, labels: list[str], replays: list[Replay], rows: Rows) -> None:
    futures: list[Future[None]] = [pool.submit(replay.feed, rows) for replay in replays]
    for label, future in zip(labels, futures, strict=True):
        try:
            future.result()
        except ConfigError as fault:
            raise ConfigError(f"{label}: {fault}" if label else str(fault)) from fault


def native_services(trace: str | os.PathLike[str], configuration: Configuration) -> dict[str, ServiceTime]:
    """Mean times of the OS services of a trace, natively, by name."""
    with TraceReader(trace) as reader:
        finished = replay_systems(reader, configuration.machine, [NATIVE], NO_WINDOWS, lambda rows: None)
    counts = pl.from_arrow(finished.counts[NATIVE])
    assert isinstance(counts, pl.DataFrame)
    answer = outcome(NATIVE, counts, Site(finished.machine), configuration.prices)
    return {service.service: service for service in answer.services}
