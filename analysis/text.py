"""Small text forms: TOML of plain tables, and numbers as people read them."""

from collections.abc import Mapping
from typing import Any


def toml_of(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML of tables of numbers, truth values, plain strings and lists of numbers."""
    blocks = []
    for name, values in tables.items():
        lines = [f"[{name}]", *(f"{key} = {_toml_value(value)}" for key, value in values.items())]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)


def figure(value: float) -> str:
    """A number with about three significant digits, never in exponent form above a thousandth."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
