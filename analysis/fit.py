"""Finds prices with which the model comes closest to the published figures that may be fitted.

Counts stay as they are: every trial prices them again, nothing is replayed.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from discotrace.analysis.fit_file import FittedStep, Residual
from discotrace.analysis.fit_search import Floats, least_squares
from discotrace.analysis.fit_targets import Figures, Step, error_of
from discotrace.tracegen.errors import ConfigError

Prices = Mapping[str, float]  # by ``table.key``
Pricing = Callable[[Prices], Figures]  # our figures with these prices

PASSES = 6  # over all steps at most
SETTLED = 0.002  # relative change of every price from one pass to the next


def fit(steps: Sequence[Step], pricing: Pricing, on_step: Callable[[str], None] = lambda _: None) -> list[FittedStep]:
    """Fit all steps, again and again until what one finds does not change what another found.

    ``pricing`` needs the prices of all steps. Raises ConfigError for a price that nothing in the counts depends on.
    """
    prices = {key: value for step in steps for key, value in step.starts.items()}
    for step in steps:
        _check_all_matter(step, pricing, prices)
    for _ in range(PASSES):
        before = dict(prices)
        for step in steps:
            on_step(step.name)
            prices |= fit_step(step, pricing, prices)
        if all(abs(prices[key] - value) <= SETTLED * max(value, prices[key]) for key, value in before.items()):
            break
    return [_fitted(step, pricing({**prices, **step.given}), prices) for step in steps]


def fit_step(step: Step, pricing: Pricing, prices: Prices) -> dict[str, float]:
    """The prices of one step, with all others as in ``prices``."""

    def residuals(values: Floats) -> Floats:
        return _residuals(step, pricing({**prices, **step.given, **step.prices(values.tolist())}))

    limits = np.array([step.limits.get(key, np.inf) for key in step.starts])
    return step.prices(least_squares(residuals, np.array(list(step.starts.values())), limits).tolist())


def _check_all_matter(step: Step, pricing: Pricing, prices: Prices) -> None:
    now = _residuals(step, pricing({**prices, **step.given}))
    for key in step.starts:
        if np.array_equal(_residuals(step, pricing({**prices, **step.given, key: 2 * prices[key]})), now):
            raise ConfigError(f"{key} cannot be fitted: nothing in the traces depends on it; give a longer --scale")


def _residuals(step: Step, figures: Figures) -> Floats:
    return np.array([one.weight**0.5 * (one.ours(figures) - one.published) for one in step.targets])


def _fitted(step: Step, figures: Figures, prices: Prices) -> FittedStep:
    return FittedStep(
        name=step.name,
        fitted_to=step.fitted_to,
        prices={key: prices[key] for key in step.starts},
        at_limit=[key for key in step.starts if _is_at_limit(step, key, prices)],
        error=error_of(step.targets, figures),
        residuals=[Residual(one.name, one.unit, one.published, one.ours(figures)) for one in step.targets],
    )


def _is_at_limit(step: Step, key: str, prices: Prices) -> bool:
    floor = prices[step.at_least[key]] if key in step.at_least else 0.0
    return prices[key] in (floor, step.limits.get(key, np.inf))
