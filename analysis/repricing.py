"""The paper's figures with other prices, again and again, from counts that are read once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from discotrace.analysis.decisive import decisive
from discotrace.analysis.paper.bars import Figures, our_figures
from discotrace.analysis.paper.evaluation import Priced, Result, price_bar
from discotrace.analysis.paper.experiments import Bar, Experiment
from discotrace.analysis.paper.replays import Counted, configuration_of, counted, counts_path
from discotrace.analysis.paper.store import Store
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.sensitivity import Trial

MONITOR = "monitor"  # the table of prices of which a native system uses nothing
UMA, LOCAL_NS = "uma", "memory.local_ns"  # the bar whose latencies are all copies of the local one


class Repricing:
    """Counts of experiments, read once. A bar whose prices came before is not priced again."""

    def __init__(self, experiments: Sequence[Experiment], store: Store) -> None:
        """Read what ``paper.evaluation.count`` left. Raises TraceError."""
        self._experiments = list(experiments)
        self._paths: dict[tuple[str, str], Path] = {}
        self._counted: dict[Path, Counted] = {}
        self._priced: dict[tuple[str, str, str], Priced] = {}
        for one in experiments:
            for bar in one.bars:
                path = counts_path(store, one.trace, bar)
                self._paths[one.trace.name, bar.label] = path
                self._counted[path] = self._counted.get(path) or counted(path)

    @property
    def traces(self) -> dict[str, str]:
        """SHA-256 of the footers of the traces, by name."""
        named = {trace: self._counted[path] for (trace, _), path in self._paths.items()}
        return {trace: str(found.about["trace"]["footer_sha256"]) for trace, found in named.items()}

    def figures(self, prices: Mapping[str, float | str], trial: Trial | None = None) -> Figures:
        """Our figures with these prices, by ``table.key``, and on top of them one multiplied. Raises ConfigError."""
        return our_figures(self.results(prices, trial))

    def results(self, prices: Mapping[str, float | str], trial: Trial | None = None) -> list[Result]:
        """The experiments with these prices. Raises ConfigError."""
        changes = [f"{key}={value}" for key, value in prices.items()]
        return [self._result(one, changes, trial) for one in self._experiments]

    def _result(self, experiment: Experiment, changes: list[str], trial: Trial | None) -> Result:
        bars = {bar.label: self._bar(experiment.trace.name, bar, changes, trial) for bar in experiment.bars}
        return Result(experiment, bars, next(iter(bars.values())).found.about["trace"])

    def _bar(self, trace: str, bar: Bar, changes: list[str], trial: Trial | None) -> Priced:
        tried = with_price(bar, changes, trial) if trial else bar
        place = (trace, bar.label, _decisive(configuration_of(tried, changes).prices, bar.system))
        if place not in self._priced:
            self._priced[place] = price_bar(tried, self._counted[self._paths[trace, bar.label]], changes)
        return self._priced[place]


def _decisive(prices: Prices, system: str) -> str:
    """The prices that decide what a system takes, as a text."""
    tables = prices.to_tables()
    return repr({name: table for name, table in tables.items() if system != NATIVE or name != MONITOR})


def with_price(bar: Bar, changes: Sequence[str], trial: Trial) -> Bar:
    """The bar with one price multiplied. On uniform memory all latencies follow the local one."""
    own = [text.partition("=")[0] for text in bar.prices]
    followers = own if bar.label == UMA else []
    if trial.parameter in followers:
        return bar
    keys = [trial.parameter, *followers] if trial.parameter == LOCAL_NS else [trial.parameter]
    tables = configuration_of(bar, changes).prices.to_tables()
    return replace(bar, prices=(*bar.prices, *(_multiplied(tables, key, trial.factor) for key in keys)))


def with_structure(experiment: Experiment, trial: Trial) -> Experiment:
    """The experiment with one structural parameter multiplied, rounded if it is a whole number.

    Bars that do not use the parameter stay what they are, and so do their counts.
    """
    return replace(experiment, bars=tuple(_restructured(bar, trial) for bar in experiment.bars))


def _restructured(bar: Bar, trial: Trial) -> Bar:
    machine = configuration_of(bar).machine
    tried = replace(bar, changes=(*bar.changes, _multiplied(machine.to_tables(), trial.parameter, trial.factor)))
    before, after = (decisive(bar.system, configuration_of(one).machine) for one in (bar, tried))
    return bar if after == before else tried


def _multiplied(tables: Mapping[str, Mapping[str, float]], parameter: str, factor: float) -> str:
    """``table.key=value`` with the value multiplied."""
    table, _, key = parameter.partition(".")
    value = tables[table][key]
    return f"{parameter}={round(value * factor) if isinstance(value, int) else value * factor!r}"
