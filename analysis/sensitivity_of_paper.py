"""How much the paper's bars, as we come out at them, depend on prices and on the machine's structure."""

from collections.abc import Sequence

from discotrace.analysis.configuration import load, read_text
from discotrace.analysis.paper.bars import Figures, our_figures
from discotrace.analysis.paper.comparison import TOTAL
from discotrace.analysis.paper.evaluation import Watcher, count, price
from discotrace.analysis.paper.experiments import MACHINE, Experiment
from discotrace.analysis.paper.store import Store
from discotrace.analysis.repricing import Repricing, with_structure
from discotrace.analysis.sensitivity import Key, Sensitivity, Trial, price_trials, sensitivities
from discotrace.analysis.value_sources import changed, sources_of, unverified

IRIX = "irix"  # the bar that the others are measured by: always 100


def of_prices(experiments: Sequence[Experiment], store: Store, changes: Sequence[str]) -> list[Sensitivity]:
    """Every price 10 % higher, one after the other. Counts must be there; ``changes`` of prices come before.

    The strongest first. Raises ConfigError, TraceError.
    """
    repricing = Repricing(experiments, store)
    prices = dict(_parts(change) for change in changes)
    trials = price_trials(load(MACHINE, changes).prices.to_tables())
    found = sensitivities(lambda trial: _bars(repricing.figures(prices, trial)), trials, _doubtful(changes))
    return sorted(found, key=lambda one: -abs(one.change))


def of_structure(
    experiments: Sequence[Experiment],
    store: Store,
    changes: Sequence[str],
    trials: Sequence[Trial],
    workers: int,
    watcher: Watcher,
) -> list[Sensitivity]:
    """The same of structural parameters, which need replays: of every bar that uses the parameter, for each trial.

    ``workers`` and ``watcher``: see ``paper.evaluation.count``, whose errors these are.
    """

    def ours(trial: Trial | None) -> Figures:
        tried = [with_structure(one, trial) for one in experiments] if trial else list(experiments)
        count(tried, store, workers, watcher)
        return _bars(our_figures(price(tried, store, changes)))

    found = sensitivities(ours, trials, _doubtful(changes))
    return sorted(found, key=lambda one: -abs(one.change))


def _bars(figures: Figures) -> Figures:
    return {key: value for key, value in figures.items() if _is_bar(key)}


def _is_bar(key: Key) -> bool:
    _, _, configuration, quantity = key
    return quantity == TOTAL and configuration != IRIX


def _doubtful(changes: Sequence[str]) -> list[str]:
    return unverified(changed(sources_of(read_text(MACHINE)), changes))


def _parts(change: str) -> tuple[str, str]:
    key, _, value = change.partition("=")
    return key.strip(), value.strip()
