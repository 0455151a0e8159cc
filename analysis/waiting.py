"""The time of one system: what its CPUs do, and what they wait for, which depends on each other.

Busy times give the intervals in which CPUs ask for memory and locks; waiting makes these intervals longer. The state
that reproduces itself is found by repeating that, with steps as long as the last two say. Many vectors of prices are
solved side by side, each as if it were alone: its figures are the same to the last digit.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from discotrace.analysis import contention
from discotrace.analysis.execution import Execution
from discotrace.analysis.ledger import Ledger
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import ALL_PARTS, IDLE_PART, PARTS, SYNC_PART, Codes, Floats
from discotrace.analysis.waiting_kernels import adapt_steps
from discotrace.analysis.waiting_model import Model, Waits

SETTLED = 1e-4  # change of a CPU's waiting, relative to the execution time, at which the solution stands
FULL_STEPS = 20  # steps by secants; after that small ones
STEPS = 60
CAUTION = 0.1
OF_COUNTERS = [ALL_PARTS.index(part) for part in PARTS]
SYNC, IDLE = ALL_PARTS.index(SYNC_PART), ALL_PARTS.index(IDLE_PART)


@dataclass(frozen=True)
class Times:
    """The solved times of a system at ``n`` vectors of prices, in ns."""

    model: Model
    waits: Waits
    execution: Execution

    @cached_property
    def total_ns(self) -> Floats:
        """Execution time [n]: that of the slowest virtual machine, disks included."""
        return self.model.time_ns(self.execution, self.waits)

    def parts_ns(self) -> Floats:
        """Mean over the CPUs of each part of the time: [n, ALL_PARTS]. They add up to the execution time."""
        cpus = self.model.ledger.site.cpus
        parts = np.zeros((len(self.total_ns), len(ALL_PARTS)))
        parts[:, OF_COUNTERS] = self.model.time_of(self.model.sums.by_part, self.waits) / cpus
        if self.model.sections:
            parts[:, SYNC] = self.waits.for_locks.reshape(len(parts), -1).sum(axis=1) / cpus
        late = self.total_ns[:, None] - self.execution.ends + self.execution.waited
        parts[:, IDLE] = np.maximum(late.sum(axis=1), 0) / cpus  # which rounding may have put below nothing
        return parts

    def stalls_ms(self) -> Floats:
        """Mean over the CPUs of stalls of user and kernel, waiting included, by who served them: [n, STALLS]."""
        stalls: Floats = self.model.time_of(self.model.sums.by_stall, self.waits) / self.model.ledger.site.cpus / 1e6
        return stalls

    def utilisation(self) -> Floats:
        """Highest share of an interval that a node's memory is busy: [n]."""
        if self.model.nodes is None:
            return np.zeros(len(self.total_ns))
        spans = self.model.spans(self.execution, self.waits)
        highest: Floats = contention.utilisation(self.model.nodes, spans).max(axis=(1, 2), initial=0)
        return highest


@dataclass(frozen=True)
class Timing:
    """The solved time of a system at one vector of prices, in ns: the only one of ``times``."""

    times: Times

    @property
    def model(self) -> Model:
        """What was solved."""
        return self.times.model

    @property
    def waits(self) -> Waits:
        """What is waited for, without the axis of the vectors."""
        return self.times.waits.part(0)

    @property
    def execution(self) -> Execution:
        """When CPUs finish without disks, without the axis of the vectors."""
        return Execution(self.times.execution.clock[0], self.times.execution.waited[0])

    @cached_property
    def counter_ns(self) -> Floats:
        """Time of each counter of the ledger, with its waiting for memory."""
        ledger = self.model.ledger
        each = self.model.points.unit_ns[0][ledger.price]
        if self.model.nodes:
            waits = self.waits.of_misses[ledger.interval, ledger.cpu, ledger.miss_class]
            each += np.where(ledger.is_miss, waits, 0.0)
        spent: Floats = ledger.count * each
        return spent

    @property
    def total_ns(self) -> float:
        """Execution time: that of the slowest virtual machine, disks included."""
        return float(self.times.total_ns[0])

    def parts_ns(self) -> dict[str, float]:
        """Mean over the CPUs of each part of the time, idle last; they add up to the execution time."""
        return dict(zip(ALL_PARTS, self.times.parts_ns()[0].tolist(), strict=True))

    def utilisation(self) -> float:
        """Highest share of an interval that a node's memory is busy."""
        return float(self.times.utilisation()[0])


def timing(ledger: Ledger, prices: Prices) -> Timing:
    """Solve the time of a system."""
    return Timing(solved(ledger, PricePoints.of(prices)))


def solved(ledger: Ledger, points: PricePoints) -> Times:
    """Solve the times of a system at vectors of prices at which CPUs wait for the same things (``what_waits``)."""
    model = Model(ledger, points)
    waits = _settled(model)
    return Times(model, waits, model.executed(waits))


def _settled(model: Model) -> Waits:
    """The waiting that causes itself, at each vector of prices."""
    waits = model.no_waits()
    if not model.does_wait:
        return waits
    sought = np.arange(len(model.points))
    share, before = np.ones(len(sought)), np.zeros((len(sought), *model.sums.misses.shape[:2]))
    settled: list[tuple[Codes, Waits]] = []
    for step in range(STEPS):
        execution = model.executed(waits)
        found = model.next(waits, execution)
        change, largest = model.change(waits, found)
        stands = largest <= SETTLED * model.time_ns(execution, waits)
        if stands.any():
            settled.append((sought[stands], found.part(stands)))
            if stands.all():
                return _joined(settled)
            model, waits, found = model.part(~stands), waits.part(~stands), found.part(~stands)
            sought, share = sought[~stands], share[~stands]
            change, before = change[~stands], before[~stands]
        if step < FULL_STEPS:
            adapt_steps(change, before, share)
        else:
            share[:] = CAUTION
        waits, before = waits.towards(found, share), change
    return _joined([*settled, (sought, waits)])


def _joined(settled: list[tuple[Codes, Waits]]) -> Waits:
    """States of some vectors each, in the order of the vectors."""
    order = np.argsort(np.concatenate([which for which, _ in settled]))
    arrays = zip(*(waits.arrays() for _, waits in settled), strict=True)
    return Waits(*(np.concatenate(parts)[order] for parts in arrays))
