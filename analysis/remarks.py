"""What a reader of a result must know beside its figures: what is unverified in it, what the trace could not fill."""

from collections.abc import Mapping, Sequence
from typing import Any

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
JUDGED = ("migrated", "replicated", "left alone")  # actions by the policy's judgement


def remarks(about: Mapping[str, Any], priced: list[Outcome]) -> list[str]:
    """Lines that stand under the answer of a replay."""
    monitored = [one for one in priced if one.system != NATIVE]
    found = empty_machines(about["configuration"], about["instances"]) if monitored else []
    if any(one.totals[event] for one in monitored for event in RESTS_ON_THRESHOLDS):
        found += unverified_thresholds(about["configuration"])
    return found


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
