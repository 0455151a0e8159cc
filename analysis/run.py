"""Runs replays: one decode of a trace feeds every system at once, each in a thread of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.engine import Replay, RowFault
from discotrace.replay.machine import Machine
from discotrace.replay.system import NativeSystem, System
from discotrace.tracegen.errors import ConfigError, TraceError
from discotrace.tracegen.reader import BATCH_ROWS, TraceReader
from discotrace.tracegen.schema import Rows, TraceMeta

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
