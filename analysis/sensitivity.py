"""How much each figure depends on each price and on the machine's structure: finite differences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Key = tuple[str, str, str, str]  # figure, workload, configuration, quantity
Figures = Mapping[Key, float]

TEN_PERCENT = 1.1


@dataclass(frozen=True)
class Trial:
    """A parameter (``table.key``) that is multiplied with a factor, everything else left as it is."""

    parameter: str
    factor: float = TEN_PERCENT


@dataclass(frozen=True)
class Sensitivity:
    """By how much a figure changes, in percent of it, when a parameter is multiplied with a factor.

    ``is_unverified``: the parameter's value is recalled or chosen, not printed in the paper or derived from it.
    """

    figure: str
    workload: str
    configuration: str
    quantity: str
    parameter: str
    factor: float
    change: float
    is_unverified: bool

    @property
    def key(self) -> Key:
        """The figure."""
        return self.figure, self.workload, self.configuration, self.quantity


# Structural parameters that the paper does not print. Each needs replays, unlike prices, of which all are tried.
STRUCTURAL = (
    Trial("migration.trigger"),
    Trial("migration.sharing"),
    Trial("migration.reset_instructions"),
    Trial("monitor.software_tlb_entries", 2.0),
    Trial("monitor.refill_instructions"),
    Trial("guest.buffer_cache_percent"),
    Trial("l2.size_kib", 2.0),
)


def price_trials(prices: Mapping[str, Mapping[str, float]]) -> list[Trial]:
    """Every price that is not 0, 10 % higher; ``prices`` by table and key."""
    return [Trial(f"{table}.{key}") for table, values in prices.items() for key, value in values.items() if value]


def sensitivities(
    ours: Callable[[Trial | None], Figures],
    trials: Sequence[Trial],
    unverified: Iterable[str],
    keys: Iterable[Key] | None = None,
) -> list[Sensitivity]:
    """Try each parameter by itself. ``ours``: our figures, as configured for None.

    ``unverified``: the parameters that are; ``keys``: the figures to look at, all without any. Figures that are 0, and
    changes of exactly 0, are left out.
    """
    doubtful = set(unverified)
    base = ours(None)
    looked_at = [key for key in (base if keys is None else keys) if base.get(key)]
    found = []
    for trial in trials:
        figures = ours(trial)
        for key in looked_at:
            change = 100 * (figures[key] - base[key]) / base[key]
            if change:
                found.append(Sensitivity(*key, trial.parameter, trial.factor, change, trial.parameter in doubtful))
    return found


def strongest(found: Iterable[Sensitivity], count: int) -> list[Sensitivity]:
    """Of each figure the parameters that change it most, so many of them, the strongest first."""
    by_figure: dict[Key, list[Sensitivity]] = {}
    for one in found:
        by_figure.setdefault(one.key, []).append(one)
    return [
        one for of_figure in by_figure.values() for one in sorted(of_figure, key=lambda each: -abs(each.change))[:count]
    ]
