"""Quantiles of Student's t distribution, for confidence intervals of means of few values."""

import math
from statistics import NormalDist


def t_quantile(probability: float, freedom: int) -> float:
    """The value that a t-distributed variable stays below with this probability; exact for 1 and 2 degrees of freedom.

    For more the expansion of Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5, four terms: within
    2 % from 3 degrees of freedom on and 0.1 % from 6 on, at probabilities up to 0.975.
    """
    p = probability
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) / math.sqrt(2 * p * (1 - p))
    x = NormalDist().inv_cdf(p)
    terms: tuple[float, ...] = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return math.fsum((x, *(term / float(freedom) ** power for power, term in enumerate(terms, 1))))
