"""Customers that are all different at stations with fixed service times, against formulas and bounds."""

import tracemalloc
from itertools import pairwise
from math import comb, exp, expm1

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from discotrace.analysis.queueing.linearizer import Floats, solve
from discotrace.analysis.queueing.linearizer_kernels import residual
from tests.unit.analysis.queueing import linearizer_twin


def finite_source(customers: int, think: float) -> float:
    """Mean cycle of M/D/1//N with a service of 1: services in a busy period, by its Markov chain (Takacs 1962)."""
    services, term = 0.0, 1.0
    for others in range(customers):
        if others:
            term *= expm1(others / think)
        services += comb(customers - 1, others) * term
    return customers * (services + think / customers) / services


def alike(customers: int, think: float) -> float:
    found = solve(np.full(customers, think), np.ones((customers, 1)), [1.0])
    assert np.ptp(found.cycle) < 1e-6 * found.cycle[0]
    return float(found.cycle[0])


@pytest.mark.parametrize("think", [0.1, 1.0, 3.0, 50.0])
def test_two_at_one_station__is_exact(think: float) -> None:
    assert alike(2, think) == pytest.approx(2 + think * exp(-1 / think), rel=1e-6)
    assert alike(2, think) == pytest.approx(finite_source(2, think), rel=1e-6)


@pytest.mark.parametrize("customers", [3, 4, 8, 16, 32])
@pytest.mark.parametrize("load", [0.25, 0.5, 0.75, 1.0, 1.25, 2.0])
def test_one_station__is_within_1_and_a_half_percent_of_the_exact_cycle(customers: int, load: float) -> None:
    think = customers / load
    assert alike(customers, think) == pytest.approx(finite_source(customers, think), rel=0.015)


@pytest.mark.parametrize("load", [0.1, 0.5, 0.7])
def test_many_rare_customers__are_m_d_1(load: float) -> None:
    customers = 256
    found = solve(np.full(customers, customers / load), np.ones((customers, 1)), [1.0])
    used = float(found.utilisation[0])
    assert found.per_visit[0, 0] == pytest.approx(used / 2 / (1 - used), rel=0.04)


def test_background__alone_makes_an_m_d_1_queue() -> None:
    found = solve([1e6], [[1e-3]], [1.0], [[5e5]])
    assert found.per_visit[0, 0] == pytest.approx(0.5 / 2 / (1 - 0.5), rel=1e-3)
    assert found.utilisation[0] == pytest.approx(0.5, rel=1e-3)


def test_background__slows_down_with_the_customers() -> None:
    found = solve(np.full(16, 1.0), np.ones((16, 1)), [1.0], np.ones((16, 1)))
    assert found.utilisation[0] == pytest.approx(1.0, rel=1e-4)
    assert found.cycle == pytest.approx(np.full(16, 32.0), rel=1e-3)  # half of the services are background


def test_one_customer__never_waits() -> None:
    found = solve([3.0], [[1.0, 2.0]], [1.0, 0.5])
    assert found.per_visit.tolist() == [[0, 0]]
    assert found.cycle == pytest.approx([5.0])


def test_no_visits__nothing_waits() -> None:
    found = solve([[3.0, 0.0]], np.zeros((1, 2, 3)), np.ones(3))
    assert found.per_visit.max() == 0
    assert found.cycle.tolist() == [[3.0, 0.0]]


def test_customers_at_different_stations__do_not_meet() -> None:
    found = solve([1.0, 1.0], np.eye(2), [1.0, 1.0])
    assert found.cycle == pytest.approx([2.0, 2.0])


def test_scale__of_a_cycle_does_not_matter() -> None:
    think, visits = np.array([2.0, 3.0, 4.0]), np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    one, many = solve(think, visits, [1.0, 1.0]), solve(think * 1e6, visits * 1e6, [1.0, 1.0])
    assert many.per_visit == pytest.approx(one.per_visit, rel=1e-6)
    assert many.cycle == pytest.approx(one.cycle * 1e6, rel=1e-6)


def test_leading_axes__are_networks_of_their_own() -> None:
    rng = np.random.default_rng(1)
    think, visits, service = rng.random((2, 3, 4)) + 1, rng.random((2, 3, 4, 5)), rng.random((2, 3, 5))
    together = solve(think, visits, service)
    assert together.utilisation.shape == (2, 3, 5)
    for i in np.ndindex(2, 3):
        assert together.per_visit[i] == pytest.approx(
            solve(think[i], visits[i], service[i]).per_visit, rel=1e-3, abs=1e-5
        )


def test_more_customers__wait_longer() -> None:
    cycles = [alike(n, 6.0) for n in range(1, 20)]
    assert all(more >= fewer for fewer, more in pairwise(cycles))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (4,), elements=st.floats(0.01, 100)),
    arrays(np.float64, (4, 3), elements=st.floats(0, 5)),
    arrays(np.float64, (3,), elements=st.floats(0.01, 3)),
    st.floats(0, 2),
)
def test_any_network__keeps_the_laws(think: Floats, visits: Floats, service: Floats, background: float) -> None:
    found = solve(think, visits, service, visits * background)
    demand = visits * service
    throughput = 1 / found.cycle
    assert (found.per_visit >= 0).all()
    assert found.cycle == pytest.approx(think + (visits * (service + found.per_visit)).sum(axis=1), rel=1e-9)
    assert (found.utilisation <= 1 + 1e-4).all()  # throughput <= 1 / Dmax
    assert (throughput <= 1 / (think + demand.sum(axis=1)) * (1 + 1e-9)).all()
    assert found.utilisation == pytest.approx((throughput[:, None] * demand * (1 + background)).sum(axis=0), rel=1e-9)


@st.composite
def networks(draw: st.DrawFn) -> tuple[Floats, Floats, Floats, Floats]:
    """A few networks of one shape: think times, visits (some none), service times, background (often none).

    Where stations are full and nobody thinks, steps go round in circles, and where they end is not known to 5 digits.
    """
    batch, customers, stations = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 5))
    shape = (batch, customers, stations)
    visits = draw(arrays(np.float64, shape, elements=st.just(0.0) | st.floats(0.1, 1)))
    return (
        draw(arrays(np.float64, shape[:2], elements=st.floats(1, 100))),
        visits,
        draw(arrays(np.float64, (batch, stations), elements=st.floats(0.01, 1))),
        visits * draw(st.just(0.0) | st.floats(0.01, 2)),
    )


@given(networks())
def test_any_network__is_solved_as_by_the_twin(network: tuple[Floats, Floats, Floats, Floats]) -> None:
    """Both stop at a state that changes by 1e-7 in a step, and begin with guesses that settled to 1e-5."""
    found, expected = solve(*network), linearizer_twin.solve(*network)
    assert found.cycle == pytest.approx(expected.cycle, rel=2e-5)
    waits = np.where(network[1] > 0, expected.per_visit, 0)  # the twin says what others would wait, too
    assert found.per_visit == pytest.approx(waits, rel=2e-4, abs=2e-5 * waits.max())
    assert found.utilisation == pytest.approx(expected.utilisation, rel=2e-5)


def test_a_network__is_solved_the_same_whatever_is_solved_with_it() -> None:
    """To the last digit."""
    rng = np.random.default_rng(2)
    think, visits, service = rng.random((6, 3)), rng.random((6, 3, 4)), rng.random((6, 4))
    together = solve(think, visits, service)
    for b in range(6):
        assert (solve(think[b:], visits[b:], service[b:]).per_visit[0] == together.per_visit[b]).all()


def test_64_customers__are_solved_in_little_memory() -> None:
    """The networks with one customer fewer, all at once, would take 4 GB."""
    rng = np.random.default_rng(4)
    shape = (16, 64, 128)
    tracemalloc.start()
    found = solve(rng.random(shape[:2]) * 200, rng.random(shape) / 64, np.ones(128))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.utilisation.max() <= 1 + 1e-4
    assert peak < 20e6


def test_residual__goes_from_a_half_to_all_of_a_service() -> None:
    found = [residual.py_func(x) for x in (0.0, 1e-9, 0.00099999, 0.00100001, 1.0, 1e3, 1e300)]
    assert found[0] == 0.5
    assert found[3] - found[2] == pytest.approx(2e-8 / 12, rel=1e-2)
    assert found[4] == pytest.approx(1 / expm1(1))
    assert [residual.py_func(x) for x in (0.01, 0.599, 0.601)] == pytest.approx(
        [1 - 1 / x + 1 / expm1(x) for x in (0.01, 0.599, 0.601)], rel=1e-13
    )
    assert found[-1] == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(
    ("think", "visits", "service"), [([-1.0], [[1.0]], [1.0]), ([1.0], [[-1.0]], [1.0]), ([1.0], [[1.0]], [np.nan])]
)
def test_impossible_arguments__are_refused(think: list[float], visits: list[list[float]], service: list[float]) -> None:
    with pytest.raises(ValueError, match="has to be finite"):
        solve(think, visits, service)
