"""Analysis of variance of a full factorial: every combination of the factors' levels is there once. It is exact.

Montgomery, Design and Analysis of Experiments, chapter 5. There is no error to test against, a replay being
deterministic: what is left is the interactions of three factors and more. Where each value of a factor is as likely as
another, the shares are the indices of Sobol' (Saltelli et al., Global Sensitivity Analysis, chapter 4).
"""

from collections.abc import Sequence
from math import prod

import numpy as np

from discotrace.analysis.answers.factors import (
    Codes,
    Factor,
    Floats,
    Interaction,
    Level,
    Main,
    Shares,
    ordered,
    pairs,
)


def is_full(factors: Sequence[Factor], points: int) -> bool:
    """Whether every combination of the levels is there once."""
    sizes = tuple(one.count for one in factors)
    if prod(sizes) != points:
        return False
    return len(np.unique(np.ravel_multi_index([one.codes for one in factors], sizes))) == points


def shares(factors: Sequence[Factor], figures: Floats) -> Shares:
    """Shares of the sum of squares. ``figures``: [points], not all the same."""
    deviations = figures - figures.mean()
    total = float(np.square(deviations).sum())
    effects = {one.name: _means(one.codes, one.count, deviations) for one in factors}
    main = []
    for one in factors:
        means = _means(one.codes, one.count, figures)
        levels = [Level(one.value(place), float(mean)) for place, mean in enumerate(means)]
        main.append(Main(one.name, _squares(effects[one.name], figures) / total, levels))
    interactions = []
    for first, second in pairs(factors):
        shape = (first.count, second.count)
        cells = _means(first.codes * shape[1] + second.codes, prod(shape), deviations).reshape(shape)
        beyond = cells - effects[first.name][:, None] - effects[second.name][None, :]
        interactions.append(Interaction((first.name, second.name), _squares(beyond, figures) / total))
    explained = sum(one.share for one in main) + sum(one.share for one in interactions)
    return ordered(main, interactions, 1 - explained)


def _means(codes: Codes, count: int, values: Floats) -> Floats:
    """Mean value at each code; all codes are as frequent."""
    return np.bincount(codes, values, count) * count / len(values)


def _squares(effects: Floats, figures: Floats) -> float:
    """The sum over all points of the squared effect that each has."""
    return float(np.square(effects).sum()) * len(figures) / effects.size
