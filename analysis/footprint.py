"""Memory in use with and without sharing: figure 6 of the Disco paper (D 5.3) for any trace."""

from dataclasses import asdict, dataclass, replace

import polars as pl

from discotrace.analysis.fronts import Run
from discotrace.analysis.ledger import columns
from discotrace.analysis.monitor_memory import monitor_structures
from discotrace.analysis.outcome import event_totals
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.run import Replayed
from discotrace.replay.footprint import Footprint
from discotrace.replay.machine import Machine, Vms

NAMES = {  # of the categories of replay, in the order of reports
    "data": "kernel_data",
    "text": "kernel_text",
    "buffer": "buffer_cache",
    "user": "user",
    "replica": "replicas",
    "log": "logs",
    "disk_cache": "disk_cache",
}
MONITOR = "monitor"
TOTAL = "total"


@dataclass(frozen=True)
class Memory:
    """KiB by what they hold: ``virtual`` without sharing, ``machine`` as it is. Both have the monitor and the total."""

    virtual_kib: dict[str, int]
    machine_kib: dict[str, int]


@dataclass(frozen=True)
class MemoryUse:
    """Memory under one system: at the end, and when most frames were in use; the monitor's own structures in KiB."""

    label: str
    system: str
    vms: int
    nfs: bool
    end: Memory
    peak: Memory
    monitor_kib: dict[str, int]


def memory_runs(machine: Machine, counts_of_vms: list[int], nfs: bool) -> list[Run]:
    """Replays to compare: natively, with each number of virtual machines, and the last of them over NFS if wanted.

    Raises ConfigError for a number that the machine cannot have.
    """
    wanted = [replace(machine.vm, count=count) for count in counts_of_vms]
    if nfs:
        wanted.append(replace(wanted[-1], nfs=True))
    return [Run(NATIVE, NATIVE, machine), *(_run(machine, vms) for vms in dict.fromkeys(wanted))]


def _run(machine: Machine, vms: Vms) -> Run:
    label = f"{vms.count} VM{'s' if vms.count > 1 else ''}{', NFS' if vms.nfs else ''}"
    return Run(label, "disco", Machine.from_tables(machine.to_tables() | {"vm": asdict(vms)}))


def memory_use(replayed: Replayed, streams: int) -> MemoryUse:
    """The memory of one replay of a trace with ``streams`` virtual CPUs."""
    run = replayed.run
    counts = pl.from_arrow(replayed.counts)
    assert isinstance(counts, pl.DataFrame)
    is_native = run.system == NATIVE
    structures = {} if is_native else monitor_structures(run.machine, streams, event_totals(columns(counts)))
    monitor_kib = {name: _kib(size) for name, size in structures.items()}
    page_kib, monitor = run.machine.memory.page_kib, sum(monitor_kib.values())
    return MemoryUse(
        label=run.label,
        system=run.system,
        vms=1 if is_native else run.machine.vm.count,
        nfs=not is_native and run.machine.vm.nfs,
        end=_memory(replayed.footprints.end, page_kib, monitor),
        peak=_memory(replayed.footprints.peak, page_kib, monitor),
        monitor_kib=monitor_kib,
    )


def _memory(footprint: Footprint, page_kib: int, monitor_kib: int) -> Memory:
    return Memory(*(_by_name(pages, page_kib, monitor_kib) for pages in (footprint.virtual, footprint.machine)))


def _by_name(pages: dict[str, int], page_kib: int, monitor_kib: int) -> dict[str, int]:
    kib = {name: pages[category] * page_kib for category, name in NAMES.items() if category in pages}
    kib[MONITOR] = monitor_kib
    return kib | {TOTAL: sum(kib.values())}


def _kib(size_b: int) -> int:
    return -(-size_b // 1024)
