"""What a sweep is: traces, systems, axes of parameters, and which points of their space to try."""

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from itertools import chain
from pathlib import Path
from typing import Any

from discotrace.analysis.configuration import PRICE_KEYS, STRUCTURAL_KEYS, TABLES
from discotrace.analysis.sampling.choice import Sample, check_sample
from discotrace.analysis.sweep.values import FORMS, Interval, distinct, values_of
from discotrace.tracegen.errors import ConfigError

GRID, RANDOM, LHS = "grid", "random", "lhs"
WINDOW = 1_000_000  # instructions, as in discotrace replay
MAX_WINDOW = 1 << 62  # the end of a window is a 64-bit number
SYSTEMS = ("native", "disco")
KINDS: dict[str, tuple[type, ...]] = {  # of the entries that describe a sweep
    "traces": (list, str),
    "machine": (str,),
    "systems": (list, str),
    "set": (dict,),
    "zip": (list, str),
    "where": (list, str),
    "random": (int,),
    "lhs": (int,),
    "seed": (int,),
    "window": (int,),
    "sample": (bool,),
    "sample_intervals": (int,),
    "sample_seed": (int,),
}


@dataclass(frozen=True)
class Axis:
    """A parameter (``table.key``) and its values, or the interval that they are drawn from."""

    key: str
    values: list[Any] | Interval

    @property
    def is_price(self) -> bool:
        """Whether other values need no other replay."""
        table, _, name = self.key.partition(".")
        return name in PRICE_KEYS.get(table, ())


@dataclass(frozen=True)
class Design:
    """Which points are tried: all of a grid, or ``count`` that are drawn."""

    kind: str = GRID
    count: int = 0
    seed: int = 1


@dataclass(frozen=True)
class Spec:
    """A sweep. ``zipped``: keys whose values go together, first with first; ``where``: conditions on points."""

    traces: tuple[str, ...]
    machine: str = "flash"
    systems: tuple[str, ...] = SYSTEMS
    axes: tuple[Axis, ...] = ()
    zipped: tuple[tuple[str, ...], ...] = ()
    where: tuple[str, ...] = ()
    design: Design = Design()
    window: int = WINDOW
    sample: Sample | None = None  # None = whole traces are replayed

    def to_tree(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)

    @property
    def fixed(self) -> dict[str, Any]:
        """Keys that have one value in the whole sweep."""
        return {one.key: one.values[0] for one in self.axes if not isinstance(one.values, Interval) if _is_fixed(one)}

    @property
    def dimensions(self) -> list[list[Axis]]:
        """Axes that vary, those that go together side by side, in order of their first."""
        together = {key: keys for keys in self.zipped for key in keys}
        by_key = {axis.key: axis for axis in self.axes if not _is_fixed(axis)}
        groups = dict.fromkeys(together.get(key, (key,)) for key in by_key)
        return [[by_key[key] for key in keys] for keys in groups]


def spec_of(tree: Mapping[str, Any]) -> Spec:
    """The sweep that these entries, named as in ``KINDS``, describe.

    Lists of names may be texts with commas. ``set``: values by ``table.key``, as in ``axes_of``. Raises ConfigError for
    what does not hold together.
    """
    for key, value in tree.items():
        _check_entry(key, value)
    if "random" in tree and "lhs" in tree:
        raise ConfigError("random and lhs: points are drawn in one way or the other")
    kind = RANDOM if "random" in tree else LHS if "lhs" in tree else GRID
    zipped = tree.get("zip", [])
    where = tree.get("where", [])
    spec = Spec(
        traces=tuple(_names(tree.get("traces", []))),
        machine=tree.get("machine", Spec.machine),
        systems=tuple(dict.fromkeys(_names(tree.get("systems", list(SYSTEMS))))),
        axes=tuple(axes_of(tree.get("set", {}))),
        zipped=tuple(tuple(_names(keys)) for keys in ([zipped] if isinstance(zipped, str) else zipped)),
        where=(where,) if isinstance(where, str) else tuple(where),
        design=Design(kind, tree.get(kind, 0), tree.get("seed", Design.seed)),
        window=tree.get("window", WINDOW),
        sample=_sample(tree),
    )
    _check(spec)
    return spec


def read_file(path: str) -> dict[str, Any]:
    """The entries of a sweep file (TOML). Traces in it are found from where the file is. Raises ConfigError."""
    try:
        tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "not UTF-8 text"
        raise ConfigError(f"sweep file {path!r} cannot be read: {reason}") from fault
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{path}: not valid TOML: {fault}") from fault
    try:
        for key, value in tree.items():
            _check_entry(key, value)
    except ConfigError as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    tree["set"] = dict(_flattened(tree.get("set", {})))
    if "traces" in tree:
        folder = os.path.dirname(path)
        traces = _names(tree["traces"])
        tree["traces"] = [trace if "://" in trace else os.path.join(folder, trace) for trace in traces]
    return tree


def axes_of(table: Mapping[str, Any]) -> list[Axis]:
    """Axes from values by key: ``{"tlb.entries": [16, 32], "l2.size_kib": "256:8192:x2"}``; tables may be nested.

    A text is values as in ``--set``; a list has values, and texts that stand for several. Raises ConfigError.
    """
    return [Axis(key, _values(key, value)) for key, value in _flattened(table)]


def parse_changes(changes: Iterable[str]) -> dict[str, str]:
    """Values by key from ``table.key=values``. Raises ConfigError."""
    found: dict[str, str] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        key = name.strip()
        if not equals or not text.strip():
            raise ConfigError(f"--set {change!r}: expected table.key=values, with values like {FORMS}")
        if key in found:
            raise ConfigError(f"{key} is given twice: give all its values at once, separated by commas")
        found[key] = text.strip()
    return found


def _check_entry(key: str, value: Any) -> None:
    if key not in KINDS:
        raise ConfigError(f"unknown entry {key}{_hint(key, KINDS)}")
    kinds = KINDS[key]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise ConfigError(f"{key} is {value!r}, expected {' or '.join(_KIND_NAMES[kind] for kind in kinds)}")


_KIND_NAMES: dict[type, str] = {
    list: "a list",
    str: "a text",
    dict: "a table",
    int: "a whole number",
    bool: "true or false",
}


def _sample(tree: Mapping[str, Any]) -> Sample | None:
    if not tree.get("sample"):
        for key in ("sample_intervals", "sample_seed"):
            if key in tree:
                raise ConfigError(f"{key} is for a sweep of samples: ask for one with sample")
        return None
    found = Sample(tree.get("sample_intervals", Sample.intervals), tree.get("sample_seed", Sample.seed))
    check_sample(found)
    return found


def _check(spec: Spec) -> None:
    if not spec.traces:
        raise ConfigError("no trace to replay: name one or several")
    if not spec.systems:
        raise ConfigError("no system to replay under")
    if not 1 <= spec.window <= MAX_WINDOW:
        raise ConfigError(f"window is {spec.window}, expected 1 to {MAX_WINDOW} instructions")
    if spec.design.seed < 0:
        raise ConfigError(f"seed is {spec.design.seed}, expected 0 or more")
    for together in spec.zipped:
        _check_zipped(spec, together)
    if spec.design.kind == GRID:
        for one in spec.axes:
            if isinstance(one.values, Interval):
                raise ConfigError(
                    f"{one.key} is an interval: give a step (low:high:step, low:high:xFACTOR), or draw from it with "
                    "--random N or --lhs N"
                )
    elif spec.design.count < 1:
        raise ConfigError(f"{spec.design.kind} is {spec.design.count}, expected at least 1 point")


def _check_zipped(spec: Spec, together: Sequence[str]) -> None:
    by_key = {one.key: one for one in spec.axes}
    counts = {}
    for key in together:
        if key not in by_key:
            raise ConfigError(f"zip {','.join(together)}: {key} has no values, give them with --set {key}=...")
        values = by_key[key].values
        counts[key] = 0 if isinstance(values, Interval) else len(values)
        if sum(key in others for others in spec.zipped) > 1 or list(together).count(key) > 1:
            raise ConfigError(f"zip: {key} is named twice")
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{key} has {count}" for key, count in counts.items())
        raise ConfigError(f"zip: what goes together needs as many values: {told}")


def _flattened(table: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            yield key, value


def _values(key: str, value: Any) -> list[Any] | Interval:
    _check_key(key)
    if isinstance(value, str):
        return values_of(key, value)
    if not isinstance(value, list | tuple):
        return [value]
    found = [values_of(key, one) if isinstance(one, str) else [one] for one in value]
    parts = [one for one in found if not isinstance(one, Interval)]
    if len(parts) < len(found):
        raise ConfigError(f"{key}: an interval to draw from stands alone, not in a list")
    return distinct(key, chain.from_iterable(parts))


def _check_key(key: str) -> None:
    """Raises ConfigError for what is no key of a machine file."""
    table, dot, name = key.partition(".")
    known = {one: [*STRUCTURAL_KEYS.get(one, ()), *PRICE_KEYS.get(one, ())] for one in TABLES}
    if not dot or table not in known:
        raise ConfigError(f"unknown key {key}{_hint(table, TABLES)}; keys are those of discotrace show-config")
    if name not in known[table]:
        raise ConfigError(f"unknown key {key}{_hint(key, [f'{table}.{one}' for one in known[table]])}")


def _names(given: Any) -> list[str]:
    parts = given.split(",") if isinstance(given, str) else given
    for part in parts:
        if not isinstance(part, str):
            raise ConfigError(f"{part!r} is no name")
    return [part.strip() for part in parts if part.strip()]


def _is_fixed(one: Axis) -> bool:
    return not isinstance(one.values, Interval) and len(one.values) == 1


def _hint(wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(wrong, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(names)}"
