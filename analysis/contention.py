"""Waiting at the nodes' memory: what a second-level miss takes longer because others are being served.

The memory controller and the network port of a node are one station: it handles a request for ``memory.controller_ns``,
``memory.port_ns`` longer if it came from another node, one at a time and in order. Every second-level miss and every
upgrade visits the home node of its line; write-backs do too, and nobody waits for them.
"""

from dataclasses import dataclass

import numpy as np

from discotrace.analysis.ledger import Ledger
from discotrace.analysis.prices import MemoryPrices
from discotrace.analysis.pricing import ANY_NODE, MISS_CLASSES, OTHER_NODES, OWN_NODE, Flags, Floats
from discotrace.analysis.queues import waiting_per_visit


@dataclass(frozen=True)
class Nodes:
    """What CPUs ask of nodes: all arrays [intervals, CPUs, nodes] but those said otherwise.

    ``requests``: how many; ``demand``: for how long a node handles them, in ns; ``visits`` and ``background``: the
    demand of requests and write-backs in mean services of the node, ``service`` [intervals, nodes] in ns.
    ``classes`` [intervals, CPUs, MISS_CLASSES]: the same requests by what is known of each miss.
    """

    requests: Floats
    demand: Floats
    visits: Floats
    background: Floats
    service: Floats
    classes: Floats
    is_own: Flags


def is_priced(prices: MemoryPrices) -> bool:
    """Whether requests keep nodes busy at these prices."""
    return prices.controller_ns > 0 or prices.port_ns > 0


def nodes_of(ledger: Ledger, prices: MemoryPrices) -> Nodes | None:
    """What the nodes are asked for; None if their time has no price or nothing is asked."""
    is_own = ledger.site.is_own_node()
    handling = prices.controller_ns + prices.port_ns * ~is_own
    demand = ledger.requests * handling
    if not demand.any():
        return None
    unwaited = ledger.writebacks * handling
    number = (ledger.requests + ledger.writebacks).sum(axis=1)
    service = (demand + unwaited).sum(axis=1) / np.where(number > 0, number, 1)
    per_service = 1 / np.where(service > 0, service, np.inf)[:, None]
    shape = (ledger.interval, ledger.intervals), (ledger.cpu, ledger.site.cpus)
    return Nodes(
        ledger.requests,
        demand,
        demand * per_service,
        unwaited * per_service,
        service,
        ledger.misses_by(*shape),
        np.broadcast_to(is_own, demand.shape),
    )


def waits_at_nodes(nodes: Nodes, spans: Floats, before: Floats) -> Floats:
    """Waiting per request [intervals, CPUs, nodes] in ns for CPUs whose intervals take ``spans`` [intervals, CPUs].

    ``before``: the waiting per request that is part of these spans.
    """
    think = np.maximum(spans - (nodes.demand + nodes.visits * before).sum(axis=-1), 0)
    waits = waiting_per_visit(think, nodes.visits, nodes.service, nodes.background)
    return np.where(nodes.demand > 0, waits, 0.0)


def waits_of_misses(nodes: Nodes, waits: Floats) -> Floats:
    """Waiting per miss by its class [intervals, CPUs, MISS_CLASSES], so that its sum is that of all requests.

    A miss that memory served, and an upgrade, went to the own node or to another one, as its price says. Of a line
    that came from another cache the home is not known: such misses share what is left.
    """
    waited = nodes.requests * waits
    own, other = (waited * nodes.is_own).sum(axis=-1), (waited * ~nodes.is_own).sum(axis=-1)
    asked_own = (nodes.requests * nodes.is_own).sum(axis=-1)
    asked_other = (nodes.requests * ~nodes.is_own).sum(axis=-1)
    known_own = np.minimum(nodes.classes[..., OWN_NODE], asked_own)
    known_other = np.minimum(nodes.classes[..., OTHER_NODES], asked_other)
    result = np.zeros((*own.shape, MISS_CLASSES))
    result[..., OWN_NODE] = own / np.maximum(asked_own, 1)
    result[..., OTHER_NODES] = other / np.maximum(asked_other, 1)
    left = result[..., OWN_NODE] * (asked_own - known_own) + result[..., OTHER_NODES] * (asked_other - known_other)
    result[..., ANY_NODE] = left / np.maximum(nodes.classes[..., ANY_NODE], 1)
    return result


def utilisation(nodes: Nodes, spans: Floats) -> Floats:
    """Share of an interval that a node is busy: [intervals, nodes]. CPUs' intervals are taken as simultaneous."""
    per_cycle = (nodes.visits + nodes.background) * nodes.service[:, None]
    used: Floats = (per_cycle / np.where(spans > 0, spans, np.inf)[..., None]).sum(axis=1)
    return used
