"""Waiting at the nodes' memory: what a second-level miss takes longer because others are being served.

The memory controller and the network port of a node are one station: it handles a request for ``memory.controller_ns``,
``memory.port_ns`` longer if it came from another node, one at a time and in order. Every second-level miss and every
upgrade visits the home node of its line; write-backs do too, and nobody waits for them.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from discotrace.analysis.ledger import Ledger
from discotrace.analysis.pricing import Flags, Floats
from discotrace.analysis.queues import waiting_per_visit


class MemoryTimes(Protocol):
    """Prices of a request's handling, as in ``prices.MemoryPrices``: numbers, or arrays of them."""

    @property
    def controller_ns(self) -> float | Floats:
        """How long the home node's memory is busy with a request."""

    @property
    def port_ns(self) -> float | Floats:
        """How much longer with one of another node."""


@dataclass(frozen=True)
class Nodes:
    """What CPUs ask of nodes: all arrays [..., intervals, CPUs, nodes] but those said otherwise.

    ``demand``: for how long a node handles requests, in ns; ``visits`` and ``background``: the demand of requests and
    write-backs in mean services of the node, ``service`` [..., intervals, nodes] in ns. Of misses by what is known of
    them: ``classes`` [intervals, CPUs, MISS_CLASSES], how many, and ``shares`` [intervals, CPUs, MISS_CLASSES, nodes],
    which shares of them go where.
    """

    demand: Floats
    visits: Floats
    background: Floats
    service: Floats
    classes: Floats
    shares: Floats


def is_priced(prices: MemoryTimes) -> bool | Flags:
    """Whether requests keep nodes busy at these prices."""
    return (prices.controller_ns > 0) | (prices.port_ns > 0)


def nodes_of(ledger: Ledger, prices: MemoryTimes) -> Nodes | None:
    """What the nodes are asked for; None if their time has no price or nothing is asked.

    Arrays of prices [n] give arrays [n, ...].
    """
    if not (np.any(is_priced(prices)) and ledger.requests.any()):
        return None
    is_own = ledger.site.is_own_node()
    of_own, of_others = np.asarray(prices.controller_ns), np.asarray(prices.port_ns)
    handling = (of_own[..., None, None] + of_others[..., None, None] * ~is_own)[..., None, :, :]
    demand = ledger.requests * handling
    unwaited = ledger.writebacks * handling
    number = (ledger.requests + ledger.writebacks).sum(axis=1)
    service = (demand + unwaited).sum(axis=-2) / np.where(number > 0, number, 1)
    per_service = 1 / np.where(service > 0, service, np.inf)[..., None, :]
    shares = ledger.sums.shares_of_nodes
    return Nodes(demand, demand * per_service, unwaited * per_service, service, ledger.sums.misses, shares)


def waits_at_nodes(nodes: Nodes, spans: Floats, before: Floats) -> Floats:
    """Waiting per request [..., intervals, CPUs, nodes] in ns for CPUs whose intervals take ``spans`` [..., intervals,
    CPUs].

    ``before``: the waiting per request that is part of these spans.
    """
    think = np.maximum(spans - (nodes.demand + nodes.visits * before).sum(axis=-1), 0)
    return waiting_per_visit(think, nodes.visits, nodes.service, nodes.background)


def waits_of_misses(nodes: Nodes, waits: Floats) -> Floats:
    """Waiting per miss by its class [..., intervals, CPUs, MISS_CLASSES], so that its sum is that of all requests."""
    of_misses: Floats = (nodes.shares * waits[..., None, :]).sum(axis=-1)
    return of_misses


def utilisation(nodes: Nodes, spans: Floats) -> Floats:
    """Share of an interval that a node is busy: [..., intervals, nodes]. CPUs' intervals are taken as simultaneous."""
    per_cycle = (nodes.visits + nodes.background) * nodes.service[..., None, :]
    used: Floats = (per_cycle / np.where(spans > 0, spans, np.inf)[..., None]).sum(axis=-2)
    return used
