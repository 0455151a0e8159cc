"""A policy in a file of the user's."""

import sys
from pathlib import Path
from types import ModuleType

from discotrace.monitor.placement.base import Policy
from discotrace.monitor.placement.faults import Source, line_of
from discotrace.tracegen.errors import ConfigError


def load_policy(path: str) -> tuple[type[Policy], Source]:
    """The one policy that a Python file defines.

    Raises ConfigError, naming the file, when it cannot be read, does not run, or defines none or several.
    """
    try:
        text = Path(path).read_bytes()
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise ConfigError(f"policy file {path!r} cannot be read: {reason}") from fault
    source = Source(Path(path).stem, path)
    try:
        module = _run(path, text)
    except (Exception, SystemExit) as fault:
        raise source.raised(fault, 1) from fault
    return only_policy(module, source), source


def only_policy(module: ModuleType, source: Source) -> type[Policy]:
    """The one subclass of Policy that a module defines itself. Raises ConfigError if there is none or another."""
    found = {
        kind: line_of(kind)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Policy) and kind.__module__ == module.__name__
    }
    if not found:
        raise source.error(1, "defines no policy, that is, no subclass of discotrace.monitor.placement.base.Policy")
    if len(found) > 1:
        names = ", ".join(kind.__name__ for kind in found)
        raise source.error(list(found.values())[1], f"defines {len(found)} policies ({names}), expected one")
    return next(iter(found))


def _run(path: str, text: bytes) -> ModuleType:
    """The module that the file makes.

    Not imported: the cache of compiled files takes an edit within a second that keeps the length for no edit.
    """
    module = ModuleType(f"policy of {path}")  # nothing else has such a name
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and inspect look there for a class's module
    exec(compile(text, path, "exec", dont_inherit=True), vars(module))
    return module
