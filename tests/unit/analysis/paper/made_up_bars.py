"""Bars with times that are easy to reckon with."""

from types import SimpleNamespace
from typing import Any

import polars as pl

from discotrace.analysis.footprint import Memory, MemoryUse
from discotrace.analysis.outcome import ServiceTime
from discotrace.analysis.paper.evaluation import Priced, Result
from discotrace.analysis.paper.experiments import Bar, Experiment, TraceSpec
from discotrace.analysis.paper.replays import configuration_of
from discotrace.analysis.site import Site

PARTS = ("user", "user_stall", "kernel", "kernel_stall", "sync", "idle_loop", "idle")
ZERO = dict.fromkeys((*PARTS, "monitor_tlb", "monitor_calls", "monitor_placement"), 0.0)


def bar(label: str, system: str = "disco", services: tuple[ServiceTime, ...] = (), **parts: float) -> Priced:
    """A bar with these parts in ms, 20 local and 10 remote misses."""
    parts_ms = ZERO | parts
    counts = counted({"l2_load_local": 20, "l2_load_remote": 10, "l2_load_hits": 0, "instructions": 7, "shootdowns": 3})
    outcome = SimpleNamespace(
        time_ms=sum(parts_ms.values()),
        parts_ms=parts_ms,
        stalls_ms={"second_level": 0.0, "local": 2.0, "remote": 4.0},
        remote_miss_ratio=0.25,
        actions_per_second={"migrations": 5.0, "replications": 6.0},
        services=list(services),
        cpus=1,
    )
    any_outcome: Any = outcome
    made = Bar(label, system)
    configuration = configuration_of(made)
    found: Any = SimpleNamespace(counts=counts, about={"trace": {}})
    return Priced(made, found, configuration.prices, Site(configuration.machine.for_trace(1)), any_outcome, memory())


def counted(events: dict[str, int]) -> pl.DataFrame:
    """Counts of user code on one CPU."""
    return pl.DataFrame({"context": ["user"] * len(events), "event": list(events), "count": list(events.values())})


def memory() -> MemoryUse:
    """Of memory in MiB: 3 of kernel data, 1 of text, 5 of the buffer cache, 2 of the monitor, 50 of processes."""
    parts = {"kernel_data": 3, "kernel_text": 1, "buffer_cache": 5, "monitor": 2, "user": 50, "total": 61}
    kib = {name: 1024 * size for name, size in parts.items()}
    end = Memory(kib | {"buffer_cache": 9 * 1024}, kib)
    return MemoryUse("disco", "disco", 1, False, end, end, {})


def result(figure: str, workload: str, *bars: Priced) -> Result:
    """An experiment with these bars."""
    spec = TraceSpec(workload, workload, 1, 1, 1.0)
    return Result(Experiment(spec, (figure,), tuple(one.bar for one in bars)), {one.bar.label: one for one in bars}, {})
