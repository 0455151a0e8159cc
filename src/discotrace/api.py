"""discotrace from Python: the verbs as functions, with the names of the command line; results are polars frames.

What is wrong with an argument, a trace, a folder is raised as ``discotrace.DiscotraceError``, whose message is the line
that the command would print. On a terminal progress is shown on standard error.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from discotrace.analysis.answers import best as best_points
from discotrace.analysis.answers import results as answers
from discotrace.analysis.answers.diff import MAIN_FIGURES
from discotrace.analysis.answers.diff import diff as difference
from discotrace.analysis.answers.effects import effects as effects_of
from discotrace.analysis.configuration import Configuration, load, repriced
from discotrace.analysis.counts_file import CountsFile, read, write
from discotrace.analysis.curve.curve_file import curve_frame
from discotrace.analysis.curve.measure import measured
from discotrace.analysis.curve.question import ALL_SETS, Question
from discotrace.analysis.replayed import replayed
from discotrace.analysis.sampling.choice import INTERVALS, Sample
from discotrace.analysis.sampling.run import Asked
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import Plan, planned
from discotrace.analysis.sweep.sampled_figures import figures_of
from discotrace.analysis.sweep.spec import WINDOW, read_file, spec_of
from discotrace.analysis.sweep.sweep import sweep as carry_out
from discotrace.analysis.sweep.workforce import workers_beside, workers_on
from discotrace.cli.crash import crash_point
from discotrace.cli.folders import pasts_folder
from discotrace.cli.replaying import free_target, replay_progress
from discotrace.cli.sampled import check_not_with_sample, sampled_counts
from discotrace.cli.sweep_progress import watching
from discotrace.tracegen.errors import CheckFailedError, ConfigError
from discotrace.tracegen.reader import TraceReader

Names = str | Iterable[str]


def replay(
    trace: str | os.PathLike[str],
    *,
    machine: str = "flash",
    systems: Names = "native,disco",
    vms: int | None = None,
    nfs: bool = False,
    crash: str | None = None,
    set: Mapping[str, Any] | None = None,
    window: int = WINDOW,
    output: str | os.PathLike[str] | None = None,
    force: bool = False,
    sample: bool = False,
    intervals: int = INTERVALS,
    seed: int = 1,
    workers: int | None = None,
    on: str | None = None,
) -> pl.DataFrame:
    """Replay a trace and price it: a row for each system, with the columns of a sweep's results.

    ``set``: values by key, ``{"tlb.entries": 128}``; ``crash``: ``"vm=2,at=50%"``; ``output``: where to keep the
    counts, for ``price``. ``sample``: replay so many ``intervals`` alone, in ``workers`` processes or by those of Dask
    (``on``); columns like ``time_ms_half_width`` then have half the widths of 95 % confidence intervals.
    """
    source, changes = os.fspath(trace), _texts(set)
    changes += ([] if vms is None else [f"vm.count={vms}"]) + (["vm.nfs=true"] if nfs else [])
    configuration = load(machine, changes)
    target = None if output is None else free_target(os.fspath(output), source, force)
    names, command = ",".join(_list(systems)), f"discotrace.replay({source!r}, ...)"
    if sample:
        check_not_with_sample(crash=crash)
        asked = Asked(window, Sample(intervals, seed), workers_beside(on, workers))
        counts = sampled_counts(source, configuration, names, asked, command, quiet=False)
    else:
        if workers is not None or on is not None:
            raise ConfigError("workers and on are for intervals of a trace: give sample=True")
        counts = _replayed(source, configuration, names, crash, window, command)
    if target is not None:
        write(target, counts)
    return figures_of(counts)


def _replayed(
    source: str, configuration: Configuration, systems: str, crash: str | None, window: int, command: str
) -> CountsFile:
    point = None if crash is None else crash_point(crash, configuration.machine)
    with TraceReader(source) as reader, replay_progress(reader, quiet=False) as advance:
        death = point.in_trace(reader.rows) if point else None
        return replayed(reader, configuration, systems, window, death, command, advance)


def price(
    counts: str | os.PathLike[str], *, prices: str | None = None, set: Mapping[str, Any] | None = None
) -> pl.DataFrame:
    """Price again the counts that ``replay`` kept, with other prices: a row for each system, as ``replay`` gives."""
    stored = read(os.fspath(counts))
    tables = repriced(stored.about["configuration"], prices, _texts(set))
    return figures_of(CountsFile(stored.table, stored.about | {"configuration": tables}))


def sweep(
    traces: Names | os.PathLike[str],
    output: str | os.PathLike[str] = "sweep",
    *,
    force: bool = False,
    strict: bool = False,
    workers: int | None = None,
    on: str | None = None,
    **entries: Any,
) -> pl.DataFrame:
    """Try many points of a machine's parameters; the results, a row a point. What is in the folder is not made again.

    ``traces``: trace files, or a sweep file (``.toml``). ``entries`` are those of a sweep file, and come before what is
    in one: ``set``, a mapping of keys to lists or texts like ``"256:8192:x2"``; ``systems``, ``machine``, ``zip``,
    ``where``, ``random``, ``lhs``, ``seed``, ``window``, ``sample``, ``sample_intervals``, ``sample_seed``; and
    ``vms``, short for ``vm.count`` in ``set``. ``on``: workers of Dask.
    """
    plan = plan_of(traces, **entries)
    if strict and plan.skipped.height:
        raise ConfigError(f"{plan.skipped.height:,} points are impossible; the first: {plan.skipped['why'][0]}")
    folder = SweepFolder(Path(output))
    with watching(plan, quiet=False) as watcher:
        carry_out(plan, folder, pasts_folder(), workers_on(on, workers), watcher, "discotrace.sweep(...)", force)
    return results(output)


def plan_of(traces: Names | os.PathLike[str], *, vms: Any = None, **entries: Any) -> Plan:
    """What ``sweep`` would do with these arguments: its ``points`` are a frame, its ``replays`` a list.

    ``vms``: numbers of virtual machines; short for ``vm.count`` in ``set``.
    """
    names = [os.fspath(traces)] if isinstance(traces, os.PathLike) else _list(traces)
    files = [name for name in names if name.endswith(".toml")]
    if len(files) > 1 or (files and len(files) < len(names)):
        raise ConfigError(f"a sweep file stands alone: {', '.join(names)}")
    tree: dict[str, Any] = read_file(files[0]) if files else {"traces": names}
    given = entries.pop("set", None) or {}
    if not isinstance(given, Mapping):
        raise ConfigError(f"set is {given!r}, expected values by key: {{'tlb.entries': [16, 64]}}")
    counts = {} if vms is None else {"vm.count": vms}
    return planned(spec_of({**tree, **entries, "set": {**tree.get("set", {}), **given, **counts}}))


def results(sweep: str | os.PathLike[str]) -> pl.DataFrame:
    """The results of a sweep, a row a point, of those that there are so far."""
    return answers.read(sweep).rows.collect()


def curve(
    trace: str | os.PathLike[str],
    what: str,
    *,
    machine: str = "flash",
    set: Mapping[str, Any] | None = None,
    sets: int | str | None = None,
    max_ways: int | None = None,
    sample: float | None = None,
    seed: int | None = None,
) -> pl.DataFrame:
    """The misses of every size of the TLB, a cache or the memory: a row for each size, as ``curve --output`` writes.

    ``what``: tlb, l1, l1i, l1d, l2 or pages; ``sets``: a power of two, or ``"all"``.
    """
    question = Question(what, ALL_SETS if sets == "all" else _whole("sets", sets), max_ways, sample, seed)
    configuration = load(machine, _texts(set))
    with TraceReader(os.fspath(trace)) as reader, replay_progress(reader, False, "record_rows", "reading") as advance:
        return curve_frame(measured(reader, configuration.machine, question, advance).curves)


def best(
    sweep: str | os.PathLike[str],
    *,
    minimize: str | None = None,
    maximize: str | None = None,
    pareto: Names | None = None,
    subject_to: Names = (),
    by: Names = (),
    top: int = best_points.TOP,
) -> pl.DataFrame:
    """The best points of a sweep: with the least or the most of a figure, or those that no other beats in all of
    ``pareto``."""
    found = answers.read(sweep)
    conditions = [subject_to] if isinstance(subject_to, str) else list(subject_to)
    if pareto is None:
        return best_points.best(found, minimize, maximize, conditions, by, top).rows
    if minimize is not None or maximize is not None:
        raise ConfigError("give one of minimize, maximize, pareto")
    return best_points.pareto(found, pareto, conditions, by).rows


def effects(sweep: str | os.PathLike[str], *, of: str = "time", by: Names = ()) -> pl.DataFrame:
    """What each parameter does to a figure: ``share`` of its variance, by itself and, in ``beside``, with another."""
    found = effects_of(answers.read(sweep), of, by)
    rows: list[dict[str, Any]] = []
    for one in found:
        if one.shares is not None:
            rows += [
                {**one.group, "parameter": main.name, "beside": None, "share": main.share} for main in one.shares.main
            ]
            rows += [
                {**one.group, "parameter": both.names[0], "beside": both.names[1], "share": both.share}
                for both in one.shares.interactions
            ]
    kinds = {"parameter": pl.String, "beside": pl.String, "share": pl.Float64}
    return pl.DataFrame(rows, schema_overrides=kinds, infer_schema_length=None)


def diff(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    of: Names = MAIN_FIGURES,
    fail_if: Names = (),
    allow_missing: bool = False,
) -> pl.DataFrame:
    """The points that two sweeps have in common, with each figure of both, that of the second `` in B``.

    Raises CheckFailedError where a limit of ``fail_if``, like ``"time>+2%"``, is broken.
    """
    limits = [fail_if] if isinstance(fail_if, str) else list(fail_if)
    found = difference(answers.read(first), answers.read(second), of, limits, allow_missing)
    if found.faults:
        raise CheckFailedError("; ".join(found.faults))
    return found.matched.both


def _texts(changes: Mapping[str, Any] | None) -> list[str]:
    """Changes as the command line has them."""
    if not isinstance(changes, Mapping | None):
        raise ConfigError(f"set is {changes!r}, expected values by key: {{'tlb.entries': 64}}")
    return [f"{key}={json.dumps(value)}" for key, value in (changes or {}).items()]


def _whole(name: str, value: int | str | None) -> int | None:
    if isinstance(value, str) or value == 0:
        raise ConfigError(f"{name} is {value!r}, expected a power of two, or 'all'")
    return value


def _list(names: Names) -> list[str]:
    return names.split(",") if isinstance(names, str) else list(names)
