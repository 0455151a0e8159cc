"""Published results of the Disco paper, by role. What may be fitted is readable here; what must be predicted is not.

``disco-sosp97.toml`` has every number with its role. This module gives the tables whose role is "calibrate" and drops
all others when it reads the file, so that fitting code cannot see a value that the model has to come out at by itself.
"""

import tomllib
from functools import cache
from importlib import resources
from typing import Any

CALIBRATE = "calibrate"


@cache
def calibration() -> dict[str, Any]:
    """The tables of the file whose role is "calibrate", nested as in the file, without the others."""
    text = (resources.files("discotrace.analysis") / "disco-sosp97.toml").read_text(encoding="utf-8")
    return _only_calibrated(tomllib.loads(text))


def service_times_us() -> dict[str, float]:
    """Mean time per invocation of pmake's services under IRIX, in us (table 2)."""
    return {name: service["irix_us"] for name, service in calibration()["table2"].items()}


def _only_calibrated(table: dict[str, Any]) -> dict[str, Any]:
    """A table without its sub-tables of another role. Inline tables without a role belong to the table around them."""
    mine = table.get("role") == CALIBRATE
    kept: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(value, dict):
            if mine and key != "role":
                kept[key] = value
        elif "role" in value or not mine:
            below = _only_calibrated(value)
            if below:
                kept[key] = below
        else:
            kept[key] = value
    return kept
