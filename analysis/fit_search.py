"""Least squares over numbers between 0 and a limit: what prices are found with."""

from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Residuals = Callable[[Floats], Floats]

FREE = np.nan  # neither 0 nor the limit
STEPS = 30  # linearisations at most
HALVINGS = 8  # of a step that would make things worse
DIFFERENCE = 0.01  # of a value (or its start, if that is greater): what a derivative is taken over
SETTLED = 1e-6  # relative improvement of the error, and of what it was at first, below which the search ends
ARRIVED = 1e-4  # of a value (or its start, if that is greater): a step that is too short to take


def bounded_least_squares(matrix: Floats, wanted: Floats, limits: Floats) -> Floats:
    """The x, 0 <= x <= ``limits`` [unknowns], that brings ``matrix`` [equations, unknowns] @ x closest to ``wanted``.

    Solves for every choice of unknowns that are at 0, at their limit (which may be infinite), or between, so it is
    exact, and meant for few of them.
    """
    ends = [(FREE, 0.0, limit) if limit < np.inf else (FREE, 0.0) for limit in limits]
    best, least = np.zeros(len(limits)), np.inf
    for choice in product(*ends):
        found = np.array(choice)
        free = np.isnan(found)
        left = wanted - matrix[:, ~free] @ found[~free]
        found[free] = np.linalg.lstsq(matrix[:, free], left)[0]
        error = float(np.square(matrix @ found - wanted).sum())
        if error < least and (found >= 0).all() and (found <= limits).all():
            best, least = found, error
    return best


def least_squares(residuals: Residuals, start: Floats, limits: Floats) -> Floats:
    """The values from 0 to ``limits`` with the least sum of squared residuals, from ``start``, which gives the scale.

    Gauss and Newton's method: each step solves the problem as if it were linear, and is halved while it makes things
    worse. A linear problem is solved by the first step. Never worse than ``start``, which is above 0.
    """
    values = start.copy()
    now = residuals(values)
    error = first = float(now @ now)
    for _ in range(STEPS):
        slopes = _slopes(residuals, values, now, start)
        aim = start * bounded_least_squares(slopes * start, slopes @ values - now, limits / start)
        if (np.abs(aim - values) <= ARRIVED * np.maximum(values, start)).all():
            break
        values, now = _best_on_the_way(residuals, values, now, aim)
        before, error = error, float(now @ now)
        if before - error <= SETTLED * before or error <= SETTLED**2 * first:
            break
    return values


def _slopes(residuals: Residuals, values: Floats, now: Floats, start: Floats) -> Floats:
    """Derivatives [residuals, unknowns] by finite differences."""
    columns = []
    for place, size in enumerate(np.maximum(values, start) * DIFFERENCE):
        moved = values.copy()
        moved[place] += size
        columns.append((residuals(moved) - now) / size)
    return np.stack(columns, axis=1)


def _best_on_the_way(residuals: Residuals, values: Floats, now: Floats, aim: Floats) -> tuple[Floats, Floats]:
    """The first of ``aim``, half of the way to it, a quarter and so on, that is better; else where it was."""
    for halving in range(HALVINGS):
        tried = values + (aim - values) / 2**halving
        reached = residuals(tried)
        if reached @ reached < now @ now:
            return tried, reached
    return values, now
