"""Fitted prices: ``fitted.toml``, which says of each what it was fitted to and what is left of the error.

A machine file takes a price from there by giving the word "fitted" instead of a number.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.errors import ConfigError

FILE_NAME = "fitted.toml"
FITTED = "fitted"  # in a machine file, instead of a price
REMEDY = "give numbers in the machine file, then fit them: discotrace calibrate prices"

Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Residual:
    """One published figure that a step was fitted to, and ours; both in ``unit``."""

    name: str
    unit: str
    published: float
    ours: float


@dataclass(frozen=True)
class FittedStep:
    """Prices (by ``table.key``) that were fitted together. ``error``: root of the weighted mean squared residual.

    ``at_limit``: those that would be lower or higher if they could.
    """

    name: str
    fitted_to: str
    prices: dict[str, float]
    at_limit: list[str]
    error: float
    residuals: list[Residual]


@dataclass(frozen=True)
class Fitted:
    """All that was fitted. ``command`` and ``version`` make it again; ``traces``: SHA-256 of their footers by name."""

    command: str
    version: str
    traces: dict[str, str]
    steps: list[FittedStep]

    @property
    def prices(self) -> dict[str, float]:
        """All prices by ``table.key``."""
        return {key: value for step in self.steps for key, value in step.prices.items()}


def default_path() -> Path:
    """The file that machine files take their fitted prices from."""
    return Path(str(resources.files("discotrace.analysis") / FILE_NAME))


def write_fitted(path: str | os.PathLike[str], fitted: Fitted) -> None:
    """Write the file, whole or not at all. Raises OutputError."""
    lines = [
        '# Written by discotrace calibrate prices. A machine file that says "fitted" takes the price from here.',
        f"command = {json.dumps(fitted.command)}",
        f"version = {json.dumps(fitted.version)}",
        "",
        "[traces]  # SHA-256 of the footer",
        *(f"{json.dumps(name)} = {json.dumps(digest)}" for name, digest in fitted.traces.items()),
    ]
    for step in fitted.steps:
        lines += ["", *_step_lines(step)]
    with atomic_path(path) as temporary, output_errors(path):
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _step_lines(step: FittedStep) -> list[str]:
    lines = [f"[steps.{step.name}]", f"fitted_to = {json.dumps(step.fitted_to)}", f"error = {_short(step.error)}"]
    lines += [f"at_limit = {json.dumps(step.at_limit)}"]
    lines += ["", f"[steps.{step.name}.prices]"]
    lines += [f"{json.dumps(key)} = {_short(value)}" for key, value in step.prices.items()]
    lines += ["", f"[steps.{step.name}.residuals]"]
    for one in step.residuals:
        left = _short(one.ours - one.published)
        lines.append(
            f"{json.dumps(one.name)} = {{ published = {_short(one.published)}, ours = {_short(one.ours)}, "
            f"residual = {left}, unit = {json.dumps(one.unit)} }}"
        )
    return lines


def _short(value: float) -> str:
    return repr(rounded(value))


def rounded(value: float) -> float:
    """A value with the four significant digits that the file keeps."""
    return float(f"{value:.4g}")


def read_prices(path: Path) -> dict[str, float]:
    """The prices of a file by ``table.key``. Raises ConfigError for a file that is none."""
    try:
        steps = tomllib.loads(path.read_text(encoding="utf-8"))["steps"]
        return {key: float(value) for step in steps.values() for key, value in step["prices"].items()}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError(f"{path}: cannot be read: {fault}; {REMEDY}") from fault
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise ConfigError(f"{path}: is not a file of fitted prices; {REMEDY}") from fault


@cache
def _shipped_prices() -> dict[str, float]:
    return read_prices(default_path())


def with_fitted(tables: Mapping[str, Mapping[str, Any]]) -> Tables:
    """The tables of a machine file with every "fitted" replaced by the price. Raises ConfigError, naming the key."""
    return {
        table: {key: _price(f"{table}.{key}") if value == FITTED else value for key, value in values.items()}
        if isinstance(values, Mapping)
        else values
        for table, values in tables.items()
    }


def _price(key: str) -> float:
    if key not in _shipped_prices():
        raise ConfigError(f'configuration: {key} is "{FITTED}", but {FILE_NAME} has no such price; {REMEDY}')
    return _shipped_prices()[key]
