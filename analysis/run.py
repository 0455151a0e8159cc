"""Runs replays: one decode of a trace feeds every system at once, each in a thread of its own."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from discotrace.analysis.configuration import Configuration
from discotrace.analysis.outcome import ServiceTime, outcome
from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.engine import Replay, RowFault
from discotrace.replay.machine import Machine
from discotrace.replay.system import NativeSystem, System
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.reader import BATCH_ROWS, TraceReader
from discotrace.tracegen.schema import Rows, TraceMeta

NO_WINDOWS = 1 << 62  # a window longer than any trace

SYSTEMS: dict[str, Callable[[Machine, TraceMeta], System]] = {
    "native": lambda machine, meta: NativeSystem(machine),
    "disco": lambda machine, meta: DiscoSystem(machine, meta.cpus),
}


@dataclass(frozen=True)
class Finished:
    """What replays of one trace gave: tidy counts by system, and the machine with its CPUs resolved."""

    counts: dict[str, pa.Table]
    machine: Machine


def new_system(name: str, machine: Machine, meta: TraceMeta) -> System:
    """A system under test by name. Raises ConfigError for an unknown one."""
    if name not in SYSTEMS:
        raise ConfigError(f"unknown system {name!r}; known: {', '.join(SYSTEMS)}")
    return SYSTEMS[name](machine, meta)


def replay_systems(
    reader: TraceReader,
    machine: Machine,
    systems: list[str],
    window: int,
    on_rows: Callable[[int], None],
    batch_rows: int = BATCH_ROWS,
) -> Finished:
    """Replay a trace under several systems.

    ``window`` in instructions; ``on_rows`` is told how many more rows all systems have replayed.
    Raises TraceError with the place in the file for a row that breaks the format, ConfigError for what cannot be built.
    """
    if not systems:
        raise ConfigError(f"no system to replay under; known: {', '.join(SYSTEMS)}")
    machine = machine.for_trace(reader.meta.cpus)
    replays = [Replay(reader.meta, machine, new_system(name, machine, reader.meta), window) for name in systems]
    with ThreadPoolExecutor(len(replays)) as threads:
        for rows in reader.batches(batch_rows):
            try:
                _feed_all(threads, replays, rows)
            except RowFault as fault:
                raise TraceError(f"{reader.source}: {reader.locate(fault.row)}: {fault.message}") from fault
            on_rows(len(rows.kind))
    return Finished({r.system.name: r.finish().table() for r in replays}, machine)


def _feed_all(threads: ThreadPoolExecutor, replays: list[Replay], rows: Rows) -> None:
    futures = [threads.submit(replay.feed, rows) for replay in replays]
    for future in futures:
        future.result()


def native_services(trace: str | os.PathLike[str], configuration: Configuration) -> dict[str, ServiceTime]:
    """Mean times of the OS services of a trace, natively, by name."""
    with TraceReader(trace) as reader:
        finished = replay_systems(reader, configuration.machine, ["native"], NO_WINDOWS, lambda rows: None)
    counts = pl.from_arrow(finished.counts["native"])
    assert isinstance(counts, pl.DataFrame)
    answer = outcome("native", counts, finished.machine.cpu.count, configuration.prices)
    return {service.service: service for service in answer.services}
