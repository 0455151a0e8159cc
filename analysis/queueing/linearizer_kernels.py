"""Customers that are all different in a closed network of stations with fixed service times, solved approximately.

Each of ``C`` customers thinks, visits one of ``M`` stations, waits there in order of arrival, is served for a fixed
time, and thinks again. Mean value analysis (Reiser & Lavenberg, JACM 27, 1980) asks what a customer finds when it
arrives; with fixed service times the answer of their arrival theorem (the network without this customer) no longer
holds. Instead, for a customer ``c`` at one station, with times in units of its service:

- ``a``: share of time that ``c`` is elsewhere, ``u``: share that it is in service, ``x = u / a``;
- ``residual(x)``: what remains of the service that ``c`` finds in progress, if services begin at any time of its
  absence alike and absences are exponential: 1 - 1 / x + 1 / (e^x - 1); one half for a rare customer, 1 for one that
  is back at once;
- ``ahead``: how many ``c`` finds waiting, not in service;
- ``busy``: probability that ``c`` finds a service in progress. The others are in service for a share ``b`` of the time:
  while ``c`` is elsewhere, ``a * busy``, or while ``c`` waits, ``u * (busy * residual + ahead)``. This gives
  ``busy = (b - u * ahead) / (a + u * residual)``, exactly;
- waiting per visit: ``busy * residual + ahead``.

``ahead`` is the one guess. As in Linearizer (Chandy & Neuse, CACM 25, 1982) it comes from the networks with one
customer fewer, which are solved by themselves with the simplest guess, the others' mean number waiting. That number
in the whole network is too high, for ``c`` delays the others; in the network without ``c`` it is too low. The mean of
both is taken, with less of the first the fewer customers there are: exact for two customers at one station.
No station can be busy for more than all of the time. Where the guess would have it so, ``ahead`` grows by the same
number for all customers (``surplus``). With many rare customers this is the waiting time of an M/D/1 queue,
``rho / (2 (1 - rho))`` services (Pollaczek and Khinchine; Kleinrock, Queueing Systems 1, 1975, section 5.6).

One network after the other is solved, each for as many steps as it needs: its solution does not depend on the others.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discotrace.replay.kernels.compile import kernel
from discotrace.tracegen.compiled import compiled_with

Floats = NDArray[np.float64]

CHANGE = 1e-7  # a solution stands when no cycle changes by more than this share of it in one step
CHANGE_OF_FEWER = 1e-5  # networks with one customer fewer only correct a guess
STEPS = 5000
PATIENCE = 150  # steps by secants; after that small ones
CAUTION = 0.9  # share of a small step that is not taken
SURPLUS_STEP = 0.5  # share of Newton's step, which knows nothing of the other stations
FULLEST = 0.98  # background load of a station while the solution is sought; more than that is never its solution
FARTHEST, FARTHEST_BACK = 4.0, 0.9  # limits of a step ahead and back, in steps
TINY = 1e-300
SMALL, LARGE = 0.6, 700.0  # arguments below which a series takes the formula's place; above which e^x is too large

SOLVED, UNSOLVED = -1, -2
UNUSABLE = ("think", "visits", "service", "background")  # arguments that are not finite and >= 0
UNUSABLE_THINK, UNUSABLE_VISITS, UNUSABLE_SERVICE, UNUSABLE_BACKGROUND = range(4)


class Network(NamedTuple):
    """One network: think [C], demand (visits x service) and background [M, C], in units of time per cycle."""

    think: Floats
    demand: Floats
    background: Floats


class Room(NamedTuple):
    """Where networks are solved. A state is [M, C + 1]: waiting per visit in services and, last, the surplus.

    The state ``now``, its ``image`` (what it makes of itself), the image ``before``, and ``first``, from which networks
    with one customer fewer begin; ``change`` and ``change_before`` [M, C]: of the waiting, in time per cycle; ``cycle``
    and ``rate`` [C]: mean time of a cycle and its inverse; ``waiting_without`` [M, C]: mean number that waits in the
    network without this customer.
    """

    now: Floats
    image: Floats
    before: Floats
    first: Floats
    change: Floats
    change_before: Floats
    cycle: Floats
    rate: Floats
    waiting_without: Floats


@compiled_with(nogil=True, error_model="numpy")
def solve_each(
    think: Floats,
    visits: Floats,
    service: Floats,
    background: Floats,
    per_visit: Floats,
    cycle: Floats,
    utilisation: Floats,
) -> int:
    """Solve ``B`` networks: ``SOLVED``; ``UNSOLVED`` if no solution of one is found; or a place in ``UNUSABLE``.

    In: think [B, C], visits [B, C, M] and background [B, C, M] per cycle, service [B, M]. Out: ``per_visit`` [B, C, M],
    ``cycle`` [B, C], ``utilisation`` [B, M], as in ``linearizer.Waiting``.
    """
    networks, customers, stations = visits.shape
    shape, of_state = (stations, customers), (stations, customers + 1)
    network = Network(np.empty(customers), np.empty(shape), np.empty(shape))
    fewer = Network(network.think, np.empty(shape), np.empty(shape))
    room = Room(
        now=np.empty(of_state),
        image=np.empty(of_state),
        before=np.empty(of_state),
        first=np.empty(of_state),
        change=np.empty(shape),
        change_before=np.empty(shape),
        cycle=np.empty(customers),
        rate=np.empty(customers),
        waiting_without=np.zeros(shape),
    )
    for b in range(networks):
        unusable = _set_up(network, think[b], visits[b], service[b], background[b])
        if unusable != SOLVED:
            return unusable
        if not _solve(network, fewer, room):
            return UNSOLVED
        _find_rates(network, room.image, room)
        for c in range(customers):
            cycle[b, c] = room.cycle[c]
        for m in range(stations):
            utilisation[b, m] = 0.0
            for c in range(customers):
                per_visit[b, c, m] = room.image[m, c] * service[b, m]
                utilisation[b, m] += (network.demand[m, c] + network.background[m, c]) * room.rate[c]
    return SOLVED


@kernel
def _set_up(network: Network, think: Floats, visits: Floats, service: Floats, background: Floats) -> int:
    """Fill in a network, or tell what about it is unusable."""
    stations, customers = network.demand.shape
    for m in range(stations):
        if not 0 <= service[m] < np.inf:
            return UNUSABLE_SERVICE
    for c in range(customers):
        if not 0 <= think[c] < np.inf:
            return UNUSABLE_THINK
        network.think[c] = think[c]
        for m in range(stations):
            if not 0 <= visits[c, m] < np.inf:
                return UNUSABLE_VISITS
            if not 0 <= background[c, m] < np.inf:
                return UNUSABLE_BACKGROUND
            network.demand[m, c] = visits[c, m] * service[m]
            network.background[m, c] = background[c, m] * service[m]
    return SOLVED


@kernel
def _solve(network: Network, fewer: Network, room: Room) -> bool:
    """Solve one network; whether a solution was found. It is ``room.image``. ``fewer``: room for a smaller network."""
    stations, customers = network.demand.shape
    for m in range(stations):
        for c in range(customers + 1):
            room.now[m, c] = 0.0
    if not _settle(network, room, 1.0, CHANGE_OF_FEWER):
        return False
    if customers == 1:
        return True
    _copy(room.image, room.first)
    for c in range(customers):
        _leave_out(network, c, fewer)
        _copy(room.first, room.now)
        if not _settle(fewer, room, 1.0, CHANGE_OF_FEWER):
            return False
        _find_rates(fewer, room.image, room)
        for m in range(stations):
            room.waiting_without[m, c] = 0.0
            for other in range(customers):
                room.waiting_without[m, c] += fewer.demand[m, other] * room.image[m, other] * room.rate[other]
    _copy(room.first, room.now)
    return _settle(network, room, 0.5 * (customers - 2) / (customers - 1), CHANGE)


@kernel
def _copy(state: Floats, copy: Floats) -> None:
    stations, values = state.shape
    for m in range(stations):
        for i in range(values):
            copy[m, i] = state[m, i]


@kernel
def _leave_out(network: Network, customer: int, fewer: Network) -> None:
    """Fill in a network with one customer fewer: it thinks for ever."""
    stations, customers = network.demand.shape
    for m in range(stations):
        for c in range(customers):
            fewer.demand[m, c] = network.demand[m, c] if c != customer else 0.0
            fewer.background[m, c] = network.background[m, c] if c != customer else 0.0


@kernel
def _settle(network: Network, room: Room, weight: float, share: float) -> bool:
    """Find the state that reproduces itself, from the state now on; whether it was found. It is ``room.image``.

    How many a customer finds waiting is ``weight`` times the mean number of others that wait, and for the rest
    ``room.waiting_without``. ``share`` of its cycle: how much a customer's waiting may still change.
    """
    for step in range(STEPS):
        _find_rates(network, room.now, room)
        _find_image(network, room, weight)
        if _is_settled(room, share):
            return True
        back = _back(room)
        if step == 0:  # there is no image before
            _move(room, room.image, 0.0)
        elif step < PATIENCE:
            _move(room, room.before, back)
        else:  # it goes round in circles
            _move(room, room.now, CAUTION)
    return False


@kernel
def _find_rates(network: Network, state: Floats, room: Room) -> None:
    """Fill in ``cycle`` and ``rate`` of a state."""
    stations, customers = network.demand.shape
    for c in range(customers):
        room.cycle[c] = network.think[c]
    for m in range(stations):
        for c in range(customers):
            room.cycle[c] += network.demand[m, c] * (1 + state[m, c])
    for c in range(customers):
        room.rate[c] = 1 / max(room.cycle[c], TINY) if room.cycle[c] > 0 else 0.0


@kernel
def _find_image(network: Network, room: Room, weight: float) -> None:
    """Fill in the image of the state now, and the change. ``weight`` as in ``_settle``."""
    stations, customers = network.demand.shape
    for m in range(stations):
        total, squares, queued, background = 0.0, 0.0, 0.0, 0.0
        for c in range(customers):
            served = network.demand[m, c] * room.rate[c]
            total += served
            squares += served * served
            queued += served * room.now[m, c]
            background += network.background[m, c] * room.rate[c]
        excess = (total + background - 1) / max(squares, TINY)
        surplus = max(room.now[m, customers] + SURPLUS_STEP * excess, 0.0) if total > 0 else 0.0
        room.image[m, customers] = surplus
        load = min(background, FULLEST)
        spread = load / (1 - load)
        for c in range(customers):
            waiting = 0.0
            served = network.demand[m, c] * room.rate[c]
            if served > 0:
                own = served * room.now[m, c]
                others = total - served
                ahead = weight * (queued - own) + (1 - weight) * room.waiting_without[m, c]
                ahead += spread * (ahead + others / 2 + load / 2)  # background waits as in M/D/1, and is waited for
                waiting = _waiting(served, own, others + load, ahead) + surplus
            room.image[m, c] = waiting
            room.change[m, c] = (waiting - room.now[m, c]) * network.demand[m, c]


@kernel
def _waiting(served: float, queued: float, others: float, ahead: float) -> float:
    """Waiting of a customer per visit, in services: of the time it is in service, and waits, for a share each.

    ``others``: share of time that others are in service; ``ahead``: how many it finds waiting.
    """
    away = max(1 - served - queued, 0.0)
    rest = residual(served / max(away, TINY))
    busy = (others - served * ahead) / max(away + served * rest, TINY)
    return min(max(busy, 0.0), 1.0) * rest + ahead


@kernel
def residual(x: float) -> float:
    """What remains of a service of length 1 at the end of an exponential absence of mean 1 / x (see above).

    The series has the Bernoulli numbers, B(2k) / (2k)!, and all digits; without it steps take a fifth longer.
    """
    if x < SMALL:
        y = x * x
        high = 1 / 47900160 - y * (691 / 1307674368000 - y * (1 / 74724249600 - y * (3617 / 10670622842880000)))
        return 0.5 + x * (1 / 12 - y * (1 / 720 - y * (1 / 30240 - y * (1 / 1209600 - y * high))))
    large = min(x, LARGE)
    grown = math.expm1(large)
    return 1 + (large - grown) / (large * grown)


@kernel
def _is_settled(room: Room, share: float) -> bool:
    """Whether the change is no more than a share of its cycle for any customer."""
    stations, customers = room.change.shape
    settled = True
    for c in range(customers):
        moved = 0.0
        for m in range(stations):
            moved += abs(room.change[m, c])
        settled = settled and moved <= share * room.cycle[c]
    return settled


@kernel
def _back(room: Room) -> float:
    """How far to step back towards the last image: the secant that makes the change smallest (Anderson 1965).

    The change is the one before at the next step.
    """
    stations, customers = room.change.shape
    size, along = 0.0, 0.0
    for m in range(stations):
        for c in range(customers):
            change = room.change[m, c]
            turn = change - room.change_before[m, c]
            size += turn * turn
            along += turn * change
            room.change_before[m, c] = change
    return min(max(along / max(size, TINY), -FARTHEST), FARTHEST_BACK)


@kernel
def _move(room: Room, old: Floats, back: float) -> None:
    """Make the state now the image, but for a share ``back`` of the way to an old one; beyond it if negative.

    The image is the one before at the next step.
    """
    stations, values = room.now.shape
    for m in range(stations):
        for i in range(values):
            new = room.image[m, i]
            room.now[m, i] = max(new - back * (new - old[m, i]), 0.0)
            room.before[m, i] = new
