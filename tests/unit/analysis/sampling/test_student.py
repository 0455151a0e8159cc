"""Quantiles of Student's t against a table (Abramowitz and Stegun, 26.10)."""

import pytest

from discotrace.analysis.sampling.student import t_quantile

TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 6: 2.447, 9: 2.262, 14: 2.145, 19: 2.093, 24: 2.064, 60: 2.000}


@pytest.mark.parametrize("freedom", TABLE)
def test_97_5_percent(freedom: int) -> None:
    tolerance = 1e-4 if freedom < 3 else 0.02 if freedom < 6 else 1e-3
    assert t_quantile(0.975, freedom) == pytest.approx(TABLE[freedom], rel=tolerance)


@pytest.mark.parametrize("freedom", [1, 2, 5, 30])
def test_it_is_symmetric(freedom: int) -> None:
    assert t_quantile(0.1, freedom) == pytest.approx(-t_quantile(0.9, freedom))
