"""Python files of the user's that bring one class of a kind, a workload or a policy.

Where one goes wrong, the error is one line: what it is, its name, its file, the line in it.
"""

import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from discotrace.tracegen.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Source:
    """A class of the user's: what it is (a policy, a workload), its name, and the file that its code is in."""

    what: str
    name: str
    file: str

    def error(self, line: int, fault: str) -> ConfigError:
        """The error that says what is wrong in a line of the file."""
        return ConfigError(f"{self.what} {self.name}: {self.file}:{line}: {' '.join(fault.split())}")

    def raised(self, fault: BaseException, otherwise: int = 1) -> ConfigError:
        """The error for an exception, at the last line of the file that it came through, else at ``otherwise``."""
        if isinstance(fault, SyntaxError) and fault.filename == self.file:
            return self.error(fault.lineno or otherwise, f"not valid Python: {fault.msg}")
        lines = [frame.lineno for frame in traceback.extract_tb(fault.__traceback__) if frame.filename == self.file]
        return self.error(lines[-1] if lines and lines[-1] else otherwise, f"{type(fault).__name__}: {fault}")


@dataclass(frozen=True)
class UserClasses(Generic[T]):
    """One kind of class that users may bring: in words, and its base class."""

    what: str
    several: str
    base: type[T]

    def load(self, path: str) -> tuple[type[T], Source]:
        """The one class of this kind that a Python file defines.

        Raises ConfigError, naming the file, when it cannot be read, does not run, or defines none or several.
        """
        try:
            text = Path(path).read_bytes()
        except (OSError, ValueError) as fault:
            reason = fault.strerror if isinstance(fault, OSError) else fault
            raise ConfigError(f"{self.what} file {path!r} cannot be read: {reason}") from fault
        source = Source(self.what, Path(path).stem, path)
        try:
            module = _run(f"{self.what} of {path}", path, text)
        except (Exception, SystemExit) as fault:
            raise source.raised(fault) from fault
        return self.only_one(module, source), source

    def only_one(self, module: ModuleType, source: Source) -> type[T]:
        """The one class of this kind that a module defines itself. Raises ConfigError if there is none or another."""
        found = [
            kind
            for kind in dict.fromkeys(kind for kind in vars(module).values() if isinstance(kind, type))
            if issubclass(kind, self.base) and kind.__module__ == module.__name__
        ]
        if not found:
            base = f"{self.base.__module__}.{self.base.__name__}"
            raise source.error(1, f"defines no {self.what}, that is, no subclass of {base}")
        if len(found) > 1:
            names = ", ".join(kind.__name__ for kind in found)
            raise source.error(line_of(found[1]), f"defines {len(found)} {self.several} ({names}), expected one")
        return found[0]


def line_of(thing: type | Callable[..., Any]) -> int:
    """The line where a class or a function begins, 1 where Python does not know."""
    try:
        return max(inspect.getsourcelines(thing)[1], 1)
    except (OSError, TypeError):
        return 1


def _run(name: str, path: str, text: bytes) -> ModuleType:
    """The module that a file makes; nothing else has such a name.

    Not imported: the cache of compiled files takes an edit within a second that keeps the length for no edit.
    """
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and inspect look there for a class's module
    exec(compile(text, path, "exec", dont_inherit=True), vars(module))
    return module
