"""The knobs that a calibration found: ``calibrated.toml`` beside the workload's module or file, a table for each.

``discotrace calibrate`` writes them, ``discotrace generate`` takes them as defaults.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from discotrace.tracegen.atomic import atomic_path
from discotrace.tracegen.errors import ConfigError, OutputError
from discotrace.tracegen.workloads.knobs import Value, checked_knobs
from discotrace.tracegen.workloads.registry import Found

FILE_NAME = "calibrated.toml"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = "# Written by discotrace calibrate; discotrace generate takes the knobs as defaults.\n"


@dataclass(frozen=True)
class Calibration:
    """Knobs, and the measures that they reach. ``command`` and ``version`` make it again."""

    command: str
    version: str
    knobs: dict[str, Value]
    targets: dict[str, float]
    reached: dict[str, float]


def calibration_file(found: Found) -> Path:
    """Where the calibration of a workload is, or would be."""
    return Path(found.source.file).absolute().parent / FILE_NAME


def calibrated_knobs(found: Found) -> dict[str, Value]:
    """The knobs of a workload's calibration, none without one. Raises ConfigError for a file that does not fit."""
    path = calibration_file(found)
    table = _read(path).get(found.name, {})
    knobs = table.get("knobs", {}) if isinstance(table, dict) else None
    if not isinstance(knobs, dict):
        raise ConfigError(f"{path}: [{found.name}] has no table of knobs")
    return checked_knobs(found.kind, knobs, f"{path}: [{found.name}]")


def check_free(found: Found, may_replace: bool) -> None:
    """Raises OutputError if the calibration could not be written in the end, or would replace one unasked."""
    path = calibration_file(found)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OutputError(f"cannot write {path}: permission denied")
    if found.name in _read(path) and not may_replace:
        raise OutputError(f"{path} has a calibration of {found.name} already: replace it with --force")


def write_calibration(found: Found, calibration: Calibration) -> Path:
    """Write a workload's calibration, beside those of others in the file. Returns the file's path."""
    path = calibration_file(found)
    tables = _read(path) | {found.name: asdict(calibration)}
    text = _HEADER + "".join(_table(name, tables[name]) for name in sorted(tables))
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError(f"{path}: cannot be read: {fault}") from fault


def _table(name: str, table: Mapping[str, Any]) -> str:
    """A table of texts and of flat tables as TOML, whose strings, numbers and truth values JSON writes alike."""
    title = name if _BARE_KEY.fullmatch(name) else json.dumps(name)
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    parts = [(title, plain)]
    parts += [(f"{title}.{key}", value) for key, value in table.items() if isinstance(value, dict)]
    return "".join(
        f"\n[{heading}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        for heading, values in parts
    )
