"""The time of one system: what its CPUs do, and what they wait for, which depends on each other.

Busy times give the intervals in which CPUs ask for memory and locks; waiting makes these intervals longer. The state
that reproduces itself is found by repeating that, with steps as long as the last two say.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from discotrace.analysis import contention, locks, multiprogramming
from discotrace.analysis.execution import Execution, executed
from discotrace.analysis.ledger import Ledger
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import FREE, IDLE_PART, MISS_CLASSES, PARTS, SYNC_PART, Codes, Floats, unit_ns

SETTLED = 1e-4  # change of a CPU's waiting, relative to the execution time, at which the solution stands
FULL_STEPS = 20  # steps by secants; after that small ones
STEPS = 60
SHORTEST, LONGEST = 0.25, 2.0  # limits of a step towards what was found
CAUTION = 0.1


@dataclass(frozen=True)
class Waits:
    """Waiting in ns: at nodes per request [intervals, CPUs, nodes] and, by its class, per miss [intervals, CPUs,
    MISS_CLASSES]; for locks [intervals, VMs, CPUs]; for disks [VMs]."""

    at_nodes: Floats
    of_misses: Floats
    for_locks: Floats
    for_disks: Floats

    def towards(self, other: "Waits", share: float) -> "Waits":
        """The state at a share of the way to another one, or beyond it; nobody waits for less than nothing."""
        there = zip(self._arrays(), other._arrays(), strict=True)
        return Waits(*(np.maximum(old + share * (new - old), 0) for old, new in there))

    def _arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.at_nodes, self.of_misses, self.for_locks, self.for_disks


class Model:
    """What is known before anybody waits. Sums over counters are made here once; solving needs small arrays only."""

    def __init__(self, ledger: Ledger, prices: Prices) -> None:
        site = ledger.site
        self.ledger = ledger
        self.units = unit_ns(prices)
        self.members = site.cpus_of_vms(ledger.system)
        in_window = (ledger.window, ledger.windows), (ledger.cpu, site.cpus)
        on_seat = (ledger.interval, ledger.intervals), (ledger.vm, len(self.members)), (ledger.cpu, site.cpus)
        self.window_ns = ledger.time_by(self.units, *in_window)
        self.seat_ns = ledger.time_by(self.units, *on_seat)
        self.nodes = contention.nodes_of(ledger, prices.memory)
        self.sections = locks.sections_of(ledger, prices.locks, self.units)
        self.jobs = multiprogramming.jobs_of(ledger, prices.disks, self.units)
        self.window_misses = ledger.misses_by(*in_window)
        self.seat_misses = ledger.misses_by(*on_seat)

    def no_waits(self) -> Waits:
        """The state in which nobody waits."""
        shape = (self.ledger.intervals, self.ledger.site.cpus)
        vms = len(self.members)
        return Waits(
            np.zeros((*shape, self.ledger.site.nodes)),
            np.zeros((*shape, MISS_CLASSES)),
            np.zeros((shape[0], vms, shape[1])),
            np.zeros(vms),
        )

    def busy(self, waits: Waits) -> Floats:
        """Time of each CPU in each window [windows, CPUs] with waiting for memory and locks.

        Waiting for locks is spread over an interval as the CPU's busy time is.
        """
        interval = self.ledger.interval_of_window
        of_windows = self.window_ns + (self.window_misses * waits.of_misses[interval]).sum(axis=-1)
        of_intervals = _sum_intervals(of_windows, interval, self.ledger.intervals)
        longer = 1 + waits.for_locks.sum(axis=1) / np.where(of_intervals > 0, of_intervals, np.inf)
        busy: Floats = of_windows * longer[interval]
        return busy

    def executed(self, waits: Waits) -> Execution:
        """When CPUs finish, without disks."""
        meets = np.zeros_like(self.ledger.meets) if self.ledger.site.runs_on else self.ledger.meets
        return executed(self.busy(waits), meets, self.members)

    def ends(self, execution: Execution) -> Floats:
        """When each virtual machine finishes without disks: [VMs]. In a run that goes on, the mean of its CPUs."""
        of_cpus = np.where(self.members, execution.ends, 0)
        ends: Floats = of_cpus.max(axis=1)
        return of_cpus.sum(axis=1) / self.members.sum(axis=1) if self.ledger.site.runs_on else ends

    def spans(self, execution: Execution, waits: Waits) -> Floats:
        """Time of each CPU in each interval [intervals, CPUs], with its idle time; that for disks is spread evenly."""
        last = np.flatnonzero(np.diff(self.ledger.interval_of_window, append=self.ledger.intervals))
        ends = self.ends(execution)
        stretched = 1 + waits.for_disks / np.where(ends > 0, ends, np.inf)
        of_cpus = np.where(self.members, stretched[:, None], np.inf).min(axis=0)
        return np.diff(execution.clock[last], axis=0, prepend=0) * np.where(np.isfinite(of_cpus), of_cpus, 1)

    def next(self, waits: Waits) -> Waits:
        """The waiting that CPUs with this waiting cause."""
        execution = self.executed(waits)
        spans = self.spans(execution, waits)
        at_nodes, of_misses, for_locks, for_disks = waits.at_nodes, waits.of_misses, waits.for_locks, waits.for_disks
        if self.nodes:
            at_nodes = contention.waits_at_nodes(self.nodes, spans, waits.at_nodes)
            of_misses = contention.waits_of_misses(self.nodes, at_nodes)
        if self.sections:
            for_locks = locks.waits_for_locks(self.sections, spans, waits.of_misses, waits.for_locks)
        if self.jobs:
            in_memory = (self.seat_misses * waits.of_misses[:, None]).sum(axis=-1)
            busy = (self.seat_ns + in_memory + waits.for_locks).sum(axis=(0, 2))
            for_disks = multiprogramming.waits_for_disks(self.jobs, busy, self.ends(execution))
        return Waits(at_nodes, of_misses, for_locks, for_disks)

    def time_ns(self, waits: Waits) -> float:
        """Execution time: that of the slowest virtual machine, disks included."""
        return float((self.ends(self.executed(waits)) + waits.for_disks).max(initial=0))

    def waited(self, waits: Waits) -> Floats:
        """All waiting of each CPU in each interval, in ns: what has to settle."""
        in_memory = (self.seat_misses.sum(axis=1) * waits.of_misses).sum(axis=-1)
        disks = waits.for_disks.sum() / max(1, self.ledger.intervals)
        waited: Floats = in_memory + waits.for_locks.sum(axis=1) + disks
        return waited


@dataclass(frozen=True)
class Timing:
    """The solved time of a system, in ns."""

    model: Model
    waits: Waits
    execution: Execution

    @cached_property
    def counter_ns(self) -> Floats:
        """Time of each counter of the ledger, with its waiting for memory."""
        ledger = self.model.ledger
        waits = self.waits.of_misses[ledger.interval, ledger.cpu, np.maximum(ledger.miss_class, 0)]
        return ledger.count * (self.model.units[ledger.price] + np.where(ledger.miss_class == FREE, 0.0, waits))

    @property
    def total_ns(self) -> float:
        """Execution time: that of the slowest virtual machine, disks included."""
        return self.model.time_ns(self.waits)

    def parts_ns(self) -> dict[str, float]:
        """Mean over the CPUs of each part of the time, idle last; they add up to the execution time."""
        ledger = self.model.ledger
        cpus = ledger.site.cpus
        sums = np.bincount(ledger.part, self.counter_ns, len(PARTS))
        parts = {part: float(ns) / cpus for part, ns in zip(PARTS, sums, strict=True)}
        late = self.total_ns - self.execution.ends + self.execution.waited
        return parts | {SYNC_PART: float(self.waits.for_locks.sum()) / cpus, IDLE_PART: float(late.sum()) / cpus}

    def utilisation(self) -> float:
        """Highest share of an interval that a node's memory is busy."""
        if self.model.nodes is None:
            return 0.0
        spans = self.model.spans(self.execution, self.waits)
        return float(contention.utilisation(self.model.nodes, spans).max(initial=0))


def timing(ledger: Ledger, prices: Prices) -> Timing:
    """Solve the time of a system."""
    model = Model(ledger, prices)
    waits = _settled(model)
    return Timing(model, waits, model.executed(waits))


def _settled(model: Model) -> Waits:
    """The waiting that causes itself."""
    waits = model.no_waits()
    if not (model.nodes or model.sections or model.jobs):
        return waits
    share, before = 1.0, np.zeros(0)
    for step in range(STEPS):
        found = model.next(waits)
        change = model.waited(found) - model.waited(waits)
        if np.abs(change).sum(axis=0).max(initial=0) <= SETTLED * model.time_ns(waits):
            return found
        share = _share(change, before, share) if step < FULL_STEPS else CAUTION
        waits, before = waits.towards(found, share), change
    return waits


def _share(change: Floats, before: Floats, share: float) -> float:
    """How far to go towards what was found, by the changes at the last two states: the secant on their common line."""
    size = float((before * before).sum())
    if size == 0:
        return share
    left = float((change * before).sum()) / size
    return min(max(share / (1 - left), SHORTEST), LONGEST) if left < 1 else SHORTEST


def _sum_intervals(of_windows: Floats, interval: Codes, intervals: int) -> Floats:
    sums = np.zeros((intervals, of_windows.shape[1]))
    np.add.at(sums, interval, of_windows)
    return sums
