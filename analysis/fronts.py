"""Replays to make, and which of them can run side by side behind one front: what comes before the caches is done once.

What happens in a replay depends on its caches in one place: misses make pages hot, and hot pages move. Natively no
page moves, nor under a placement policy that never moves any, nor on a single node, where no page is remote. Then
replays that differ in their caches alone (tables ``l1i``, ``l1d``, ``l2``) decode, translate, refill TLBs, enter
services, map pages and read files alike, and each counts with its caches what it would count by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from discotrace.analysis.pricing import NATIVE
from discotrace.monitor.history import History
from discotrace.monitor.placement.registry import find_policy, is_shipped
from discotrace.replay.machine import Machine

LARGEST_WAY = 16 << 20  # bytes: the front has 20 bits for the colour of a line of 16 bytes or more
MOST = 8  # lanes of one front; more would no longer fit into this computer's own caches (docs/performance.md)


@dataclass(frozen=True)
class Run:
    """A replay to make. The label says in messages which of several it is; a history is written as it goes."""

    label: str
    system: str
    machine: Machine
    history: History | None = None


def fronts(runs: Sequence[Run]) -> list[list[int]]:
    """The places of runs that share a front, in order of their first; runs whose CPUs are resolved."""
    found: list[list[int]] = []
    shared: dict[str, list[int]] = {}  # fronts that take more, by what all behind them have in common
    for place, run in enumerate(runs):
        if not may_share(run):
            found.append([place])
            continue
        common = repr((run.system, replace(run.machine, l1i=None, l1d=None, l2=None)))  # type: ignore[arg-type]
        front = shared.get(common, [])
        if not front or len(front) == MOST:
            front = shared[common] = []
            found.append(front)
        front.append(place)
    return found


def may_share(run: Run) -> bool:
    """Whether nothing that happens in a replay depends on its caches.

    A policy of the user's might look at the caches of its machine, so it has its replays to itself; and so has a
    history, which tells of the misses of one of them; and a cache so large that the front cannot tell its sets apart.
    """
    first = (run.machine.l1i, run.machine.l1d)
    if run.history is not None or max(cache.sets * cache.line_b for cache in first) > LARGEST_WAY:
        return False
    if run.system == NATIVE:
        return True
    policy = run.machine.placement.policy
    if not is_shipped(policy):
        return False
    return run.machine.nodes == 1 or find_policy(policy)(run.machine).hot_trigger == 0
