"""Which structural keys decide what a system counts, so that no replay is made twice.

Natively nobody asks the monitor's keys; a policy that moves no page asks no thresholds; on one node there is nothing to
place. ``tests/property/test_decisive.py`` changes what is left out here, and counts the same.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from discotrace.analysis.pricing import NATIVE
from discotrace.monitor.placement.registry import is_shipped
from discotrace.replay.machine import Machine

Tables = dict[str, dict[str, Any]]

SPLASHOS = "splashos"
OF_MONITOR = ("vm", "migration", "disks", "monitor")  # tables that are about virtual machines
OF_GUEST_HANDLER = ("guest.refill_registers",)  # what a handler executes that traps under a monitor alone
OF_NFS = ("guest.bcopy_remaps", "guest.mbuf_links_apart")
OF_VIRTUAL_MEMORY = ("guest.refill_instructions", "guest.refill_registers", "monitor.patch_registers")
THRESHOLDS = {  # of table ``migration``, by the shipped policies that ask them
    "disco": {"trigger", "sharing", "writes", "moves", "reset_instructions"},
    "origin": {"trigger", "origin_difference", "origin_bounces", "reset_instructions"},
}


def decisive(system: str, machine: Machine) -> Tables:
    """The tables of a machine whose CPUs are resolved, without the keys that do not matter under the system."""
    ignored = _ignored(system, machine)
    tables = {
        table: {key: value for key, value in values.items() if f"{table}.{key}" not in ignored and table not in ignored}
        for table, values in machine.to_tables().items()
    }
    return {table: values for table, values in tables.items() if values}


def policy_content(system: str, machine: Machine) -> str | None:
    """What is in the file of a placement policy of the user's; of an installed one, its name; of a shipped one None."""
    policy = machine.placement.policy
    return None if system == NATIVE or is_shipped(policy) else _content(policy)


@cache
def _content(policy: str) -> str:
    try:
        return hashlib.sha256(Path(policy).read_bytes()).hexdigest()
    except OSError:
        return policy


def _ignored(system: str, machine: Machine) -> set[str]:
    """Tables, and keys as ``table.key``."""
    if system == NATIVE:
        ignored = {*OF_MONITOR, "placement.policy", *OF_GUEST_HANDLER, *OF_NFS}
        return ignored | {"placement.native"} if machine.nodes == 1 else ignored
    ignored = {"placement.native", *_ignored_by_policy(machine)}
    if system == SPLASHOS:
        ignored |= set(OF_VIRTUAL_MEMORY)
    if machine.vm.count == 1:
        ignored.add("vm.nfs")
    if machine.vm.count == 1 or not machine.vm.nfs:
        ignored |= set(OF_NFS)
    return ignored


def _ignored_by_policy(machine: Machine) -> set[str]:
    """A policy of the user's may ask anything; the shipped ones are known."""
    policy = machine.placement.policy
    if not is_shipped(policy):
        return set()
    if machine.nodes == 1:
        return {"placement.policy", "migration"}
    asked = THRESHOLDS.get(policy, set())
    return {f"migration.{key}" for key in machine.to_tables()["migration"] if key not in asked}
