"""The twin of ``linearizer_kernels.py``, which explains the symbols: whole batches of networks at once, in NumPy.

All of them go on until the last has settled, so that most are solved more exactly than they need be.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CHANGE = 1e-7  # a solution stands when no cycle changes by more than this share of it in one step
CHANGE_OF_FEWER = 1e-5  # networks with one customer fewer only correct a guess
STEPS = 5000
PATIENCE = 150  # steps by secants; after that small ones
CAUTION = 0.9  # share of a small step that is not taken
ELEMENTS = 50_000  # networks x customers x stations in one go: more would not stay in the cache
SURPLUS_STEP = 0.5  # share of Newton's step, which knows nothing of the other stations
FULLEST = 0.98  # background load of a station while the solution is sought; more than that is never its solution
FARTHEST, FARTHEST_BACK = 4.0, 0.9  # limits of a step ahead and back, in steps
TINY = 1e-300
SMALL = 1e-3  # below it the series is more exact than the formula


@dataclass(frozen=True)
class Waiting:
    """A network in steady state, times in the unit of the think times.

    ``per_visit`` [..., C, M]: mean time that a customer waits at a station before its service.
    ``cycle`` [..., C]: mean time of a cycle: thinking, waiting and service.
    ``utilisation`` [..., M]: share of time that a station serves, background included.
    """

    per_visit: Floats
    cycle: Floats
    utilisation: Floats


@dataclass(frozen=True)
class _Networks:
    """``B`` networks: think [B, C], demand (visits x service) and background [B, C, M], in units of time per cycle."""

    think: Floats
    demand: Floats
    background: Floats

    def part(self, which: slice) -> "_Networks":
        return _Networks(self.think[which], self.demand[which], self.background[which])

    def without_each(self) -> "_Networks":
        """Each network C times, with one customer away each time: [B * C, ...]."""
        networks, customers, stations = self.demand.shape
        others = ~np.eye(customers, dtype=bool)[None, :, :, None]
        shape = (networks * customers, customers, stations)
        demand = (self.demand[:, None] * others).reshape(shape)
        background = (self.background[:, None] * others).reshape(shape)
        return _Networks(np.repeat(self.think, customers, axis=0), demand, background)


@dataclass(frozen=True)
class _State:
    """Waiting per visit in units of service [B, C, M] and surplus [B, M]."""

    waiting: Floats
    surplus: Floats

    def part(self, which: slice) -> "_State":
        return _State(self.waiting[which], self.surplus[which])


@dataclass(frozen=True)
class _Rates:
    """Shares of time: in service and waiting [B, C, M], background in service [B, M]; and cycles in time [B, C]."""

    served: Floats
    queued: Floats
    background: Floats
    cycle: Floats


def solve(think: ArrayLike, visits: ArrayLike, service: ArrayLike, background: ArrayLike = 0.0) -> Waiting:
    """Waiting times for think times [..., C] and visits per cycle [..., C, M] with service times [M] or [..., M].

    What a cycle is does not matter: one miss or a second, as long as ``think`` and ``visits`` are of the same cycle.
    ``background`` [..., C, M]: visits per cycle that nobody waits for, as write-backs are; taken as arriving at random.
    A customer without any visit waits nowhere. Raises ValueError for negative numbers, ArithmeticError where no
    solution is found.
    """
    times = np.asarray(think, dtype=np.float64)
    counts = np.asarray(visits, dtype=np.float64)
    served = np.broadcast_to(np.asarray(service, dtype=np.float64)[..., None, :], counts.shape)
    unwaited = np.broadcast_to(np.asarray(background, dtype=np.float64), counts.shape)
    for name, values in (("think", times), ("visits", counts), ("service", served), ("background", unwaited)):
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"{name} has to be finite and >= 0")
    shape = counts.shape
    customers, stations = shape[-2:]
    flat = (-1, customers, stations)
    networks = _Networks(
        np.broadcast_to(times, shape[:-1]).reshape(-1, customers),
        (counts * served).reshape(flat),
        (unwaited * served).reshape(flat),
    )
    state = _solution(networks)
    rates = _rates(networks, state)
    used = rates.served.sum(axis=-2) + rates.background
    return Waiting(
        state.waiting.reshape(shape) * served, rates.cycle.reshape(shape[:-1]), used.reshape(*shape[:-2], -1)
    )


def _solution(networks: _Networks) -> _State:
    batch, customers, stations = networks.demand.shape
    still = _State(np.zeros_like(networks.demand), np.zeros((batch, stations)))
    first = _settled(networks, still, None, CHANGE_OF_FEWER)
    if customers < 2:
        return first
    fewer = networks.without_each()
    begin = _State(*(np.repeat(values, customers, axis=0) for values in (first.waiting, first.surplus)))
    size = max(1, ELEMENTS // (customers * stations))
    found = np.empty((batch * customers, stations))
    for which in _slices(batch * customers, size):
        part = fewer.part(which)
        settled = _settled(part, begin.part(which), None, CHANGE_OF_FEWER)
        found[which] = _rates(part, settled).queued.sum(axis=-2)
    return _settled(networks, first, found.reshape(networks.demand.shape), CHANGE)


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, start + size)


def _settled(networks: _Networks, state: _State, waiting_without: Floats | None, share: float) -> _State:
    """The state that reproduces itself. ``waiting_without`` [B, C, M]: see ``_ahead``."""
    rates = _rates(networks, state)
    image = _step(rates, state, waiting_without)
    change_before, image_before = np.zeros_like(image.waiting), image
    for step in range(STEPS):
        change = (image.waiting - state.waiting) * networks.demand  # in time per cycle: what counts
        if (np.abs(change).sum(axis=-1) <= share * rates.cycle).all():
            return image
        if step < PATIENCE:
            state = _between(image, image_before, _back(change, change_before))
        else:  # it goes round in circles
            state = _between(image, state, np.full((len(change), 1), CAUTION))
        change_before, image_before = change, image
        rates = _rates(networks, state)
        image = _step(rates, state, waiting_without)
    raise ArithmeticError(f"waiting times did not settle in {STEPS} steps")


def _between(new: _State, old: _State, back: Floats) -> _State:
    """From the new state a share ``back`` [B, 1] of the way to the old one; away from the old one if negative."""
    waiting = new.waiting - back[..., None] * (new.waiting - old.waiting)
    return _State(np.maximum(waiting, 0), np.maximum(new.surplus - back * (new.surplus - old.surplus), 0))


def _back(change: Floats, before: Floats) -> Floats:
    """How far to step back towards the last image [B, 1]: the secant that makes the change smallest (Anderson 1965)."""
    turn = change - before
    size = np.einsum("bcm,bcm->b", turn, turn)
    along = np.einsum("bcm,bcm->b", turn, change)
    back: Floats = np.clip(along / np.maximum(size, TINY), -FARTHEST, FARTHEST_BACK)[:, None]
    return back


def _rates(networks: _Networks, state: _State) -> _Rates:
    waiting = networks.demand * state.waiting
    cycle = networks.think + networks.demand.sum(axis=-1) + waiting.sum(axis=-1)
    throughput = np.where(cycle > 0, 1.0 / np.maximum(cycle, TINY), 0.0)[..., None]
    background = (networks.background * throughput).sum(axis=-2)
    return _Rates(networks.demand * throughput, waiting * throughput, background, cycle)


def _step(rates: _Rates, state: _State, waiting_without: Floats | None) -> _State:
    served = rates.served
    total = served.sum(axis=-2)
    others = total[:, None] - served
    ahead = _ahead(rates, waiting_without)
    load = np.minimum(rates.background, FULLEST)[:, None]
    ahead += load * (ahead + others / 2 + load / 2) / (1 - load)  # background waits as in M/D/1, and is waited for
    away = np.maximum(1 - served - rates.queued, 0)
    rest = residual(served / np.maximum(away, TINY))
    busy = (others + load - served * ahead) / np.maximum(away + served * rest, TINY)
    busy = np.clip(busy, 0, 1)
    slope = np.maximum((served * served).sum(axis=-2), TINY)
    excess = (total + rates.background - 1) / slope
    surplus = np.where(total > 0, np.maximum(state.surplus + SURPLUS_STEP * excess, 0), 0)
    return _State(busy * rest + ahead + surplus[:, None], surplus)


def _ahead(rates: _Rates, waiting_without: Floats | None) -> Floats:
    """How many a customer finds waiting [B, C, M], from the mean number of others that wait in the whole network.

    ``waiting_without``: mean number that waits in the network without this customer; None if it is not known.
    """
    whole: Floats = rates.queued.sum(axis=-2)[:, None] - rates.queued
    if waiting_without is None:
        return whole
    customers = rates.queued.shape[-2]
    weight = 0.5 * (customers - 2) / (customers - 1)
    mean: Floats = weight * whole + (1 - weight) * waiting_without
    return mean


def residual(x: Floats) -> Floats:
    """What remains of a service of length 1 at the end of an exponential absence of mean 1 / x (see above)."""
    large = np.clip(x, SMALL, 700.0)
    formula = 1 - 1 / large + 1 / np.expm1(large)
    return np.where(x < SMALL, 0.5 + x / 12, formula)
