"""Where a policy went wrong, in one line: its name, its file, the line in it."""

import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from discotrace.tracegen.errors import ConfigError


@dataclass(frozen=True)
class Source:
    """A policy by its name, and the file that its code is in."""

    name: str
    file: str

    def error(self, line: int, what: str) -> ConfigError:
        """The error that says what is wrong in a line of the file."""
        return ConfigError(f"policy {self.name}: {self.file}:{line}: {' '.join(what.split())}")

    def raised(self, fault: BaseException, otherwise: int) -> ConfigError:
        """The error for an exception that the file's code raised, at line ``otherwise`` if none of its lines did."""
        if isinstance(fault, SyntaxError) and fault.filename == self.file:
            return self.error(fault.lineno or otherwise, f"not valid Python: {fault.msg}")
        lines = [frame.lineno for frame in traceback.extract_tb(fault.__traceback__) if frame.filename == self.file]
        return self.error(lines[-1] if lines and lines[-1] else otherwise, f"{type(fault).__name__}: {fault}")


def line_of(thing: type | Callable[..., Any]) -> int:
    """The line where a class or a function begins, 1 where Python does not know."""
    try:
        return max(inspect.getsourcelines(thing)[1], 1)
    except (OSError, TypeError):
        return 1
