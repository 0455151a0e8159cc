"""Waiting for disks: the jobs of a virtual machine take turns on its CPUs and its disks.

``J`` jobs go round between the CPUs of a virtual machine and its disks for the whole run. The time that this takes
longer than without disks is time that the CPUs idle. A disk that other virtual machines use too has only the share of
its time left that they do not take.
"""

from dataclasses import dataclass

import numpy as np

from discotrace.analysis.ledger import Ledger
from discotrace.analysis.prices import DiskPrices
from discotrace.analysis.pricing import KEYS, Codes, Floats
from discotrace.analysis.queueing import product_form

SETTLED = 1e-7  # change of a virtual machine's time, relative to it, at which shared disks are settled
STEPS = 200
FULLEST = 0.999  # share of a disk's time that others may take while the solution is sought
MOST_JOBS = 512  # more jobs than this make no difference to be seen
MS = 1e6  # ns
NFS_REQUEST = KEYS.index("monitor.nfs_request_us")


@dataclass(frozen=True)
class Jobs:
    """``population`` and ``cpus`` [VMs]; ``demand`` [VMs, disks]: time of each disk in ns.

    ``served_ns`` [VMs]: time already paid as a CPU's that the station spends, which jobs must not spend twice.
    """

    population: Codes
    cpus: Codes
    demand: Floats
    served_ns: Floats


def jobs_of(ledger: Ledger, prices: DiskPrices, units: Floats) -> Jobs | None:
    """What the jobs of each virtual machine ask of disks; None if that takes no time."""
    if not is_priced(prices, ledger.site.jobs):
        return None
    requests = ledger.disk_requests + ledger.files_created * prices.create_requests
    demand = (requests * prices.request_ms + ledger.disk_pages * prices.page_ms) * MS
    population = np.minimum(ledger.site.jobs_of_vms(ledger.system, prices.jobs_per_cpu), MOST_JOBS)
    cpus = ledger.site.cpus_of_vms(ledger.system).sum(axis=1)
    if ledger.site.serves_files(ledger.system):
        served = _served(ledger, units)
        return _if_any(Jobs(population, cpus, demand.sum(axis=1, keepdims=True) + served[:, None], served))
    return _if_any(Jobs(population, cpus, demand[:, demand.any(axis=0)], np.zeros(len(cpus))))


def is_priced(prices: DiskPrices, jobs: int | None) -> bool:
    """Whether disks take time at these prices, and it is known how many jobs wait for them."""
    return bool((prices.request_ms or prices.page_ms) and (jobs is not None or prices.jobs_per_cpu))


def _if_any(jobs: Jobs) -> Jobs | None:
    return jobs if jobs.demand.any() else None


def _served(ledger: Ledger, units: Floats) -> Floats:
    """Time of the file server for the requests of each virtual machine [VMs]."""
    vms = ledger.site.vms(ledger.system)
    requests = ledger.units_by((ledger.vm, vms))[:, NFS_REQUEST]
    return requests * float(units[NFS_REQUEST])


def waits_for_disks(jobs: Jobs, busy: Floats, ends: Floats) -> Floats:
    """How much longer each virtual machine takes for its disks [VMs], in ns.

    ``busy`` [VMs]: time of its CPUs, all together; ``ends`` [VMs]: when it finishes without disks.
    """
    computing = np.maximum(busy - jobs.served_ns, 0)
    alone = busy / np.minimum(jobs.cpus, jobs.population)
    sharing = (jobs.demand > 0).sum(axis=0)
    if not (sharing > 1).any():
        return np.maximum(_times(jobs, computing, jobs.demand) - alone, 0)
    weight = 1 / sharing.max()
    longer = np.maximum(_times(jobs, computing, np.where(jobs.demand > 0, jobs.demand.sum(axis=0), 0)) - alone, 0)
    for _ in range(STEPS):
        used = jobs.demand / np.maximum(ends + longer, 1)[:, None]
        others = np.clip(used.sum(axis=0) - used, 0, FULLEST)
        step = weight * (np.maximum(_times(jobs, computing, jobs.demand / (1 - others)) - alone, 0) - longer)
        longer = longer + step
        if (np.abs(step) <= SETTLED * (ends + longer)).all():
            break
    return longer


def _times(jobs: Jobs, computing: Floats, demand: Floats) -> Floats:
    """Time for all of its work [VMs] in ns if each virtual machine has its disks for itself."""
    demands = np.column_stack([computing, demand])
    servers = np.ones_like(demands)
    servers[:, 0] = jobs.cpus
    times = np.zeros(len(demands))
    for population in np.unique(jobs.population):
        of = jobs.population == population
        throughput = product_form.solve(demands[of], servers[of], int(population)).throughput
        times[of] = np.where(throughput > 0, 1 / np.where(throughput > 0, throughput, 1), 0)
    return times
