"""Least squares without negative values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discotrace.analysis.fit_search import Floats, bounded_least_squares, least_squares

NO_LIMIT = np.inf
NUMBERS = st.floats(-10, 10, allow_subnormal=False).map(lambda x: round(x, 3))


def nnls(matrix: Floats, wanted: Floats) -> Floats:
    """Without upper limits."""
    return bounded_least_squares(matrix, wanted, np.full(matrix.shape[1], NO_LIMIT))


def test_nnls__finds_what_fits_exactly() -> None:
    matrix = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 5.0]])
    assert nnls(matrix, matrix @ [4.0, 0.5]) == pytest.approx([4.0, 0.5])


def test_nnls__what_would_be_negative_is_0_and_the_others_make_up_for_it() -> None:
    matrix = np.array([[1.0, 1.0], [0.0, 1.0]])
    assert nnls(matrix, np.array([1.0, -1.0])) == pytest.approx([1.0, 0.0])
    assert nnls(-matrix, np.array([1.0, 1.0])).tolist() == [0.0, 0.0]


@given(st.lists(st.lists(NUMBERS, min_size=4, max_size=4), min_size=5, max_size=5))
def test_nnls__no_step_to_any_side_is_better(rows: list[list[float]]) -> None:
    """The conditions of Karush, Kuhn and Tucker: no slope where a value is above 0, none downhill where it is 0."""
    numbers = np.array(rows)
    matrix, wanted = numbers[:, :3], numbers[:, 3]
    found = nnls(matrix, wanted)
    slope = matrix.T @ (matrix @ found - wanted)
    scale = 1e-6 * (1 + np.abs(matrix).sum() * (1 + np.abs(wanted).sum()))
    assert (found >= 0).all()
    assert (slope >= -scale).all()
    assert (np.abs(slope * found) <= scale * (1 + found)).all()


def test_least_squares__a_linear_problem_needs_one_step() -> None:
    matrix = np.array([[1.0, 2.0], [3.0, 1.0], [0.0, 500.0]])
    calls = []

    def residuals(values: Floats) -> Floats:
        calls.append(values)
        return matrix @ (values - [40.0, 0.5])

    assert least_squares(residuals, np.array([1.0, 1.0]), np.full(2, NO_LIMIT)) == pytest.approx([40.0, 0.5])
    assert len(calls) < 12


def test_least_squares__a_curved_problem() -> None:
    """Waiting grows faster than the service time that causes it."""
    load = np.array([0.001, 0.002, 0.004])

    def residuals(values: Floats) -> Floats:
        use = load * values[0]
        return values[0] * use / (1 - np.minimum(use, 0.99)) + values[1] - wanted

    wanted = np.zeros(3)
    wanted = residuals(np.array([180.0, 30.0]))
    assert least_squares(residuals, np.array([50.0, 50.0]), np.full(2, NO_LIMIT)) == pytest.approx(
        [180.0, 30.0], rel=1e-3
    )


def test_least_squares__is_never_worse_than_the_start() -> None:
    def residuals(values: Floats) -> Floats:
        return np.array([1.0 if values[0] == 3 else 2.0 + values[0]])

    assert least_squares(residuals, np.array([3.0]), np.full(1, NO_LIMIT)).tolist() == [3.0]


def test_least_squares__stops_at_0() -> None:
    assert least_squares(lambda values: values + 5, np.array([3.0]), np.array([NO_LIMIT])).tolist() == [0.0]


def test_least_squares__stops_at_the_limit_and_the_others_make_up_for_it() -> None:
    matrix = np.array([[1.0, 1.0], [0.0, 0.1]])

    def residuals(values: Floats) -> Floats:
        return matrix @ values - [10.0, 0.0]

    found = least_squares(residuals, np.array([1.0, 1.0]), np.array([4.0, NO_LIMIT]))
    assert found == pytest.approx([4.0, 6 / 1.01])
