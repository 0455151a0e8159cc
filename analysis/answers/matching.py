"""Points of two sweeps side by side: those with the same parameters, trace and system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from discotrace.analysis.answers.results import Results
from discotrace.analysis.sweep.points import SYSTEM, TRACE
from discotrace.tracegen.errors import ConfigError

AFTER = " in B"  # behind the name of a figure: its value in the second sweep


@dataclass(frozen=True)
class Matched:
    """``keys``: the columns by which points are matched; ``both``: points of both, with each figure of A and of B.

    ``missing``, ``added``: keys of the points that are done in A alone, in B alone.
    """

    keys: list[str]
    both: pl.DataFrame
    missing: pl.DataFrame
    added: pl.DataFrame


def matched(first: Results, second: Results, figures: Sequence[str]) -> Matched:
    """The points that are done, matched. Raises ConfigError where the parameters of one do not say which of the other.

    A key that only one sweep has, and that is the same at all its points, is ignored. Traces are told apart by the
    names of their files where there are several.
    """
    for one, other in ((first, second), (second, first)):
        loose = [name for name in _only_in(one, other) if _varies(one, name)]
        if loose:
            raise ConfigError(
                f"{', '.join(loose)} varies in {one.source} and is no column of {other.source}: "
                "sweep the same keys in both"
            )
    keys = [SYSTEM, *(name for name in first.parameters if name in second.parameters)]
    if any(TRACE in one.varying for one in (first, second)):
        keys.insert(0, TRACE)
    left, right = (_keyed(one, keys, figures) for one in (first, second))
    right = _alike(left, right, keys)
    left = _alike(right, left, keys)
    both = left.join(right, on=keys, how="inner", suffix=AFTER, maintain_order="left")
    missing, added = left.join(right, on=keys, how="anti"), right.join(left, on=keys, how="anti")
    return Matched(keys, both, missing.select(keys), added.select(keys))


def differences(first: Results, second: Results) -> list[str]:
    """What else is different between two sweeps, and may be why their figures are."""
    found = [
        f"{name} is in one of them alone, always {one.rows.select(pl.col(name).first()).collect().item()}: ignored"
        for one, other in ((first, second), (second, first))
        for name in _only_in(one, other)
    ]
    if first.about.get("sources") != second.about.get("sources"):
        versions = dict.fromkeys([first.about["discotrace"], second.about["discotrace"]])
        found.append(f"made by different code: {first.source} and {second.source} (version {', '.join(versions)})")
    asked = first.about["sweep"], second.about["sweep"]
    traces = [{trace["name"]: trace for trace in tree["traces"]} for tree in asked]
    common = [name for name in traces[0] if name in traces[1]]
    found += [f"different traces of the name {name}" for name in common if traces[0][name] != traces[1][name]]
    if len(traces[0]) == len(traces[1]) == 1 and traces[0].keys() != traces[1].keys():
        found.append(f"different traces: {next(iter(traces[0]))}, {next(iter(traces[1]))}")
    one, other = (_settings(tree) for tree in asked)
    default = "as in the machine file"
    return found + [
        f"{key} is {one.get(key, default)} in {first.source}, {other.get(key, default)} in {second.source}"
        for key in dict.fromkeys([*one, *other])
        if one.get(key) != other.get(key) and key not in (*first.parameters, *second.parameters)
    ]


def _settings(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is the same at all points: machine, window, sample, keys that have one value."""
    lists = {one["key"]: one["values"] for one in asked["axes"] if isinstance(one["values"], list)}
    fixed = {key: values[0] for key, values in lists.items() if len(values) == 1}
    of = asked.get("sample")
    sample = f"{of['intervals']} intervals, seed {of['seed']}" if of else "none"
    return {"machine": asked["machine"], "window": asked["window"], "sample": sample, **fixed}


def _only_in(one: Results, other: Results) -> list[str]:
    return [name for name in one.parameters if name not in other.parameters]


def _varies(one: Results, name: str) -> bool:
    return int(one.rows.select(pl.col(name).n_unique()).collect().item()) > 1


def _keyed(one: Results, keys: Sequence[str], figures: Sequence[str]) -> pl.DataFrame:
    """The figures by key; traces by the names of their files, unless two of them have the same."""
    rows = one.done([*keys, *figures])
    if TRACE in keys:
        names = {trace: PurePosixPath(trace).name for trace in rows[TRACE].unique()}
        if len(set(names.values())) == len(names):
            rows = rows.with_columns(pl.col(TRACE).replace(names))
    return rows


def _alike(model: pl.DataFrame, rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The rows with keys of the model's types; whole numbers and others meet as others."""
    types = {}
    for key in keys:
        if model[key].dtype != rows[key].dtype:
            if not (model[key].dtype.is_numeric() and rows[key].dtype.is_numeric()):
                raise ConfigError(f"{key} is {model[key][0]!r} in one sweep and {rows[key][0]!r} in the other")
            types[key] = pl.Float64
    return rows.cast(types)  # type: ignore[arg-type]
