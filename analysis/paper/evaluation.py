"""Carries the experiments out: generates the traces that are missing, replays the bars that are, prices all."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from discotrace.analysis.footprint import MemoryUse, memory_use
from discotrace.analysis.outcome import Outcome, outcome
from discotrace.analysis.paper.experiments import Bar, Experiment, TraceSpec
from discotrace.analysis.paper.generation import Generation, Job
from discotrace.analysis.paper.replays import (
    Counted,
    configuration_of,
    counted,
    counts_path,
    missing,
    replay,
    replayed_as,
)
from discotrace.analysis.paper.store import Store
from discotrace.analysis.paper.traces import trace_path
from discotrace.analysis.prices import Prices
from discotrace.analysis.site import Site
from discotrace.tracegen.reader import TraceReader


class Watcher(Protocol):
    """Who is told how far it is. ``generating`` may be called from another thread."""

    def generating(self, spec: TraceSpec) -> None:
        """A trace is being generated now."""

    def replaying(self, spec: TraceSpec, rows: int) -> AbstractContextManager[Callable[[int], None]]:
        """A trace is being replayed; gives what is to be told how many more rows are done."""

    def done(self, spec: TraceSpec) -> None:
        """All bars of a trace have been counted."""


@dataclass(frozen=True)
class Priced:
    """A bar: what was counted, where it ran, what it costs, the memory in use."""

    bar: Bar
    found: Counted
    prices: Prices
    site: Site
    outcome: Outcome
    memory: MemoryUse


@dataclass(frozen=True)
class Result:
    """An experiment's bars by label, in order, and the identity of its trace."""

    experiment: Experiment
    bars: dict[str, Priced]
    trace: dict[str, Any]


def at_scale(experiments: Sequence[Experiment], scale: float | None) -> list[Experiment]:
    """The experiments with traces of another length; None leaves each its own."""
    if scale is None:
        return list(experiments)
    return [replace(one, trace=replace(one.trace, scale=scale)) for one in experiments]


def count(experiments: Sequence[Experiment], store: Store, workers: int, watcher: Watcher) -> None:
    """Generate and replay what the store does not have. Stopped at any point, the next call goes on from there.

    ``workers``: traces generated at the same time. Raises OutputError, ConfigError, TraceError.
    """
    with store.alone():
        waiting = {one.trace: one for one in experiments if missing(store, one.trace, one.bars)}
        jobs = [Job(spec, trace_path(store, spec)) for spec in waiting]
        absent = [job for job in jobs if not job.path.exists()]
        generation = Generation(absent, workers, watcher.generating)
        with generation.working():
            for job in jobs:
                if job not in absent:
                    _replay(waiting[job.spec], store, watcher)
            for spec in generation.finished():
                _replay(waiting[spec], store, watcher)


def _replay(experiment: Experiment, store: Store, watcher: Watcher) -> None:
    spec = experiment.trace
    with TraceReader(str(trace_path(store, spec))) as reader, watcher.replaying(spec, reader.rows) as advance:
        replay(reader, missing(store, spec, experiment.bars), advance)
    watcher.done(spec)


def price(experiments: Sequence[Experiment], store: Store, changes: Sequence[str]) -> list[Result]:
    """Price what ``count`` left; ``changes`` of prices as ``table.key=value``. Raises ConfigError, TraceError."""
    return [_priced(one, store, changes) for one in experiments]


def _priced(experiment: Experiment, store: Store, changes: Sequence[str]) -> Result:
    files: dict[str, Counted] = {}
    bars = {}
    for bar in experiment.bars:
        path = str(counts_path(store, experiment.trace, bar))
        found = files.setdefault(path, counted(counts_path(store, experiment.trace, bar)))
        bars[bar.label] = price_bar(bar, found, changes)
    trace = next(iter(bars.values())).found.about["trace"]
    return Result(experiment, bars, trace)


def price_bar(bar: Bar, found: Counted, changes: Sequence[str] = ()) -> Priced:
    """What a bar costs. Raises ConfigError."""
    configuration = configuration_of(bar, changes)
    cpus = found.about["cpus"]
    site = Site(
        configuration.machine.for_trace(cpus), found.about["instances"], found.about["jobs"], found.about["runs_on"]
    )
    return Priced(
        bar=bar,
        found=found,
        prices=configuration.prices,
        site=site,
        outcome=outcome(bar.system, found.counts, site, configuration.prices),
        memory=memory_use(replayed_as(bar, found), cpus),
    )
