"""Drives the compiled engine and gives its counts in the oracle's form."""

from collections.abc import Iterator
from typing import NamedTuple

from discotrace.monitor.disco import DiscoSystem
from discotrace.monitor.splashos import SplashosSystem
from discotrace.replay.counts import Counts
from discotrace.replay.crash import Crash
from discotrace.replay.engine import Replay
from discotrace.replay.machine import Machine
from discotrace.replay.native import NativeSystem
from discotrace.replay.system import System
from discotrace.tracegen.schema import Rows, TraceMeta, slice_rows
from tests.oracle.now import Key

Place = tuple[int, int]  # of a frame: node, index within it

SYSTEMS = {"native": NativeSystem, "disco": DiscoSystem, "splashos": SplashosSystem}


class Memory(NamedTuple):
    """Where everything is at the end of a replay."""

    mappings: dict[tuple[int, int], Place]
    pmap: dict[tuple[int, int], Place]
    replicas: dict[Place, list[Place]]
    read_only: set[Place]


def new_system(name: str, meta: TraceMeta, machine: Machine) -> System:
    return SYSTEMS[name](meta, machine)


def batches(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows.kind), size):
        yield slice_rows(rows, start, start + size)


def replay(
    meta: TraceMeta,
    rows: Rows,
    machine: Machine,
    system: str,
    window: int,
    batch: int = 1 << 20,
    crash: tuple[int, int] | None = None,
) -> Replay:
    run = Replay(meta, new_system(system, meta, machine), window, Crash(*crash) if crash else None)
    for part in batches(rows, batch):
        run.feed(part)
    return run


def as_dict(counts: Counts) -> dict[Key, int]:
    columns = counts.table().to_pydict()
    keys = zip(*(columns[name] for name in Key._fields), strict=True)
    return dict(zip(map(Key._make, keys), columns["count"], strict=True))


def place_of(run: Replay, slot: int) -> Place:
    frame = run.system.memory.frames[slot]
    return frame.node, frame.index


def misses_by_frame(run: Replay) -> dict[Place, dict[int, int]]:
    found: dict[Place, dict[int, int]] = {}
    for slot, per_cpu in enumerate(run.misses_by_page):
        counted = {cpu: int(n) for cpu, n in enumerate(per_cpu) if n}
        if counted:
            found[place_of(run, slot)] = counted
    return found


def memory_of(run: Replay) -> Memory:
    system = run.system
    mappings = {
        page: place_of(run, system.slot(mapping.vm, mapping.gfn)) for page, mapping in system.mappings.all().items()
    }
    read_only = {
        place_of(run, slot) for slot in range(len(system.memory.frames)) if system.hardware.frames.read_only[slot]
    }
    if not isinstance(system, DiscoSystem):
        return Memory(mappings, {}, {}, read_only)
    pmap = {
        (vm, gfn): place_of(run, slot) for vm, table in enumerate(system.pmaps) for gfn, slot in table.pages.items()
    }
    memmap = system.frames.memmap
    replicas = {
        place_of(run, slot): sorted(place_of(run, copy) for copy in memmap[slot].replicas.values())
        for slot in memmap.slots
        if memmap[slot].replicas
    }
    return Memory(mappings, pmap, replicas, read_only)
