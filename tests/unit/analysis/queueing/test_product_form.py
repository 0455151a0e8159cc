"""A network of one kind of customers, against formulas, bounds and the balance equations of its states."""

from itertools import product
from math import comb, inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discotrace.analysis.queueing.product_form import solve, throughput

DEMAND = st.floats(0.01, 100)
SIZES = st.integers(1, 6)
SERVERS = st.sampled_from([1.0, 2.0, 3.0, inf])


@st.composite
def networks(draw: st.DrawFn, sizes: st.SearchStrategy[int] = SIZES) -> tuple[list[float], list[float]]:
    stations = range(draw(sizes))
    return [draw(DEMAND) for _ in stations], [draw(SERVERS) for _ in stations]


def repairman(think: float, repair: float, servers: int, machines: int) -> float:
    """Repairs per time unit of the machine repairman, M/M/m//N: a birth and death process (Kleinrock 1975, 3.8)."""
    weights = [1.0]
    for broken in range(1, machines + 1):
        weights.append(weights[-1] * (machines - broken + 1) / think * repair / min(broken, servers))
    busy = sum(min(n, servers) * weight for n, weight in enumerate(weights))
    return busy / repair / sum(weights)


def balanced(demands: list[float], servers: list[float], population: int) -> float:
    """Throughput from the balance equations of all states, customers going from each station to the next."""
    states = [s for s in product(range(population + 1), repeat=len(demands)) if sum(s) == population]
    rates = np.zeros((len(states), len(states)))
    for i, state in enumerate(states):
        for k, there in enumerate(state):
            if there:
                after = list(state)
                after[k] -= 1
                after[(k + 1) % len(state)] += 1
                rates[i, states.index(tuple(after))] += min(there, servers[k]) / demands[k]
    np.fill_diagonal(rates, rates.diagonal() - rates.sum(axis=1))
    equations = np.vstack([rates.T, np.ones(len(states))])
    shares = np.linalg.lstsq(equations, np.append(np.zeros(len(states)), 1.0), rcond=None)[0]
    return float(sum(p * min(s[0], servers[0]) for p, s in zip(shares, states, strict=True)) / demands[0])


@pytest.mark.parametrize("servers", [1, 2, 5])
def test_repairman__is_the_birth_and_death_process(servers: int) -> None:
    assert solve([7.0, 2.0], [inf, servers], 12).throughput == pytest.approx(repairman(7, 2, servers, 12), rel=1e-10)


def test_repairman__waits_less_with_more_servers_until_nobody_waits() -> None:
    residence = [float(solve([7.0, 2.0], [inf, m], 6).residence[1]) for m in range(1, 7)]
    assert residence == sorted(residence, reverse=True)
    assert residence[-1] == pytest.approx(2.0)


@pytest.mark.parametrize(("stations", "population"), [(1, 5), (4, 1), (4, 9), (30, 200)])
def test_balanced_network__throughput_is_n_over_n_plus_k_less_1(stations: int, population: int) -> None:
    found = solve([3.0] * stations, 1, population)
    assert found.throughput == pytest.approx(population / (population + stations - 1) / 3, rel=1e-10)
    assert found.queue == pytest.approx(np.full(stations, population / stations), rel=1e-9)


def test_delays_alone__nobody_waits() -> None:
    found = solve([1e4, 1.0], inf, 512)
    assert found.throughput == pytest.approx(512 / 10001)
    assert found.residence == pytest.approx(np.array([1e4, 1.0]))
    assert found.utilisation.tolist() == [0, 0]


def test_many_rare_customers__are_an_open_queue() -> None:
    population, load = 512, 0.5
    found = solve([population / load - 2, 1.0], [inf, 1], population)
    assert found.residence[1] == pytest.approx(1 / (1 - load), rel=0.01)  # M/M/1
    found = solve([population / load / 2, 1.0], [inf, 2], population)
    load = float(found.utilisation[1])
    assert found.residence[1] == pytest.approx(1 / (1 - load**2), rel=0.01)  # M/M/2


def test_erlang__servers_as_many_as_customers_are_binomial() -> None:
    found = solve([3.0, 1.0], [inf, 4], 4)
    mean = sum(n * comb(4, n) * 0.25**n * 0.75 ** (4 - n) for n in range(5))
    assert found.queue[1] == pytest.approx(mean)


@pytest.mark.parametrize("servers", [[1, 1, 1], [2, 1, inf], [1, 3, 2]])
@pytest.mark.parametrize("population", [1, 3, 5])
def test_small_network__solves_the_balance_equations_of_its_states(servers: list[float], population: int) -> None:
    demands = [1.0, 2.5, 0.3]
    assert solve(demands, servers, population).throughput == pytest.approx(balanced(demands, servers, population))


@given(networks(), st.integers(1, 60))
def test_any_network__keeps_the_laws(network: tuple[list[float], list[float]], population: int) -> None:
    demands, servers = np.array(network[0]), np.array(network[1])
    found = solve(demands, servers, population)
    assert found.queue.sum() == pytest.approx(population)  # all customers are somewhere
    assert found.queue == pytest.approx(found.throughput * found.residence)  # Little
    assert found.throughput <= min(float((servers / demands).min()), population / demands.sum()) * (1 + 1e-9)
    assert (found.residence >= demands * (1 - 1e-9)).all()
    assert (found.utilisation <= 1 + 1e-9).all()


@given(networks(), st.integers(1, 30))
def test_any_network__is_monotone(network: tuple[list[float], list[float]], population: int) -> None:
    demands, servers = np.array(network[0]), np.array(network[1])
    few = float(solve(demands, servers, population).throughput)
    assert float(solve(demands, servers, population + 1).throughput) >= few * (1 - 1e-9)
    assert float(solve(demands, servers + 1, population).throughput) >= few * (1 - 1e-9)


@settings(max_examples=20)
@given(st.lists(networks(st.just(3)), min_size=2, max_size=2), st.integers(1, 20))
def test_leading_axes__are_networks_of_their_own(pair: list[tuple[list[float], list[float]]], population: int) -> None:
    together = solve([n[0] for n in pair], [n[1] for n in pair], population)
    for i, (demands, servers) in enumerate(pair):
        alone = solve(demands, servers, population)
        assert together.throughput[i] == pytest.approx(float(alone.throughput))
        assert together.residence[i] == pytest.approx(alone.residence)


@given(st.lists(st.tuples(networks(st.just(3)), st.integers(0, 40)), min_size=1, max_size=4))
def test_throughput_alone__is_that_of_each_network(several: list[tuple[tuple[list[float], list[float]], int]]) -> None:
    """Of the same number of stations; customers may be as many as each likes."""
    demands, servers = (np.array([network[i] for network, _ in several]) for i in (0, 1))
    found = throughput(demands, servers, np.array([population for _, population in several]))
    expected = [float(solve(*network, population).throughput) for network, population in several]
    assert found == pytest.approx(expected, rel=1e-10)


def test_throughput_alone__without_demand_is_zero() -> None:
    assert throughput(np.zeros((1, 2)), np.ones((1, 2)), np.array([3])).tolist() == [0]


def test_extremes__lose_nothing() -> None:
    found = solve([1e6, 1.0, 1e-6, 0.0], [inf, 1, 64, 1], 512)
    assert found.queue.sum() == pytest.approx(512)
    assert found.residence[3] == 0
    assert np.isfinite(found.residence).all()


def test_nothing_to_do__is_zero() -> None:
    found = solve([[0.0, 0.0], [0.0, 2.0]], 1, 3)
    assert found.throughput.tolist() == [0, pytest.approx(0.5)]
    assert found.queue[0].tolist() == [0, 0]
    assert solve([1.0], 1, 0).throughput == 0


@pytest.mark.parametrize(
    ("demand", "servers", "population"),
    [([-1.0], 1, 1), ([inf], 1, 1), ([1.0], 0, 1), ([1.0], 1.5, 1), ([1.0], 1, -1), ([], 1, 1)],
)
def test_impossible_arguments__are_refused(demand: list[float], servers: float, population: int) -> None:
    with pytest.raises(ValueError, match=r"ha(s|ve) to be|expected"):
        solve(demand, servers, population)
