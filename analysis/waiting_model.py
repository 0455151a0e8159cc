"""What CPUs do and wait for at given prices: one step from a state of waiting to the waiting that it causes."""

from dataclasses import dataclass

import numpy as np

from discotrace.analysis import contention, locks, multiprogramming
from discotrace.analysis.accounts import Account
from discotrace.analysis.execution import Execution, executed
from discotrace.analysis.ledger import Ledger
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.pricing import Codes, Flags, Floats
from discotrace.analysis.waiting_kernels import find_change, lengthen


@dataclass(frozen=True)
class Waits:
    """Waiting in ns at ``n`` vectors of prices: at nodes per request [n, intervals, CPUs, nodes] and, by its class, per
    miss [n, intervals, CPUs, MISS_CLASSES]; for locks [n, intervals, VMs, CPUs]; for disks [n, VMs].

    Where nobody ever waits at nodes, or for locks, the arrays have no elements.
    """

    at_nodes: Floats
    of_misses: Floats
    for_locks: Floats
    for_disks: Floats

    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """All of it."""
        return self.at_nodes, self.of_misses, self.for_locks, self.for_disks

    def part(self, which: int | Codes | Flags) -> "Waits":
        """The states at some of the vectors."""
        return Waits(*(array[which] for array in self.arrays()))

    def towards(self, other: "Waits", share: Floats) -> "Waits":
        """The states at a share [n] of the way to others, or beyond them; nobody waits for less than nothing."""
        ways = zip(self.arrays(), other.arrays(), strict=True)
        return Waits(*(np.maximum(old + _for_each(share, old) * (new - old), 0) for old, new in ways))


def _for_each(values: Floats, array: Floats) -> Floats:
    """Values [n] as they are broadcast to an array [n, ...]."""
    return values.reshape(-1, *(1 for _ in array.shape[1:]))


def what_waits(points: PricePoints, jobs: int | None) -> Flags:
    """Whether CPUs wait for memory, for kernel locks and for disks at these prices: [n, 3]."""
    disks = multiprogramming.is_priced(points, jobs)
    return np.column_stack([contention.is_priced(points), locks.is_priced(points), disks])


class Model:
    """What is known before anybody waits, for ``n`` vectors of prices.

    At all of them CPUs wait for the same things (``what_waits``). What is solved for one does not depend on the others.
    """

    def __init__(self, ledger: Ledger, points: PricePoints) -> None:
        for_memory, for_locks, for_disks = what_waits(points, ledger.site.jobs)[0]
        self.ledger = ledger
        self.points = points
        self.sums = ledger.sums
        self.nodes = contention.nodes_of(ledger, points) if for_memory else None
        self.sections = locks.sections_of(ledger, points) if for_locks else None
        self.jobs = multiprogramming.jobs_of(ledger, points) if for_disks else None
        self.stretches = self.sums.stretches if self.does_wait else self.sums.long_stretches
        self.stretch_ns = self.stretches.account.unhindered_ns(points.unit_ns)

    @property
    def does_wait(self) -> bool:
        """Whether there is anything that CPUs wait for, other CPUs apart."""
        return not (self.nodes is None and self.sections is None and self.jobs is None)

    def part(self, which: Flags) -> "Model":
        """The model for some of the vectors."""
        return Model(self.ledger, self.points.part(which))

    def no_waits(self) -> Waits:
        """The state in which nobody waits."""
        points = len(self.points)
        return Waits(
            np.zeros(self.nodes.demand.shape if self.nodes else (points, 0, 0, 0)),
            np.zeros((points, *(self.nodes.classes.shape if self.nodes else (0, 0, 0)))),
            np.zeros((points, *(self.sections.shape if self.sections else (0, 0, 0)))),
            np.zeros((points, len(self.sums.members))),
        )

    def time_of(self, account: Account, waits: Waits) -> Floats:
        """Time [n, places ...] of the counters of an account, with waiting for memory."""
        return self._with_waiting(account.unhindered_ns(self.points.unit_ns), account, waits)

    def _with_waiting(self, ns: Floats, account: Account, waits: Waits) -> Floats:
        return ns + account.waiting_ns(waits.of_misses) if self.nodes else ns

    def busy(self, waits: Waits) -> Floats:
        """Time of each CPU in each stretch [n, stretches, CPUs] with waiting for memory and locks.

        Waiting for locks is spread over an interval as the CPU's busy time is.
        """
        busy = self._with_waiting(self.stretch_ns, self.stretches.account, waits)
        if not self.sections:
            return busy
        longer = np.empty_like(busy)
        lengthen(busy, waits.for_locks, self.stretches.interval, longer)
        return longer

    def executed(self, waits: Waits) -> Execution:
        """When CPUs finish their stretches, without disks."""
        return executed(self.busy(waits), self.stretches.meets, self.sums.members)

    def ends(self, execution: Execution) -> Floats:
        """When each virtual machine finishes without disks: [n, VMs]. In a run that goes on, the mean of its CPUs."""
        members = self.sums.members
        of_cpus = np.where(members, execution.ends[:, None], 0)
        ends: Floats = of_cpus.max(axis=2)
        return of_cpus.sum(axis=2) / members.sum(axis=1) if self.ledger.site.runs_on else ends

    def spans(self, execution: Execution, waits: Waits) -> Floats:
        """Time of each CPU in each interval [n, intervals, CPUs], idle time included, that for disks spread evenly."""
        spans = execution.clock[:, self.stretches.lasts]
        spans[:, 1:] -= spans[:, :-1].copy()
        if not self.jobs:
            return spans
        ends = self.ends(execution)
        stretched = 1 + waits.for_disks / np.where(ends > 0, ends, np.inf)
        of_cpus = np.where(self.sums.members, stretched[..., None], np.inf).min(axis=1)
        return spans * np.where(np.isfinite(of_cpus), of_cpus, 1)[:, None]

    def next(self, waits: Waits, execution: Execution) -> Waits:
        """The waiting that CPUs with this waiting cause, which finish as it says."""
        spans = self.spans(execution, waits)
        at_nodes, of_misses, for_locks, for_disks = waits.arrays()
        if self.nodes:
            at_nodes = contention.waits_at_nodes(self.nodes, spans, waits.at_nodes)
            of_misses = contention.waits_of_misses(self.nodes, at_nodes)
        if self.sections:
            held_ns = self._with_waiting(self.sections.held_ns, self.sums.by_lock, waits)
            for_locks = locks.waits_for_locks(self.sections, spans, held_ns, waits.for_locks)
        if self.jobs:
            busy = self.time_of(self.sums.by_vm, waits)
            if self.sections:
                busy += waits.for_locks.sum(axis=(1, 3))
            for_disks = multiprogramming.waits_for_disks(self.jobs, busy, self.ends(execution))
        return Waits(at_nodes, of_misses, for_locks, for_disks)

    def time_ns(self, execution: Execution, waits: Waits) -> Floats:
        """Execution time [n]: that of the slowest virtual machine, disks included."""
        time: Floats = (self.ends(execution) + waits.for_disks).max(axis=1, initial=0)
        return time

    def change(self, waits: Waits, found: Waits) -> tuple[Floats, Floats]:
        """By how much more each CPU waits in each interval [n, intervals, CPUs], in ns, and the most of a CPU [n]."""
        change, largest = np.empty((len(self.points), *self.sums.misses.shape[:2])), np.empty(len(self.points))
        _, of_misses, for_locks, for_disks = (
            new - old for old, new in zip(waits.arrays(), found.arrays(), strict=True)
        )
        find_change(self.sums.misses, of_misses, for_locks, for_disks, change, largest)
        return change, largest
