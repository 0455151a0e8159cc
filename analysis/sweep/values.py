"""The values that one parameter takes in a sweep: lists, ranges, intervals to draw from."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discotrace.analysis.configuration import parse_value
from discotrace.tracegen.errors import ConfigError

MOST_VALUES = 1_000_000
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER}):({_NUMBER})(?::(x?)({_NUMBER})|:(log))?")
_TOLERANCE = 1e-9  # share of a step by which rounding may miss the end of a range
FORMS = "16,32,64 or 300:1800:100 (steps of 100) or 256:8192:x2 (doubled) or, to draw from, 300:1800 and 300:1800:log"


@dataclass(frozen=True)
class Interval:
    """Any number from ``low`` to ``high``, evenly or, if ``log``, evenly on a logarithmic scale.

    ``whole``: both ends were whole numbers, so that a key that takes whole numbers gets them.
    """

    low: float
    high: float
    log: bool
    whole: bool

    def at(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers at shares, from 0 to 1, of the way."""
        if self.log:
            ratio: NDArray[np.float64] = self.low * (self.high / self.low) ** share
            return ratio
        return self.low + share * (self.high - self.low)


def values_of(key: str, text: str) -> list[Any] | Interval:
    """The values that a text stands for, each once, in its order. Raises ConfigError, naming the key."""
    items = _split(text)
    found = [_item(key, item) for item in items]
    if len(found) == 1 and isinstance(found[0], Interval):
        return found[0]
    if any(isinstance(one, Interval) for one in found):
        raise ConfigError(f"{key}={text}: an interval to draw from stands alone; expected {FORMS}")
    return distinct(key, [value for one in found if not isinstance(one, Interval) for value in one])


def distinct(key: str, values: Iterable[Any]) -> list[Any]:
    """The values without repetition. Raises ConfigError where there is none, or far too many."""
    kept = list({repr(value): value for value in values}.values())
    if not kept:
        raise ConfigError(f"{key}: no value; expected {FORMS}")
    if len(kept) > MOST_VALUES:
        raise ConfigError(f"{key}: {len(kept):,} values, at most {MOST_VALUES:,} are possible")
    return kept


def _item(key: str, text: str) -> Sequence[Any] | Interval:
    parts = _RANGE.fullmatch(text)
    if parts is None:
        return [parse_value(text)]
    low, high = _number(parts[1]), _number(parts[2])
    if not low <= high:
        raise ConfigError(f"{key}={text}: {parts[1]} is more than {parts[2]}")
    if parts[5] or not parts[4]:
        return _interval(key, text, low, high)
    step = _number(parts[4])
    count = _geometric_count(low, high, step) if parts[3] else _linear_count(low, high, step)
    if count is None:
        needed = "a factor above 1 and a start above 0" if parts[3] else "a step above 0"
        raise ConfigError(f"{key}={text}: expected {needed}")
    if count > MOST_VALUES:
        raise ConfigError(f"{key}={text}: {count:,} values, at most {MOST_VALUES:,} are possible")
    return [_tidy(low * step**n if parts[3] else low + n * step, (low, step)) for n in range(count)]


def _interval(key: str, text: str, low: float, high: float) -> Interval:
    log = text.endswith("log")
    if low == high or (log and low <= 0):
        raise ConfigError(f"{key}={text}: expected two different numbers{', above 0 for log' if log else ''}")
    return Interval(low, high, log, isinstance(low, int) and isinstance(high, int))


def _linear_count(low: float, high: float, step: float) -> int | None:
    return math.floor((high - low) / step + _TOLERANCE) + 1 if step > 0 else None


def _geometric_count(low: float, high: float, factor: float) -> int | None:
    if factor <= 1 or low <= 0:
        return None
    return math.floor(math.log(high / low) / math.log(factor) + _TOLERANCE) + 1


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _tidy(value: float, given: tuple[float, float]) -> int | float:
    """A whole number where all that was given is whole and the result is; other numbers without rounding noise."""
    if all(isinstance(one, int) for one in given):
        return int(value)
    return float(f"{value:.12g}")


def _split(text: str) -> list[str]:
    """The parts between commas that stand in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[]":
            depth += 1 if letter == "[" else -1
        elif letter == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
