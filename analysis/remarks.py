"""What a reader of a result must know beside its figures: what is unverified in it, what the trace could not fill."""

from collections.abc import Mapping, Sequence
from typing import Any

from discotrace.analysis import contention, locks, multiprogramming
from discotrace.analysis.configuration import from_tables
from discotrace.analysis.outcome import Outcome
from discotrace.analysis.pricing import NATIVE
from discotrace.monitor.history import Action

THRESHOLDS = {
    "disco": (
        ("trigger", "sharing", "writes", "moves", "reset_instructions"),
        "defaults recalled for Verghese et al. (ASPLOS 1996), the Disco paper prints none",
    ),
    "origin": (
        ("trigger", "origin_difference", "origin_bounces", "reset_instructions"),
        "defaults are ours, SGI documents the rule and not its values",
    ),
}
RESTS_ON_THRESHOLDS = ("hot_pages", "migrations", "replications")
BUSY_MEMORY = 0.6  # utilisation of a node above which ``docs/waiting.md`` says what the error may be
JUDGED = ("migrated", "replicated", "left alone")  # actions by the policy's judgement


def remarks(about: Mapping[str, Any], priced: list[Outcome]) -> list[str]:
    """Lines that stand under the answer of a replay."""
    monitored = [one for one in priced if one.system != NATIVE]
    found = empty_machines(about["configuration"], about["instances"]) if monitored else []
    if any(one.totals[event] for one in monitored for event in RESTS_ON_THRESHOLDS):
        found += unverified_thresholds(about["configuration"])
    return found + left_out(about, priced) + guessed_jobs(about, priced) + busy_memory(priced)


def left_out(about: Mapping[str, Any], priced: Sequence[Outcome]) -> list[str]:
    """A line if the trace has something to wait for that the prices give no time to."""
    prices = from_tables(about["configuration"]).prices
    unpriced = {
        "memory_requests": ("memory (memory.controller_ns, memory.port_ns)", not contention.is_priced(prices.memory)),
        "lock_acquires": ("kernel locks (locks.handoff_ns)", not locks.is_priced(prices.locks)),
        "disk_requests": (
            "disks (disks.request_ms, disks.page_ms, disks.jobs_per_cpu)",
            not multiprogramming.is_priced(prices.disks, about.get("jobs")),
        ),
    }
    found = [what for event, (what, is_free) in unpriced.items() if is_free and _happened(event, priced)]
    return [f"left out, for these prices are 0: waiting for {', '.join(found)}"] if found else []


def guessed_jobs(about: Mapping[str, Any], priced: Sequence[Outcome]) -> list[str]:
    """A line if waiting for disks rests on a number of jobs that the trace does not say."""
    disks = from_tables(about["configuration"]).prices.disks
    if about.get("jobs") is not None or not multiprogramming.is_priced(disks, None):
        return []
    if not _happened("disk_requests", priced):
        return []
    return [
        f"a guess: {disks.jobs_per_cpu:g} jobs per CPU wait for disks (disks.jobs_per_cpu); the trace has no number"
    ]


def busy_memory(priced: Sequence[Outcome]) -> list[str]:
    """A line if memory is so busy that the waiting for it is known less well."""
    busiest = max((one.memory_busy_ratio for one in priced), default=0.0)
    if busiest <= BUSY_MEMORY:
        return []
    return [f"waiting for memory is less certain: a node is busy for {100 * busiest:.0f} % of its busiest interval"]


def _happened(event: str, priced: Sequence[Outcome]) -> bool:
    return any(one.totals[event] for one in priced)


def history_remarks(about: Mapping[str, Any], actions: Sequence[Action]) -> list[str]:
    """Lines that stand under histories of pages."""
    found = empty_machines(about["configuration"], about["instances"])
    if any(action.what in JUDGED for action in actions):
        found += unverified_thresholds(about["configuration"])
    return found


def empty_machines(tables: Mapping[str, Mapping[str, Any]], instances: int) -> list[str]:
    """A line if there are virtual machines that no process of the trace runs in."""
    vms = tables["vm"]["count"]
    if instances >= vms or vms == 1:
        return []
    trace_has = f"{instances} instance{'s' if instances != 1 else ''}"
    empty = vms - instances
    have = "has" if empty == 1 else "have"
    return [f"the trace has {trace_has} of its workload: {empty} of {vms} virtual machines {have} no process"]


def unverified_thresholds(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line if the policy moves pages by thresholds that no source was found for."""
    policy = tables["placement"]["policy"]
    if policy not in THRESHOLDS:
        return []
    keys, source = THRESHOLDS[policy]
    values = ", ".join(f"{key} {tables['migration'][key]}" for key in keys)
    return [f"unverified: what becomes of hot pages rests on migration thresholds ({source}): {values}"]
