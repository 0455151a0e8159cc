"""Which policy a name means: a file of the user's, one of the modules here, or a plug-in that is installed."""

import inspect
import os
import pkgutil
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from discotrace.monitor import placement
from discotrace.monitor.placement.base import Policy
from discotrace.monitor.placement.checked import CheckedPolicy
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.user_code import Source, UserClasses

PolicyMaker = Callable[[Machine], Policy]

GROUP = "discotrace.policies"
POLICIES = UserClasses("policy", "policies", Policy)  # type: ignore[type-abstract]  # its subclasses are made, not it
NO_POLICIES = {"base", "checked", "registry"}  # the modules here that are none


def find_policy(name_or_path: str) -> PolicyMaker:
    """What makes the policy of this name, or of the file of this path, for a machine.

    What it makes checks the policy's answers. Raises ConfigError for an unknown name and for a file or a plug-in
    that does not give one policy; so does the maker, and the policy that it makes, for a fault inside.
    """
    kind, source = _find(name_or_path)
    return partial(CheckedPolicy, kind, source)


def shipped_policies() -> list[str]:
    """Names of the policies that come with discotrace, in alphabetical order."""
    modules = {module.name for module in pkgutil.iter_modules(placement.__path__)}
    return sorted(name.replace("_", "-") for name in modules - NO_POLICIES)


@cache
def is_shipped(policy: str) -> bool:
    """Whether a policy comes with discotrace."""
    return policy in shipped_policies()


def installed_policies() -> list[str]:
    """Names of the policies that other packages bring, in alphabetical order."""
    return sorted({plugin.name for plugin in entry_points(group=GROUP)})


def _find(name: str) -> tuple[type[Policy], Source]:
    if name.endswith(".py") or os.sep in name or (os.altsep and os.altsep in name):
        return POLICIES.load(name)
    if is_shipped(name):
        module = import_module(f"{placement.__name__}.{name.replace('-', '_')}")
        source = Source(POLICIES.what, name, str(module.__file__))
        return POLICIES.only_one(module, source), source
    plugins = list(entry_points(group=GROUP, name=name))
    if not plugins:
        raise ConfigError(f"placement.policy is {name!r}, which is no policy{_hint(name)}, and files ending in .py")
    if len(plugins) > 1:
        raise ConfigError(f"policy {name}: several plug-ins have this name: {', '.join(p.value for p in plugins)}")
    return _load_plugin(plugins[0])


def _load_plugin(plugin: EntryPoint) -> tuple[type[Policy], Source]:
    try:
        kind = plugin.load()
    except (Exception, SystemExit) as fault:
        reason = " ".join(f"{type(fault).__name__}: {fault}".split())
        raise ConfigError(f"policy {plugin.name}: plug-in {plugin.value} cannot be loaded: {reason}") from fault
    if not (isinstance(kind, type) and issubclass(kind, Policy)):
        raise ConfigError(f"policy {plugin.name}: plug-in {plugin.value} is not a subclass of Policy")
    return kind, Source(POLICIES.what, plugin.name, inspect.getfile(kind))


def _hint(wrong: str) -> str:
    names = [*shipped_policies(), *installed_policies()]
    close = get_close_matches(wrong, names, n=1)
    known = ", ".join(names)
    return f"; did you mean {close[0]}? Known: {known}" if close else f"; known: {known}"
