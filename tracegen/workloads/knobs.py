"""The knobs of a workload: what they are, and their values from text."""

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, get_type_hints

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.workloads.workload import Workload

Value = int | float | bool | str
COMMON = tuple(field.name for field in fields(Workload))  # each has an option of its own
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Knob:
    """A field of a workload. ``about`` is empty if the workload says nothing; ``default`` is None if it is computed."""

    name: str
    type: type
    default: Value | None
    about: str


def knobs_of(kind: type[Workload]) -> dict[str, Knob]:
    """The workload's own knobs by name, in its order; not those that all have."""
    types, about = get_type_hints(kind), _explanations(kind)
    return {
        field.name: Knob(field.name, types[field.name], getattr(kind, field.name, None), about.get(field.name, ""))
        for field in fields(kind)
        if field.name not in COMMON
    }


def parse_knobs(kind: type[Workload], given: Iterable[str]) -> dict[str, Value]:
    """Values of ``name=value`` texts. Raises ConfigError for a knob that is not there and a value of another type."""
    known = knobs_of(kind)
    values = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"--knob {text!r}: expected name=value")
        values[name] = _parsed(_known(known, name, f"--knob {text!r}"), value.strip())
    return values


def checked_knobs(kind: type[Workload], values: Mapping[str, Any], where: str) -> dict[str, Value]:
    """Values from a file, checked likewise; errors begin with ``where``."""
    known = knobs_of(kind)
    return {name: _parsed(_known(known, name, where), str(value)) for name, value in values.items()}


def make(kind: type[Workload], values: Mapping[str, Any]) -> Workload:
    """A workload with these values, the others as they are by default. Raises ConfigError for impossible ones."""
    if values.get("cpus", 0) < 0:
        raise ConfigError(f"--cpus is {values['cpus']}, expected at least 1")
    if values.get("instances", 0) < 0:
        raise ConfigError(f"--instances is {values['instances']}, expected at least 1")
    if not 0 < values.get("scale", 1) < float("inf"):
        raise ConfigError(f"--scale is {values['scale']}, expected a number above 0")
    if values.get("seed", 0) < 0:
        raise ConfigError(f"--seed is {values['seed']}, expected 0 or more")
    return kind(**values)


def _known(known: Mapping[str, Knob], name: str, where: str) -> Knob:
    if name in known:
        return known[name]
    if name in COMMON:
        raise ConfigError(f"{where}: {name} is no knob but an option: --{name}")
    close = get_close_matches(name, known, n=1)
    names = ", ".join(known) or "none"
    hint = f"did you mean {close[0]}? Known: {names}" if close else f"known: {names}"
    raise ConfigError(f"{where}: there is no knob {name}; {hint}")


def _parsed(knob: Knob, text: str) -> Value:
    try:
        if knob.type is bool:
            return _TRUTH[text.lower()]
        if knob.type in (int, float, str):
            value: Value = knob.type(text)
            return value
    except (KeyError, ValueError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[knob.type]
        raise ConfigError(f"knob {knob.name} is {text!r}, expected {expected}") from None
    raise ConfigError(f"knob {knob.name} cannot be given as text: it is no number, string or truth value")


def _explanations(kind: type[Workload]) -> dict[str, str]:
    """What the source says of each field: the docstring under it, else the comments at the end of its lines."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if issubclass(base, Workload):
            found |= _explained_in(base)
    return found


def _explained_in(kind: type[Workload]) -> dict[str, str]:
    try:
        text = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):
        return {}
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.ClassDef)
    comments = _comments(text)
    found = {}
    for node, after in zip(definition.body, [*definition.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            found[node.target.id] = " ".join(after.value.value.split())
        else:
            assert node.end_lineno is not None
            beside = [comments[line] for line in range(node.lineno, node.end_lineno + 1) if line in comments]
            found[node.target.id] = " ".join(beside)
    return found


def _comments(text: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
