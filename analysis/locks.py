"""Waiting for kernel locks: the CPUs of a virtual machine take turns in the sections that a lock guards.

A section takes what the counters made while the lock was held cost, waiting for memory included, and
``locks.handoff_ns`` until another CPU has the lock. All locks beyond the kernel's own six (those of files) count as
held by nobody else.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from discotrace.analysis.ledger import Ledger
from discotrace.analysis.locks_kernels import find_think, sum_waits
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.pricing import Codes, Flags, Floats
from discotrace.analysis.queues import waiting_per_visit


class LockTimes(Protocol):
    """The price of waiting for locks, as in ``prices.LockPrices``: a number, or an array of them."""

    @property
    def handoff_ns(self) -> float | Floats:
        """Time from the release of a lock until another CPU has it."""


@dataclass(frozen=True)
class Sections:
    """Sections in which CPUs of several hold a lock, by network: an interval of a virtual machine.

    ``place``: which of the [intervals x VMs] networks there are, of ``shape`` [intervals, VMs, CPUs]; ``acquires`` [n,
    networks, CPUs, locks]: how often locks were taken, ``unwaited``, as large: without waiting, 0; ``held_ns``, as
    large: for how long they were held, without waiting for memory; ``handoff_ns`` [n].
    """

    place: Codes
    shape: tuple[int, int, int]
    acquires: Floats
    unwaited: Floats
    held_ns: Floats
    handoff_ns: Floats


def is_priced(prices: LockTimes) -> bool | Flags:
    """Whether CPUs wait for locks at these prices."""
    return prices.handoff_ns > 0


def sections_of(ledger: Ledger, points: PricePoints) -> Sections | None:
    """The sections of each virtual machine, whose time has a price; None if no two CPUs take locks."""
    sums = ledger.sums
    if not len(sums.lock_networks):
        return None
    held_ns = sums.by_lock.unhindered_ns(points.unit_ns)
    acquires = np.empty_like(held_ns)
    acquires[:] = sums.acquires
    unwaited = np.zeros_like(held_ns)
    return Sections(sums.lock_networks, ledger.acquires.shape[:3], acquires, unwaited, held_ns, points.handoff_ns)


def waits_for_locks(sections: Sections, spans: Floats, held: Floats, before: Floats) -> Floats:
    """Waiting for all locks [n, intervals, VMs, CPUs] in ns.

    ``spans`` [n, intervals, CPUs]: how long intervals of CPUs take; ``held``: ``Sections.held_ns`` with waiting for
    memory; ``before``: the result that is part of the spans.
    """
    acquires, place = sections.acquires, sections.place
    points, networks, cpus, locks = acquires.shape
    service, think = np.empty((points, networks, locks)), np.empty((points, networks, cpus))
    find_think(place, spans, before, acquires, held, sections.handoff_ns, service, think)
    per_visit = waiting_per_visit(think, acquires, service, sections.unwaited)
    waits = np.zeros(before.shape)
    sum_waits(place, acquires, per_visit, waits)
    return waits
