"""Compiling before work begins, one process at a time: of several that compile the same function at once, one may break
the files of the other (Numba issues 4807, 10128), and all would wait for the same."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import polars as pl
from llvmlite.binding import get_host_cpu_name

from discotrace.analysis.configuration import load
from discotrace.analysis.keeping import digest, sources_digest
from discotrace.analysis.outcome import counted
from discotrace.analysis.polynomial import Basis
from discotrace.analysis.run import new_system
from discotrace.analysis.site import Site
from discotrace.analysis.sweep.figures import Pricer
from discotrace.replay.engine import Replay
from discotrace.replay.kernels.compile import cache_folder
from discotrace.tracegen.schema import KSEG0_START, Kind, Process, Segment, TraceMeta, rows_from_records

_PAGE, _PAGES = 4096, 600  # more pages than the page map has room for at first, so that it grows
_AT = 0x40_0000
_META = TraceMeta(
    cpus=2,
    processes=[Process(1, "warm")],
    segments=[
        Segment(1, _AT, _AT + _PAGES * _PAGE, "anonymous"),
        Segment(0, KSEG0_START, KSEG0_START + _PAGE, "anonymous"),
    ],
)


def is_warm(systems: Sequence[str]) -> bool:
    """Whether all that a sweep under these systems calls has been compiled before."""
    return all(_mark(system).exists() for system in systems)


def warm(systems: Sequence[str], on_rows: Callable[[int], None]) -> None:
    """Compile what a sweep under these systems calls, and keep it. No row of a trace is replayed.

    Where several processes want it, of one computer or of several with one home, one of them compiles.
    """
    with _one_at_a_time():
        for system in systems:
            if not _mark(system).exists():
                _compile(system)
                _mark(system).touch()


def _compile(name: str) -> None:
    """A small replay under the system that calls all that there is, priced."""
    configuration = load("flash", [])
    machine = configuration.machine.for_trace(_META.cpus)
    rows = rows_from_records([(0, 1, Kind.LOAD, _AT + page * _PAGE, 4, 0) for page in range(_PAGES)])
    system = new_system(name, _META, machine)
    replay = Replay(_META, system, 1 << 20)
    replay.feed(rows)
    mapped = next(iter(system.mappings.all()))
    system.hardware.shoot_down([mapped])
    system.hardware.drop_lines(0)
    counts = pl.from_arrow(replay.finish().table())
    assert isinstance(counts, pl.DataFrame)
    Pricer(counted(name, counts, Site(machine)), configuration.prices, {}).figures({}, 1)
    Basis(1, 2).terms(np.zeros((1, 1)))  # where points are many, waiting is interpolated


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Other processes wait until the block ends; on a file system without locks they do not."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _mark(system: str) -> Path:
    made_for = {"sources": sources_digest("discotrace.analysis"), "cpu": get_host_cpu_name()}  # homes may be shared
    return cache_folder() / f"{system}-{digest(made_for)}.warm"
