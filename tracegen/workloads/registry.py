"""Which workload a name means: a file of the user's, one of the modules here, or a plug-in that is installed."""

import hashlib
import inspect
import os
import pkgutil
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from discotrace.tracegen import workloads
from discotrace.tracegen.errors import ConfigError, DiscotraceError
from discotrace.tracegen.user_code import Source, UserClasses, line_of
from discotrace.tracegen.workloads.workload import Workload

GROUP = "discotrace.workloads"
WORKLOADS = UserClasses("workload", "workloads", Workload)  # type: ignore[type-abstract]  # likewise
_DEFINES_WORKLOAD = re.compile(r"^class \w+\(Workload\):", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A workload's class and where it comes from; ``is_shipped`` = it comes with discotrace."""

    kind: type[Workload]
    source: Source
    is_shipped: bool = False

    @property
    def name(self) -> str:
        """What the workload is called: its module's or plug-in's name, or its file's without the suffix."""
        return self.source.name

    @property
    def source_sha256(self) -> str | None:
        """Digest of the file of a workload that does not come with discotrace."""
        return None if self.is_shipped else hashlib.sha256(Path(self.source.file).read_bytes()).hexdigest()

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Turns an exception of the block into a ConfigError that names the line of the user's file.

        What a workload of ours raises is a bug of ours, and keeps its traceback.
        """
        try:
            yield
        except (DiscotraceError, MemoryError):
            raise
        except Exception as fault:
            if self.is_shipped:
                raise
            raise self.source.raised(fault) from fault


def find_workload(name_or_path: str) -> Found:
    """The workload of this name, or in the file of this path.

    Raises ConfigError for an unknown name and for a file or a plug-in that does not give one workload.
    """
    name = name_or_path
    if name.endswith(".py") or os.sep in name or (os.altsep and os.altsep in name):
        kind, source = WORKLOADS.load(name)
        check_kind(kind, source)
        return Found(kind, source)
    if name in shipped_workloads():
        module = import_module(f"{workloads.__name__}.{name.replace('-', '_')}")
        source = Source(WORKLOADS.what, name, str(module.__file__))
        return Found(WORKLOADS.only_one(module, source), source, is_shipped=True)
    plugins = list(entry_points(group=GROUP, name=name))
    if not plugins:
        raise ConfigError(f"{name!r} is no workload{_hint(name)}, and files ending in .py")
    if len(plugins) > 1:
        raise ConfigError(f"workload {name}: several plug-ins have this name: {', '.join(p.value for p in plugins)}")
    return _load_plugin(plugins[0])


def shipped_workloads() -> list[str]:
    """Names of the workloads that come with discotrace, in alphabetical order: modules here that derive one.

    The modules are read, not imported: importing them all takes seconds.
    """
    found = []
    for folder in workloads.__path__:
        for module in pkgutil.iter_modules([folder]):
            text = (Path(folder) / f"{module.name}.py").read_text(encoding="utf-8")
            if _DEFINES_WORKLOAD.search(text):
                found.append(module.name.replace("_", "-"))
    return sorted(found)


def installed_workloads() -> list[str]:
    """Names of the workloads that other packages bring, in alphabetical order."""
    return sorted({plugin.name for plugin in entry_points(group=GROUP)} - set(shipped_workloads()))


def _load_plugin(plugin: EntryPoint) -> Found:
    try:
        kind = plugin.load()
    except (Exception, SystemExit) as fault:
        reason = " ".join(f"{type(fault).__name__}: {fault}".split())
        raise ConfigError(f"workload {plugin.name}: plug-in {plugin.value} cannot be loaded: {reason}") from fault
    if not (isinstance(kind, type) and issubclass(kind, Workload)):
        raise ConfigError(f"workload {plugin.name}: plug-in {plugin.value} is not a subclass of Workload")
    source = Source(WORKLOADS.what, plugin.name, inspect.getfile(kind))
    check_kind(kind, source)
    return Found(kind, source)


def _hint(wrong: str) -> str:
    names = [*shipped_workloads(), *installed_workloads()]
    close = get_close_matches(wrong, names, n=1)
    known = ", ".join(names)
    return f"; did you mean {close[0]}? Known: {known}" if close else f"; known: {known}"


def check_kind(kind: type[Workload], source: Source) -> None:
    """Raises ConfigError for a class that has no ``start``, or whose knobs would be none for want of the decorator."""
    if inspect.isabstract(kind):
        raise source.error(line_of(kind), f"{kind.__name__} has no method start")
    if inspect.get_annotations(kind) and "__dataclass_fields__" not in vars(kind):
        raise source.error(line_of(kind), f"{kind.__name__} has knobs: decorate it with @dataclass(frozen=True)")
