"""Configurations: a preset or a TOML file, changed by ``--set``, taken apart into machine and prices."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

from discotrace.analysis.fit_file import with_fitted
from discotrace.analysis.prices import Prices
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError

Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Configuration:
    """A machine, the system software's structure, and what everything costs."""

    machine: Machine
    prices: Prices

    def to_tables(self) -> Tables:
        """Nested tables that give this configuration again."""
        tables: Tables = {name: dict(table) for name, table in self.machine.to_tables().items()}
        for name, table in self.prices.to_tables().items():
            tables.setdefault(name, {}).update(table)
        return tables


def preset_names() -> list[str]:
    """The machines that come with discotrace."""
    files = resources.files("discotrace.analysis.machines").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load(machine: str, changes: Iterable[str] = ()) -> Configuration:
    """The configuration of a preset's name or a TOML file's path, with ``table.key=value`` changes.

    Raises ConfigError for a name that is neither, a file that is no TOML, an unknown key, a value that does not fit.
    """
    tables = read_tables(machine)
    for change in changes:
        _apply(tables, change)
    return from_tables(with_fitted(tables))


def from_tables(tables: Mapping[str, Mapping[str, Any]]) -> Configuration:
    """A configuration from nested tables. Raises ConfigError."""
    structure, prices = split(tables)
    return Configuration(Machine.from_tables(structure), Prices.from_tables(prices))


def split(tables: Mapping[str, Mapping[str, Any]]) -> tuple[Tables, Tables]:
    """Nested tables as (structural, prices). Raises ConfigError for a key that is neither."""
    structure: Tables = {}
    prices: Tables = {}
    for table, values in tables.items():
        if table not in TABLES:
            raise ConfigError(f"configuration: unknown table [{table}]{_hint(table, TABLES)}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"configuration: {table} is {values!r}, expected a table [{table}]")
        for key, value in values.items():
            if key in STRUCTURAL_KEYS.get(table, ()):
                structure.setdefault(table, {})[key] = value
            elif key in PRICE_KEYS.get(table, ()):
                prices.setdefault(table, {})[key] = value
            else:
                known = [*STRUCTURAL_KEYS.get(table, ()), *PRICE_KEYS.get(table, ())]
                raise ConfigError(f"configuration: unknown key {table}.{key}{_hint(key, known)}")
    return structure, prices


def read_text(machine: str) -> str:
    """The text of a preset or a TOML file. Raises ConfigError."""
    if machine in preset_names():
        return (resources.files("discotrace.analysis.machines") / f"{machine}.toml").read_text(encoding="utf-8")
    return _read_file(machine)


def read_tables(machine: str) -> Tables:
    """The tables of a preset or a TOML file, fitted prices not filled in. Raises ConfigError."""
    try:
        return tomllib.loads(read_text(machine))
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"{machine}: not valid TOML: {fault}") from fault


def _read_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"machine {path!r} is neither a preset ({', '.join(preset_names())}) nor a readable TOML file: {reason}"
        ) from fault


def _apply(tables: Tables, change: str) -> None:
    name, equals, text = change.partition("=")
    table, dot, key = name.strip().partition(".")
    if not (equals and dot and table and key):
        raise ConfigError(f"--set {change!r}: expected table.key=value, for example tlb.entries=128")
    known = [*STRUCTURAL_KEYS.get(table, ()), *PRICE_KEYS.get(table, ())]
    if not known:
        raise ConfigError(f"--set {change!r}: unknown table {table}{_hint(table, TABLES)}")
    if key not in known:
        raise ConfigError(f"--set {change!r}: unknown key {table}.{key}{_hint(key, known)}")
    values = tables.setdefault(table, {})
    if isinstance(values, dict):  # else the file has a value where a table belongs, which ``split`` says
        values[key] = parse_value(text.strip())


def parse_value(text: str) -> Any:
    """A TOML value, or where the text is none, the text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string, so that --set placement.native=first-touch needs no quotes


def _hint(wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    close = get_close_matches(wrong, names, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(names)}"


def _keys(kind: Any) -> dict[str, list[str]]:
    tables: list[tuple[str, Any]] = [(table.name, table.type) for table in fields(kind)]
    return {name: [f.name for f in fields(table)] for name, table in tables}


STRUCTURAL_KEYS = _keys(Machine)
PRICE_KEYS = _keys(Prices)
TABLES = list(dict.fromkeys([*STRUCTURAL_KEYS, *PRICE_KEYS]))


def repriced(tables: Tables, prices_file: str | None, changes: Iterable[str]) -> Tables:
    """The tables of a finished replay with other prices, from a TOML file and from ``table.key=value`` changes.

    Raises ConfigError when one of them is not a price: the counts were made for one structure.
    """
    wanted: Tables = read_tables(prices_file) if prices_file else {}
    for change in changes:
        _apply(wanted, change)
    structure, prices = split(with_fitted(wanted))
    for table, values in structure.items():
        for key, value in values.items():
            if value != tables[table][key]:
                raise ConfigError(
                    f"{table}.{key} is structural: it needs another replay, with --set {table}.{key}={value}"
                )
    result = {name: dict(values) for name, values in tables.items()}
    for table, values in prices.items():
        result[table].update(values)
    from_tables(result)
    return result
