"""Waiting for disks: the jobs of a virtual machine take turns on its CPUs and its disks.

``J`` jobs go round between the CPUs of a virtual machine and its disks for the whole run. The time that this takes
longer than without disks is time that the CPUs idle. A disk that other virtual machines use too has only the share of
its time left that they do not take.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from discotrace.analysis.ledger import Ledger
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.pricing import Codes, Flags, Floats
from discotrace.analysis.queueing import product_form
from discotrace.analysis.sums import NFS_REQUEST

SETTLED = 1e-7  # change of a virtual machine's time, relative to it, at which shared disks are settled
STEPS = 200
FULLEST = 0.999  # share of a disk's time that others may take while the solution is sought
MOST_JOBS = 512  # more jobs than this make no difference to be seen
MS = 1e6  # ns


class DiskTimes(Protocol):
    """Prices of disks as in ``prices.DiskPrices``: numbers, or arrays of them."""

    @property
    def request_ms(self) -> float | Floats:
        """Time of a request."""

    @property
    def page_ms(self) -> float | Floats:
        """Time of each of its pages."""

    @property
    def jobs_per_cpu(self) -> float | Floats:
        """Jobs that wait, if the trace has none."""


@dataclass(frozen=True)
class Jobs:
    """``population`` [n, VMs] and ``cpus`` [VMs]; ``demand`` [n, VMs, disks]: time of each disk in ns.

    ``served_ns`` [n, VMs]: time already paid as a CPU's that the station spends, which jobs must not spend twice.
    """

    population: Codes
    cpus: Codes
    demand: Floats
    served_ns: Floats


def jobs_of(ledger: Ledger, points: PricePoints) -> Jobs | None:
    """What the jobs of each virtual machine ask of disks, which take time; None if nothing is asked."""
    if not ledger.sums.asks_disks:
        return None
    request_ms, page_ms, create_requests = (
        values[:, None, None] for values in (points.request_ms, points.page_ms, points.create_requests)
    )
    requests = ledger.disk_requests + ledger.files_created * create_requests
    demand = (requests * request_ms + ledger.disk_pages * page_ms) * MS
    population = np.array([_population(ledger, jobs) for jobs in points.jobs_per_cpu.tolist()])
    cpus = ledger.sums.members.sum(axis=1)
    if not ledger.site.serves_files(ledger.system):
        return Jobs(population, cpus, demand[..., demand.any(axis=(0, 1))], np.zeros(population.shape))
    served = ledger.sums.nfs_requests * points.unit_ns[:, [NFS_REQUEST]]
    return Jobs(population, cpus, demand.sum(axis=2, keepdims=True) + served[..., None], served)


def _population(ledger: Ledger, jobs_per_cpu: float) -> list[int]:
    jobs = ledger.site.jobs_of_vms(ledger.system, jobs_per_cpu)
    return [min(of_vm, MOST_JOBS) for of_vm in jobs]


def is_priced(prices: DiskTimes, jobs: int | None) -> bool | Flags:
    """Whether disks take time at these prices, and it is known how many jobs wait for them."""
    return ((prices.request_ms > 0) | (prices.page_ms > 0)) & ((jobs is not None) | (prices.jobs_per_cpu > 0))


def waits_for_disks(jobs: Jobs, busy: Floats, ends: Floats) -> Floats:
    """How much longer each virtual machine takes for its disks [n, VMs], in ns.

    ``busy`` [n, VMs]: time of its CPUs, all together; ``ends`` [n, VMs]: when it finishes without disks.
    """
    computing = np.maximum(busy - jobs.served_ns, 0)
    alone = busy / np.minimum(jobs.cpus, jobs.population)
    uses = jobs.demand > 0
    sharing = uses.sum(axis=1, keepdims=True)
    if not (sharing > 1).any():
        return np.where(uses.any(axis=2), np.maximum(_times(jobs, computing, jobs.demand) - alone, 0), 0)
    weight = 1 / np.maximum(sharing.max(axis=2), 1)
    of_all = np.where(uses, jobs.demand.sum(axis=1, keepdims=True), 0)
    longer = np.maximum(_times(jobs, computing, of_all) - alone, 0)
    moves = np.ones(len(busy), np.bool_)
    for _ in range(STEPS):
        used = jobs.demand / np.maximum(ends + longer, 1)[..., None]
        others = np.clip(used.sum(axis=1, keepdims=True) - used, 0, FULLEST)
        found = np.maximum(_times(jobs, computing, jobs.demand / (1 - others)) - alone, 0)
        step = np.where(moves[:, None], weight * (found - longer), 0)
        longer = longer + step
        moves &= (np.abs(step) > SETTLED * (ends + longer)).any(axis=1)
        if not moves.any():
            break
    return np.where(uses.any(axis=2), longer, 0)


def _times(jobs: Jobs, computing: Floats, demand: Floats) -> Floats:
    """Time for all of its work [n, VMs] in ns if each virtual machine has its disks for itself."""
    demands = np.concatenate([computing[..., None], demand], axis=-1)
    servers = np.ones_like(demands)
    servers[..., 0] = jobs.cpus
    of_networks = (-1, demands.shape[-1])
    throughput = product_form.throughput(
        demands.reshape(of_networks), servers.reshape(of_networks), jobs.population.reshape(-1)
    ).reshape(computing.shape)
    return np.where(throughput > 0, 1 / np.where(throughput > 0, throughput, 1), 0)
