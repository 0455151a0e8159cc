"""Polynomials of bounded total degree."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import chebval

from discotrace.analysis import polynomial
from discotrace.analysis.polynomial import Basis, Polynomial, spread


def naive_terms(basis: Basis, point: list[float]) -> list[float]:
    """Each product of factors by itself."""
    exponents = [each for each in product(range(basis.degree + 1), repeat=basis.variables) if sum(each) <= basis.degree]
    return [
        float(np.prod([chebval(x, [0] * power + [1]) for x, power in zip(point, each, strict=True)]))
        for each in exponents
    ]


@given(st.integers(1, 4), st.integers(0, 5), st.data())
def test_terms_are_all_products(variables: int, degree: int, data: st.DataObject) -> None:
    basis = Basis(variables, degree)
    point = data.draw(st.lists(st.floats(-1, 1), min_size=variables, max_size=variables))
    found = basis.terms(np.array(point)[:, None])
    assert found.shape == (basis.size, 1)
    assert sorted(found[:, 0]) == pytest.approx(sorted(naive_terms(basis, point)), abs=1e-12)


def bent(x: np.ndarray) -> np.ndarray:
    """Three functions of degree 3: one of all variables, a simple one, and nothing."""
    return np.column_stack([(x.sum(axis=1) - 0.3) ** 3, x[:, 0] * x[:, -1] + 1, 0 * x[:, 0]])


@pytest.mark.parametrize("variables", [1, 2, 3])
def test_a_polynomial_of_the_degree_is_met_everywhere(variables: int) -> None:
    basis, draw = Basis(variables, 3), np.random.default_rng(0)
    nodes = spread(variables, 0, 2 * basis.size)
    points = draw.uniform(-1, 1, (2000, variables))
    found = Polynomial.fitted(basis, nodes, bent(nodes), draw.uniform(1, 2, len(nodes)))(points)
    assert found == pytest.approx(bent(points), abs=1e-12)
    assert not found[:, 2].any()


def test_a_weighty_node_is_met_more_nearly() -> None:
    nodes, values = np.array([[-1.0], [0.0], [1.0]]), np.array([[0.0], [1.0], [0.0]])
    basis, weights = Basis(1, 1), np.array([1.0, 1000.0, 1.0])
    evenly, weighted = (Polynomial.fitted(basis, nodes, values, each)(nodes) for each in (np.ones(3), weights))
    assert evenly == pytest.approx(np.full((3, 1), 1 / 3))
    assert weighted[1] == pytest.approx(1, abs=1e-5)


def test_a_value_does_not_depend_on_the_other_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polynomial, "ELEMENTS", 20 * 128)  # 128 points in one go
    basis, draw = Basis(3, 3), np.random.default_rng(0)
    nodes = spread(3, 0, 40)
    made = Polynomial.fitted(basis, nodes, draw.random((40, 5)), np.ones(40))
    points = draw.uniform(-1, 1, (300, 3))
    whole = made(points)
    for part in (slice(0, 1), slice(1, 130), slice(130, 300), slice(299, 300)):
        assert (made(points[part]) == whole[part]).all()


@pytest.mark.parametrize("variables", [1, 2, 5])
def test_nodes_are_spread_and_denser_towards_the_ends(variables: int) -> None:
    nodes = spread(variables, 0, 100)
    assert (spread(variables, 60, 100) == nodes[60:]).all()
    for column in nodes.T:
        strata = np.floor(np.arccos(column) / np.pi * 20)
        assert (np.bincount(strata.astype(int), minlength=20) >= 2).all()
        assert np.count_nonzero(np.abs(column) > 0.9) > 25
