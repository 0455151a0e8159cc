"""Waiting for kernel locks: the CPUs of a virtual machine take turns in the sections that a lock guards.

A section takes what the counters made while the lock was held cost, waiting for memory included, and
``locks.handoff_ns`` until another CPU has the lock. All locks beyond the kernel's own six (those of files) count as
held by nobody else.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from discotrace.analysis.ledger import Ledger
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
    networks, CPUs, locks]: how often locks were taken, ``taken`` [networks, locks] by all CPUs, at least once;
    ``held_ns`` [n, networks, CPUs, locks]: for how long they were held, without waiting for memory; ``handoff_ns`` [n].
    """

    place: Codes
    shape: tuple[int, int, int]
    acquires: Floats
    taken: Floats
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
    taken = np.maximum(sums.acquires.sum(axis=1), 1)
    return Sections(sums.lock_networks, ledger.acquires.shape[:3], acquires, taken, held_ns, points.handoff_ns)


def waits_for_locks(sections: Sections, spans: Floats, held: Floats, before: Floats) -> Floats:
    """Waiting for all locks [n, intervals, VMs, CPUs] in ns.

    ``spans`` [n, intervals, CPUs]: how long intervals of CPUs take; ``held``: ``Sections.held_ns`` with waiting for
    memory; ``before``: the result that is part of the spans.
    """
    points = len(spans)
    intervals, vms, cpus = sections.shape
    service = held.sum(axis=2) / sections.taken + sections.handoff_ns[:, None, None]
    inside = (sections.acquires * service[:, :, None]).sum(axis=-1)
    waited = before.reshape(points, -1, cpus)[:, sections.place]
    think = np.maximum(spans[:, sections.place // vms] - inside - waited, 0)
    waits = waiting_per_visit(think, sections.acquires, service, np.zeros_like(held))
    result = np.zeros((points, intervals * vms, cpus))
    result[:, sections.place] = (sections.acquires * waits).sum(axis=-1)
    return result.reshape(points, *sections.shape)
