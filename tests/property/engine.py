"""Drives the compiled engine and gives its counts in the oracle's form."""

from collections.abc import Iterator

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Counts
from discotrace.replay.engine import Replay
from discotrace.replay.machine import Machine
from discotrace.replay.system import NativeSystem, System
from discotrace.tracegen.schema import Rows, TraceMeta, slice_rows

Key = tuple[int, int, int, str, str]


def new_system(name: str, machine: Machine, vcpus: int) -> System:
    return NativeSystem(machine) if name == "native" else DiscoSystem(machine, vcpus)


def batches(rows: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(rows.kind), size):
        yield slice_rows(rows, start, start + size)


def replay(meta: TraceMeta, rows: Rows, machine: Machine, system: str, window: int, batch: int = 1 << 20) -> Replay:
    run = Replay(meta, machine, new_system(system, machine, meta.cpus), window)
    for part in batches(rows, batch):
        run.feed(part)
    return run


def as_dict(counts: Counts) -> dict[Key, int]:
    columns = counts.table().to_pydict()
    names = ("window", "cpu", "vm", "context", "event")
    keys = zip(*(columns[name] for name in names), strict=True)
    return dict(zip(keys, columns["count"], strict=True))


def misses_by_frame(run: Replay) -> dict[tuple[int, int], dict[int, int]]:
    found: dict[tuple[int, int], dict[int, int]] = {}
    for slot, per_cpu in enumerate(run.misses_by_page):
        frame = run.system.memory.frames[slot]
        counted = {cpu: int(n) for cpu, n in enumerate(per_cpu) if n}
        if counted:
            found[frame.node, frame.index] = counted
    return found
