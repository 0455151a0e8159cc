"""The one way kernels are compiled here.

``kernel`` compiles a building block, to be called from other kernels. ``entry`` compiles a function that Python
calls: it releases the interpreter lock and is cached on disk, so that only the first replay on a machine compiles.
Numba's own cache looks at the file of the entry alone and would miss a change in a building block; the cache folder
is therefore named after a hash of all kernel sources.
"""

import hashlib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np

from discotrace.tracegen.compiled import PART_OPTIONS, kept_in, kernel_folder, source_digest

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")

KERNEL_PACKAGES = ("discotrace.replay.kernels", "discotrace.monitor.kernels")


BLOCK_OPTIONS: Any = {"nogil": True, **PART_OPTIONS}  # numba's stubs do not know all of them
ENTRY_OPTIONS: Any = {"nogil": True, "error_model": "numpy", "_nrt": False}


def kernel(function: F) -> F:
    """A building block: compiled when an entry that uses it is."""
    compiled: F = numba.njit(**BLOCK_OPTIONS)(function)
    return compiled


def inlined(function: F) -> F:
    """A building block that is always compiled into its caller: where LLVM would not, and a call costs too much."""
    compiled: F = numba.njit(forceinline=True, **BLOCK_OPTIONS)(function)
    return compiled


def entry(function: Callable[P, R]) -> Callable[P, R]:
    """A kernel that Python calls. Cached in ``NUMBA_CACHE_DIR`` if set, else in the user's cache folder."""
    return kept_in(cache_folder(), function, ENTRY_OPTIONS)


_BOUND: dict[tuple[Any, ...], Any] = {}


def bound(compiled: F, *arguments: Any) -> F:
    """What an entry compiled for arguments of these types, to be called with no others.

    An entry looks at the types of all its arguments in every call, which takes 8 us for the state of a replay; and a
    replay calls its entry again after each page that it maps. To find the types the first time takes milliseconds,
    which is much for replays of short pieces of a trace.
    """
    of_types = (compiled, *(_kind_of(argument) for argument in arguments))
    if of_types not in _BOUND:
        # numba.typeof has no types of its own, hence the exception for mypy.
        types = tuple(numba.typeof(argument) for argument in arguments)  # type: ignore[no-untyped-call]
        dispatcher: Any = compiled
        _BOUND[of_types] = dispatcher.compile(types)
    chosen: F = _BOUND[of_types]
    return chosen


def _kind_of(argument: Any) -> Any:
    """What tells apart arguments that numba compiles differently: arrays, numbers, and tuples of them."""
    if isinstance(argument, tuple):
        return type(argument), *map(_kind_of, argument)
    if isinstance(argument, np.ndarray):
        return argument.dtype, argument.ndim, argument.flags.num
    return type(argument)


def cache_folder() -> Path:
    """Where compiled entries of exactly these sources are kept."""
    digest = hashlib.sha256(source_digest(kept_in.__module__).encode())
    for package in KERNEL_PACKAGES:
        for source in sorted(resources.files(package).iterdir(), key=lambda path: path.name):
            if source.name.endswith(".py"):
                digest.update(source.read_bytes())
    return kernel_folder(digest.hexdigest())


def compiled_before(loop: str = "replay_rows") -> bool:
    """Whether a pass with this loop on this machine has left it compiled, so that the next one need not wait."""
    return any(cache_folder().rglob(f"*.{loop}-*.nbc"))
