"""Names of columns as people say them: without a unit, or a part of the name that only one column has."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

import polars as pl

from discotrace.analysis.sweep.sampled_figures import HALF_WIDTH
from discotrace.tracegen.errors import ConfigError

_UNIT = re.compile(r"_(ms|ns|us|kib|mib|mhz|percent|ratio|per_second|per_kilo_instruction|instructions|cycles|bytes)$")


def column_named(text: str, columns: Iterable[str]) -> str:
    """The column that is meant: the one of that name; else of that name without its unit; else with these words in it.

    ``time`` is time_ms, ``entries`` is tlb.entries. Raises ConfigError for what no column or several can be.
    """
    known = list(columns)
    if text in known:
        return text
    known = [name for name in known if not name.endswith(HALF_WIDTH)]  # meant by their whole names alone
    for found in (
        [name for name in known if without_unit(name) == text],
        [name for name in known if _has_words(name, text)],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"{text} may be {', '.join(found[:-1])} or {found[-1]}: give the whole name")
    raise ConfigError(f"there is no column {text}{_hint(text, known)}")


def number_named(text: str, schema: pl.Schema) -> str:
    """Likewise a column of numbers."""
    name = column_named(text, schema.names())
    if not schema[name].is_numeric():
        raise ConfigError(f"{name} is no number")
    return name


def columns_named(text: str | Iterable[str], columns: Iterable[str]) -> list[str]:
    """Several, separated by commas or in a list."""
    known = list(columns)
    return list(dict.fromkeys(column_named(part, known) for part in parts_of(text)))


def parts_of(text: str | Iterable[str]) -> list[str]:
    """What is separated by commas."""
    parts = text.split(",") if isinstance(text, str) else text
    return [part.strip() for part in parts if part.strip()]


def without_unit(name: str) -> str:
    """``time`` of time_ms, ``l2.size`` of l2.size_kib."""
    return _UNIT.sub("", name)


def _has_words(name: str, text: str) -> bool:
    return bool(text) and re.search(rf"(^|[._]){re.escape(text)}([._]|$)", name) is not None


def _hint(text: str, known: list[str]) -> str:
    close = get_close_matches(text, [*known, *map(without_unit, known)], n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return "; columns are trace, system, keys that vary, and figures like time, slowdown, kernel_percent"
