"""Machines for tests: the flash preset with changes."""

from typing import Any

from discotrace.analysis.configuration import read_tables, split
from discotrace.replay.machine import Machine

Tables = dict[str, dict[str, Any]]


def tables(**changes: Any) -> Tables:
    """The structural tables of the flash preset; ``table__key=value`` changes one key."""
    structure, _ = split(read_tables("flash"))
    for name, value in changes.items():
        table, key = name.split("__")
        structure[table][key] = value
    return structure


def machine(**changes: Any) -> Machine:
    """The machine of these tables."""
    return Machine.from_tables(tables(**changes))
