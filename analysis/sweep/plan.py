"""What a sweep needs: the distinct replays behind its points, found before any work is done."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import polars as pl

from discotrace.analysis.configuration import Configuration, Tables, from_tables, read_tables, split
from discotrace.analysis.counts_file import FORMAT_VERSION
from discotrace.analysis.decisive import decisive, policy_content
from discotrace.analysis.fit_file import with_fitted
from discotrace.analysis.keeping import digest, sources_digest
from discotrace.analysis.prices import Prices
from discotrace.analysis.run import SYSTEMS
from discotrace.analysis.sampling.choice import Sample, check_machine
from discotrace.analysis.sweep.points import SYSTEM, TRACE, cell, points_of
from discotrace.analysis.sweep.spec import Axis, Spec
from discotrace.analysis.sweep.values import Interval
from discotrace.monitor.placement.registry import find_policy
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader
from discotrace.version import VERSION

CELL, REPLAY, WHY = "cell", "replay", "why"  # columns beside those of points_of
SAMPLING = ("discotrace.tracegen", "discotrace.analysis.sampling")  # those that decide, beside them, what a sample is
COUNTING = ("discotrace.replay", "discotrace.monitor")  # the sources that decide what is counted


@dataclass(frozen=True)
class TraceFile:
    """A trace of the sweep: where it is (URL, or path from the root), what tells it from others, how long it is."""

    source: str
    identity: dict[str, str | int]
    cpus: int
    rows: int


@dataclass(frozen=True)
class Wanted:
    """A replay that a sweep needs. ``key`` names its counts: it says all that decides them."""

    key: str
    trace: TraceFile
    system: str
    configuration: Configuration  # the machine with its CPUs resolved; the prices that do not vary


@dataclass(frozen=True)
class Plan:
    """A sweep with its replays.

    ``points``: see ``points_of``; beside it ``cell`` (number of the combination of trace and structural values),
    ``replay`` (place in ``replays``, null where there cannot be one) and ``why`` there is none. ``prices``: the keys
    that vary and need no replay. ``traces``: in the order of the sweep.
    """

    spec: Spec
    traces: list[TraceFile]
    points: pl.DataFrame
    replays: list[Wanted]
    prices: list[str]

    @property
    def skipped(self) -> pl.DataFrame:
        """The points whose configuration is impossible."""
        return self.points.filter(pl.col(REPLAY).is_null())


def planned(spec: Spec) -> Plan:
    """Plan a sweep.

    Raises ConfigError for what is wrong with the sweep as a whole, or with all of its points, TraceError for a trace
    that cannot be read. A point that is impossible, like a cache that is no power of two, is left out.
    """
    for system in spec.systems:
        if system not in SYSTEMS:
            raise ConfigError(f"unknown system {system!r}; known: {', '.join(SYSTEMS)}")
    base = _base_tables(spec)
    _check_prices(spec, base)
    points = points_of(spec, base)
    if not points.height:
        raise ConfigError("no point fulfils the conditions of --where")
    traces = {source: _trace_file(source) for source in dict.fromkeys(spec.traces)}
    structural = [one for group in spec.dimensions for one in group if not one.is_price]
    cells = points.select(TRACE, *(one.key for one in structural)).unique(maintain_order=True).with_row_index(CELL)
    found = _Replays(spec, base, structural, traces)
    made = cells.join(points.select(SYSTEM).unique(maintain_order=True), how="cross", maintain_order="left_right")
    rows = [found.of(row) for row in made.iter_rows(named=True)]
    made = made.with_columns(
        pl.Series(REPLAY, [place for place, _ in rows], pl.Int64), pl.Series(WHY, [why for _, why in rows], pl.String)
    )
    keys = [TRACE, SYSTEM, *(one.key for one in structural)]
    points = points.join(made, on=keys, how="left", maintain_order="left").cast({CELL: pl.Int64})
    if points[REPLAY].is_null().all():
        raise ConfigError(f"every point is impossible; the first: {points[WHY][0]}")
    return Plan(
        spec,
        list(traces.values()),
        points,
        found.all,
        [one.key for group in spec.dimensions for one in group if one.is_price],
    )


class _Replays:
    """Finds the replay of a combination, the same one for all that count the same."""

    def __init__(self, spec: Spec, base: Tables, structural: Sequence[Axis], traces: Mapping[str, TraceFile]) -> None:
        self.all: list[Wanted] = []
        self._places: dict[str, int] = {}
        self._spec = spec
        self._structure, prices = split(base)
        self._prices = Prices.from_tables(prices)
        self._traces = traces
        self._values = {one.key: _by_cell(one) for one in structural}

    def of(self, row: Mapping[str, Any]) -> tuple[int | None, str | None]:
        """The place of the replay of a combination, or why there is none."""
        trace, system = self._traces[row[TRACE]], str(row[SYSTEM])
        try:
            configuration = self._configuration(row, trace)
        except ConfigError as fault:
            return None, str(fault).removeprefix("configuration: ")
        key = key_of(trace, system, configuration.machine, self._spec.window, self._spec.sample)
        if key not in self._places:
            self._places[key] = len(self.all)
            self.all.append(Wanted(key, trace, system, configuration))
        return self._places[key], None

    def _configuration(self, row: Mapping[str, Any], trace: TraceFile) -> Configuration:
        tables = {name: dict(values) for name, values in self._structure.items()}
        for key, values in self._values.items():
            table, _, name = key.partition(".")
            tables[table][name] = values.get(row[key], row[key])
        machine = Machine.from_tables(tables).for_trace(trace.cpus)
        _check_policy(machine.placement.policy)
        if self._spec.sample is not None:
            check_machine(machine)
        return Configuration(machine, self._prices)


def key_of(trace: TraceFile, system: str, machine: Machine, window: int, sample: Sample | None) -> str:
    """A name for the counts of a replay: the hash of all that decides them, the sources of the code included."""
    made_from = {
        "trace": trace.identity,
        "system": system,
        "machine": decisive(system, machine),
        "policy": policy_content(system, machine),
        "window": window,
        "version": VERSION,
        "sources": sources_digest(*COUNTING),
        "format": FORMAT_VERSION,
    }
    if sample is not None:
        made_from["sample"] = {**asdict(sample), "sources": sources_digest(*SAMPLING)}
    return digest(made_from)


def _base_tables(spec: Spec) -> Tables:
    """The machine's tables with the keys that have one value in the whole sweep."""
    tables = read_tables(spec.machine)
    for key, value in spec.fixed.items():
        table, _, name = key.partition(".")
        tables.setdefault(table, {})[name] = value
    return with_fitted(tables)


def _check_prices(spec: Spec, base: Tables) -> None:
    """Raises ConfigError for a price that cannot be: each is checked by itself, all others as they are."""
    for one in (one for group in spec.dimensions for one in group if one.is_price):
        table, _, name = one.key.partition(".")
        given = one.values
        for value in (given.low, given.high) if isinstance(given, Interval) else given:
            from_tables({**base, table: {**base[table], name: value}})


def _trace_file(source: str) -> TraceFile:
    with TraceReader(source) as reader:
        whole = source if "://" in source else os.path.abspath(source)
        return TraceFile(whole, reader.identity(), reader.meta.cpus, reader.rows)


def _by_cell(one: Axis) -> dict[Any, Any]:
    """The values of an axis by what the table of points has for them."""
    return {} if isinstance(one.values, Interval) else {cell(value): value for value in one.values}


@cache
def _check_policy(name: str) -> None:
    """Raises ConfigError for a policy that is not found."""
    find_policy(name)
