"""Counts in which CPUs wait, for tests."""

import polars as pl

from discotrace.analysis.configuration import load
from discotrace.analysis.ledger import Ledger, ledger
from discotrace.analysis.prices import Prices
from discotrace.analysis.site import Site
from discotrace.replay.counts import CONTEXT_NAMES
from tests.unit.analysis.frames import counts_frame

OFF = {
    "memory.controller_ns": 0.0,
    "memory.port_ns": 0.0,
    "locks.handoff_ns": 0.0,
    "disks.request_ms": 0.0,
    "disks.page_ms": 0.0,
    "disks.create_requests": 0.0,
}


def rows(
    event: str,
    count: int | list[int],
    *,
    cpu: int = 0,
    vm: int = 0,
    lock: int = 0,
    at: int = 0,
    context: str = "user",
) -> pl.DataFrame:
    """One counter in one window or, from a list, in as many."""
    found = counts_frame(
        *((w, cpu, "user", event, n) for w, n in enumerate([count] if isinstance(count, int) else count))
    )
    assert context in (*CONTEXT_NAMES, "any")
    columns = {"vm": (vm, pl.UInt16), "lock": (lock, pl.UInt8), "at": (at, pl.Int64), "context": (context, pl.String)}
    return found.with_columns(pl.lit(value, kind).alias(name) for name, (value, kind) in columns.items())


def misses(count: int, *, cpu: int, at: int) -> pl.DataFrame:
    """Loads that the memory of a node serves, with one CPU on each node."""
    served = "l2_load_local" if cpu == at else "l2_load_remote"
    return pl.concat([rows(served, count, cpu=cpu), rows("memory_requests", count, cpu=cpu, at=at, context="any")])


def sections(count: int, instructions: int, *, cpu: int, lock: int = 1, vm: int = 0) -> pl.DataFrame:
    """Sections of some instructions in all under a lock."""
    where = {"cpu": cpu, "lock": lock, "vm": vm, "context": "kernel:open"}
    return pl.concat([rows("lock_acquires", count, **where), rows("instructions", instructions, **where)])  # type: ignore[arg-type]


def priced(**prices: float) -> Prices:
    """Prices of FLASH without any waiting but what is given, as table__key=value."""
    wanted = OFF | {name.replace("__", "."): value for name, value in prices.items()}
    return load("flash", [f"{key}={value}" for key, value in wanted.items()]).prices


def arranged(
    *frames: pl.DataFrame,
    cpus: int = 2,
    changes: tuple[str, ...] = (),
    instances: int = 1,
    jobs: int | None = None,
    runs_on: bool = False,
    system: str = "disco",
) -> Ledger:
    """A ledger of some counts on FLASH."""
    site = Site(load("flash", changes).machine.for_trace(cpus), instances, jobs, runs_on)
    return ledger(system, pl.concat(frames), site)
