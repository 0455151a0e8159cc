"""Waiting for kernel locks: the CPUs of a virtual machine take turns in the sections that a lock guards.

A section takes what the counters made while the lock was held cost, waiting for memory included, and
``locks.handoff_ns`` until another CPU has the lock. All locks beyond the kernel's own six (those of files) count as
held by nobody else.
"""

from dataclasses import dataclass

import numpy as np

from discotrace.analysis.ledger import KEPT_LOCKS, Ledger
from discotrace.analysis.prices import LockPrices
from discotrace.analysis.pricing import Codes, Floats
from discotrace.analysis.queues import waiting_per_visit
from discotrace.replay.counts import N_LOCKS


@dataclass(frozen=True)
class Sections:
    """Sections in which CPUs of several hold a lock, by network: an interval of a virtual machine.

    ``place``: which of the [intervals x VMs] networks there are; ``acquires`` and ``held_ns`` [networks, CPUs, locks]:
    how often locks were taken and for how long they were held, without waiting for memory; ``misses`` [networks, CPUs,
    locks, MISS_CLASSES] made meanwhile; ``handoff_ns``.
    """

    place: Codes
    shape: tuple[int, int, int]
    acquires: Floats
    held_ns: Floats
    misses: Floats
    handoff_ns: float


def is_priced(prices: LockPrices) -> bool:
    """Whether CPUs wait for locks at these prices."""
    return prices.handoff_ns > 0


def sections_of(ledger: Ledger, prices: LockPrices, units: Floats) -> Sections | None:
    """The sections of each virtual machine; None if their time has no price or no two CPUs take locks."""
    acquires = ledger.acquires[..., KEPT_LOCKS]
    intervals, vms, cpus, locks = acquires.shape
    acquires = acquires.reshape(intervals * vms, cpus, locks)
    place = np.flatnonzero((acquires.sum(axis=2) > 0).sum(axis=1) > 1)
    if not is_priced(prices) or not len(place):
        return None
    axes = (
        (ledger.interval, intervals),
        (ledger.vm, vms),
        (ledger.cpu, cpus),
        (ledger.lock, N_LOCKS),
    )
    held = ledger.time_by(units, *axes).reshape(intervals * vms, cpus, N_LOCKS)
    misses = ledger.misses_by(*axes).reshape(intervals * vms, cpus, N_LOCKS, -1)
    return Sections(
        place,
        (intervals, vms, cpus),
        acquires[place],
        held[place][:, :, KEPT_LOCKS],
        misses[place][:, :, KEPT_LOCKS],
        prices.handoff_ns,
    )


def waits_for_locks(sections: Sections, spans: Floats, of_misses: Floats, before: Floats) -> Floats:
    """Waiting for all locks [intervals, VMs, CPUs] in ns for CPUs whose intervals take ``spans`` [intervals, CPUs].

    ``of_misses`` [intervals, CPUs, MISS_CLASSES]: waiting for memory per miss; ``before``: the result that is part of
    these spans.
    """
    intervals, vms, cpus = sections.shape
    interval = sections.place // vms
    held = sections.held_ns + (sections.misses * of_misses[interval][:, :, None]).sum(axis=-1)
    taken = sections.acquires.sum(axis=1)
    service = held.sum(axis=1) / np.where(taken > 0, taken, 1) + sections.handoff_ns
    inside = (sections.acquires * service[:, None]).sum(axis=-1)
    think = np.maximum(spans[interval] - inside - before.reshape(-1, cpus)[sections.place], 0)
    waits = waiting_per_visit(think, sections.acquires, service, np.zeros_like(sections.acquires))
    result = np.zeros((intervals * vms, cpus))
    result[sections.place] = (sections.acquires * waits).sum(axis=-1)
    return result.reshape(sections.shape)
