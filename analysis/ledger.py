"""Counts of one system, arranged once so that any prices are a product: what was done where, under which price."""

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import polars as pl

from discotrace.analysis.accounts import Account, Amounts, flattened, total
from discotrace.analysis.pricing import (
    CLASS_OF_KEY,
    CONTEXTS,
    FREE,
    KEYS,
    MISS_CLASSES,
    Codes,
    Flags,
    Floats,
    price_list,
)
from discotrace.analysis.site import Site
from discotrace.analysis.sums import Sums
from discotrace.replay.counts import EVENT_NAMES, N_LOCKS, Event

INTERVALS = 32  # stretches of a run for which waiting is solved; windows are grouped into so many at most
PLACED = {  # events that are summed by their place, and what the sum is called
    EVENT_NAMES.index("lock_acquires"): "acquires",
    EVENT_NAMES.index("memory_requests"): "requests",
    EVENT_NAMES.index("memory_writebacks"): "writebacks",
    EVENT_NAMES.index("disk_requests"): "disk_requests",
    EVENT_NAMES.index("disk_pages"): "disk_pages",
    EVENT_NAMES.index("files_created"): "files_created",
}
MEETINGS = [Event.IDLE_INSTRUCTIONS, Event.IDLE_SPINS, Event.BARRIERS]


@dataclass(frozen=True)
class Columns:
    """The tidy table of counts as codes; windows are numbered from 0 on without gaps."""

    window: Codes
    cpu: Codes
    vm: Codes
    lock: Codes
    context: Codes
    event: Codes
    at: Codes
    count: Floats

    def where(self, keep: Flags) -> "Columns":
        """The rows for which ``keep`` is true."""
        return Columns(**{column.name: getattr(self, column.name)[keep] for column in fields(self)})


@dataclass(frozen=True)
class Ledger:
    """What one system did. Arrays of one number per paid counter, in the order of the counts:

    its window, interval, CPU, VM, lock, context, part of the time (in ``PARTS``), price (in ``KEYS``), and its count.
    The others are sums: ``meets`` [windows, VMs, CPUs]: whether a CPU idled or came to a barrier; ``acquires``
    [intervals, VMs, CPUs, locks]; ``requests`` and ``writebacks`` [intervals, CPUs, nodes]; of disks [VMs, disks].
    """

    system: str
    site: Site
    windows: int
    intervals: int
    window: Codes
    interval: Codes
    cpu: Codes
    vm: Codes
    lock: Codes
    context: Codes
    part: Codes
    price: Codes
    count: Floats
    meets: Flags
    acquires: Floats
    requests: Floats
    writebacks: Floats
    disk_requests: Floats
    disk_pages: Floats
    files_created: Floats

    @property
    def interval_of_window(self) -> Codes:
        """The interval that a window belongs to."""
        interval: Codes = np.arange(self.windows) * self.intervals // max(1, self.windows)
        return interval

    @cached_property
    def miss_class(self) -> Codes:
        """Where a counter's events wait when memory is busy; ``FREE`` if they are no misses."""
        return np.array([CLASS_OF_KEY.get(key, FREE) for key in KEYS])[self.price]

    @cached_property
    def is_miss(self) -> Flags:
        """Whether a counter's events wait when memory is busy."""
        is_miss: Flags = self.miss_class != FREE
        return is_miss

    @cached_property
    def sums(self) -> Sums:
        """What is summed for any prices."""
        return Sums(self)

    def account(self, *axes: tuple[Codes, int], only: Flags | None = None) -> Account:
        """Counters summed by the axes: all, or those for which ``only`` is true."""
        shape = tuple(size for _, size in axes)
        place, places = flattened(*axes), math.prod(shape)
        waits_at = (self.interval, self.intervals), (self.cpu, self.site.cpus), (self.miss_class, MISS_CLASSES)
        column, columns = flattened(*waits_at), math.prod(size for _, size in waits_at)
        chosen = np.ones(len(place), np.bool_) if only is None else only
        missed = chosen & self.is_miss
        return Account(
            shape,
            Amounts.summed(place[chosen], self.price[chosen], self.count[chosen], (places, len(KEYS))),
            Amounts.summed(place[missed], column[missed], self.count[missed], (places, columns)),
        )

    def units_by(self, *axes: tuple[Codes, int]) -> Floats:
        """Events of each price, summed by the axes: [..., len(KEYS)]."""
        return total(flattened(*axes, (self.price, len(KEYS))), self.count, (*(size for _, size in axes), len(KEYS)))

    def misses_by(self, *axes: tuple[Codes, int]) -> Floats:
        """Events that wait when memory is busy, summed by the axes: [..., MISS_CLASSES]."""
        place = flattened(*axes, (self.miss_class, MISS_CLASSES))[self.is_miss]
        return total(place, self.count[self.is_miss], (*(size for _, size in axes), MISS_CLASSES))


def ledger(system: str, counts: pl.DataFrame, site: Site) -> Ledger:
    """Arrange the counts (window, cpu, vm, lock, context, event, at, count) of one system."""
    return arranged(system, columns(counts), site)


def arranged(system: str, of: Columns, site: Site) -> Ledger:
    """The same from columns."""
    windows = int(of.window.max(initial=-1)) + 1
    intervals = min(windows, INTERVALS)
    interval = of.window * intervals // max(1, windows)
    listed = price_list(system)
    seats = (site.vms(system), site.cpus)
    paid = (listed.key[of.context, of.event] != FREE) & ~_free_spins(of, seats)
    kept = of.where(paid)
    return Ledger(
        system=system,
        site=site,
        windows=windows,
        intervals=intervals,
        window=kept.window,
        interval=interval[paid],
        cpu=kept.cpu,
        vm=kept.vm,
        lock=kept.lock,
        context=kept.context,
        part=listed.part[kept.context, kept.event],
        price=listed.key[kept.context, kept.event],
        count=kept.count,
        meets=_meets(of, (windows, *seats)),
        **_sums(of, interval, (intervals, *seats), site.nodes),
    )


def _sums(of: Columns, interval: Codes, shape: tuple[int, int, int], nodes: int) -> dict[str, Floats]:
    """What is summed when the ledger is made, by its name there. ``shape``: intervals, VMs, CPUs."""
    chosen = np.isin(of.event, list(PLACED))
    few, interval = of.where(chosen), interval[chosen]
    intervals, vms, cpus = shape
    disks = int(few.at.max(initial=0)) + 1
    at_node = (interval, intervals), (few.cpu, cpus), (few.at, nodes)
    at_disk = (few.vm, vms), (few.at, disks)
    at_lock = (interval, intervals), (few.vm, vms), (few.cpu, cpus), (few.lock, N_LOCKS)
    axes = dict(zip(PLACED.values(), (at_lock, at_node, at_node, at_disk, at_disk, at_disk), strict=True))
    return {name: _sum_of(few, event, *axes[name]) for event, name in PLACED.items()}


def _sum_of(of: Columns, event: int, *axes: tuple[Codes, int]) -> Floats:
    is_it = of.event == event
    of_event = [(codes[is_it], size) for codes, size in axes]
    return total(flattened(*of_event), of.count[is_it], tuple(size for _, size in axes))


def columns(counts: pl.DataFrame) -> Columns:
    """The tidy table of counts as arrays of codes."""
    codes = counts.select(
        pl.col("window").rank("dense").cast(pl.Int64) - 1,
        pl.col("cpu", "vm", "lock").cast(pl.Int64),
        pl.col("context").cast(pl.Enum(CONTEXTS)).to_physical().cast(pl.Int64),
        pl.col("event").cast(pl.Enum(EVENT_NAMES)).to_physical().cast(pl.Int64),
        pl.col("at").cast(pl.Int64),
        pl.col("count").cast(pl.Float64),
    )
    return Columns(**{name: codes[name].to_numpy() for name in codes.columns})


def _free_spins(of: Columns, seats: tuple[int, int]) -> Flags:
    """The idle loops that keep nobody waiting: those on CPUs that one virtual machine has for itself."""
    runs = np.zeros(seats, np.bool_)
    runs[of.vm, of.cpu] = True
    free: Flags = (of.event == Event.IDLE_SPINS) & (runs.sum(axis=0) == 1)[of.cpu]
    return free


def _meets(of: Columns, shape: tuple[int, int, int]) -> Flags:
    found = np.isin(of.event, MEETINGS)
    meets = np.zeros(shape, np.bool_)
    meets[of.window[found], of.vm[found], of.cpu[found]] = True
    return meets
