"""Polynomials of bounded total degree."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import chebval

from discotrace.analysis.polynomial import CHUNK, Basis, Polynomial


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


@pytest.mark.parametrize("variables", [1, 2, 3])
def test_a_polynomial_of_the_degree_is_met_everywhere(variables: int) -> None:
    def truth(x: np.ndarray) -> np.ndarray:
        return np.column_stack([(x.sum(axis=1) - 0.3) ** 3, x[:, 0] * x[:, -1] + 1])

    basis, draw = Basis(variables, 3), np.random.default_rng(0)
    nodes = basis.nodes(2 * basis.size, draw)
    points = draw.uniform(-1, 1, (CHUNK + 5, variables))
    assert Polynomial.fitted(basis, nodes, truth(nodes))(points) == pytest.approx(truth(points), abs=1e-12)


def test_nodes_have_one_in_each_stratum_and_are_denser_towards_the_ends() -> None:
    nodes = Basis(2, 1).nodes(100, np.random.default_rng(0))
    for column in nodes.T:
        strata = np.floor(np.arccos(column) / np.pi * 100)
        assert sorted(strata) == list(range(100))
    assert np.count_nonzero(np.abs(nodes[:, 0]) > 0.9) > 25
