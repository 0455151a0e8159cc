"""What a ledger says whatever the prices: summed when it is first asked for, and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from discotrace.analysis.accounts import Account, flattened
from discotrace.analysis.pricing import (
    ANY_NODE,
    CONTEXTS,
    IS_MONITOR,
    KEYS,
    OTHER_NODES,
    OWN_NODE,
    PARTS,
    STALL_PARTS,
    STALLS,
    Codes,
    Flags,
    Floats,
)
from discotrace.replay.counts import MONITOR, OTHER_LOCK

if TYPE_CHECKING:
    from discotrace.analysis.ledger import Ledger

KEPT_LOCKS = slice(1, OTHER_LOCK)  # locks that CPUs queue for; all others are one number, each held by few
NFS_REQUEST = KEYS.index("monitor.nfs_request_us")
NOWHERE = -1


@dataclass(frozen=True)
class Stretches:
    """Windows taken together between meetings of CPUs: what a CPU does in them is one number.

    ``interval`` [stretches] of its last window; ``meets`` [stretches, VMs, CPUs]: whether a CPU idled or came to a
    barrier in that window; ``account`` [stretches, CPUs]: what CPUs did.
    """

    interval: Codes
    meets: Flags
    account: Account

    @cached_property
    def firsts(self) -> Codes:
        """The first stretch of each interval: [intervals]."""
        return np.flatnonzero(np.diff(self.interval, prepend=-1))

    @cached_property
    def lasts(self) -> Codes:
        """The last stretch of each interval: [intervals]."""
        return np.append(self.firsts[1:], len(self.interval)) - 1


@dataclass(frozen=True)
class Sums:
    """Sums over the counters of a ledger."""

    ledger: Ledger

    @cached_property
    def members(self) -> Flags:
        """Whether a virtual machine runs on a CPU: [VMs, CPUs]."""
        return self.ledger.site.cpus_of_vms(self.ledger.system)

    @cached_property
    def stretches(self) -> Stretches:
        """Stretches that end where CPUs meet, and with each interval."""
        return self._taken_together(np.diff(self.ledger.interval_of_window, append=self.ledger.intervals) > 0)

    @cached_property
    def long_stretches(self) -> Stretches:
        """Stretches that end where CPUs meet: for prices at which nobody waits, and intervals say nothing."""
        return self._taken_together(np.arange(self.ledger.windows) == self.ledger.windows - 1)

    def _taken_together(self, ends: Flags) -> Stretches:
        """Stretches that end where CPUs meet, and with windows for which ``ends`` is true.

        In a run that goes on nobody waits where CPUs meet.
        """
        ledger = self.ledger
        meets = np.zeros_like(ledger.meets) if ledger.site.runs_on else ledger.meets
        last = np.flatnonzero(ends | meets.any(axis=(1, 2)))
        stretch = np.searchsorted(last, ledger.window)
        account = ledger.account((stretch, len(last)), (ledger.cpu, ledger.site.cpus))
        return Stretches(ledger.interval_of_window[last], meets[last], account)

    @cached_property
    def by_vm(self) -> Account:
        """What each virtual machine did: [VMs]."""
        return self.ledger.account((self.ledger.vm, len(self.members)))

    @cached_property
    def by_part(self) -> Account:
        """What is in each part of the time: [PARTS]."""
        return self.ledger.account((self.ledger.part, len(PARTS)))

    @cached_property
    def by_stall(self) -> Account:
        """Stalls of user and kernel by who served them: [STALLS]."""
        stall = np.full(len(KEYS), NOWHERE)
        for number, keys in enumerate(STALLS.values()):
            stall[[KEYS.index(key) for key in keys]] = number
        of_counter = stall[self.ledger.price]
        is_stall = np.isin(self.ledger.part, STALL_PARTS) & (of_counter != NOWHERE)
        return self.ledger.account((of_counter, len(STALLS)), only=is_stall)

    @cached_property
    def by_service(self) -> Account:
        """What the OS and the monitor did in each service: [CONTEXTS, 2]."""
        context = self.ledger.context
        service = np.where(context < MONITOR, context, context - MONITOR)
        return self.ledger.account((service, len(CONTEXTS)), (IS_MONITOR[self.ledger.part], 2))

    @cached_property
    def misses(self) -> Floats:
        """Events that wait when memory is busy: [intervals, CPUs, MISS_CLASSES]."""
        ledger = self.ledger
        return ledger.misses_by((ledger.interval, ledger.intervals), (ledger.cpu, ledger.site.cpus))

    @cached_property
    def shares_of_nodes(self) -> Floats:
        """Which shares of a CPU's misses of a class go to a node: [intervals, CPUs, MISS_CLASSES, nodes].

        A miss that memory served, and an upgrade, went to the own node or to another one, as its price says. Of a line
        that came from another cache the home is not known: such misses share what is left of the CPU's requests.
        """
        is_own, asked = self.ledger.site.is_own_node(), self.ledger.requests
        at_home = {OWN_NODE: asked * is_own, OTHER_NODES: asked * ~is_own}
        shares = np.zeros((*self.misses.shape, self.ledger.site.nodes))
        for where, requests in at_home.items():
            number = requests.sum(axis=-1)
            shares[:, :, where] = requests / np.maximum(number, 1)[..., None]
            left = number - np.minimum(self.misses[..., where], number)
            shares[:, :, ANY_NODE] += shares[:, :, where] * left[..., None]
        shares[:, :, ANY_NODE] /= np.maximum(self.misses[..., ANY_NODE], 1)[..., None]
        return shares

    @cached_property
    def lock_networks(self) -> Codes:
        """The intervals of virtual machines in which several CPUs take locks, of [intervals x VMs]: [networks]."""
        return np.flatnonzero((self._acquires.sum(axis=2) > 0).sum(axis=1) > 1)

    @cached_property
    def acquires(self) -> Floats:
        """How often locks were taken in these: [networks, CPUs, locks]."""
        return self._acquires[self.lock_networks]

    @cached_property
    def by_lock(self) -> Account:
        """What was done while a lock was held in these: [networks, CPUs, locks]."""
        ledger = self.ledger
        networks, cpus, locks = self.acquires.shape
        network = np.full(len(self._acquires), NOWHERE)
        network[self.lock_networks] = np.arange(networks)
        of_counter = network[flattened((ledger.interval, ledger.intervals), (ledger.vm, len(self.members)))]
        held = (ledger.lock >= KEPT_LOCKS.start) & (ledger.lock < KEPT_LOCKS.stop)
        axes = (of_counter, networks), (ledger.cpu, cpus), (ledger.lock - KEPT_LOCKS.start, locks)
        return ledger.account(*axes, only=held & (of_counter != NOWHERE))

    @property
    def _acquires(self) -> Floats:
        """Of all intervals and virtual machines: [intervals x VMs, CPUs, locks]."""
        acquires = self.ledger.acquires[..., KEPT_LOCKS]
        return acquires.reshape(-1, *acquires.shape[2:])

    @cached_property
    def nfs_requests(self) -> Floats:
        """Requests of each virtual machine to the file server: [VMs]."""
        return self.ledger.units_by((self.ledger.vm, len(self.members)))[:, NFS_REQUEST]

    @cached_property
    def asks_disks(self) -> bool:
        """Whether there is anything that jobs may wait for, of disks or a file server."""
        of_disks = self.ledger.disk_requests, self.ledger.disk_pages, self.ledger.files_created
        served = self.nfs_requests if self.ledger.site.serves_files(self.ledger.system) else np.zeros(0)
        return any(requests.any() for requests in (*of_disks, served))
