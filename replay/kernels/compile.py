"""The one way kernels are compiled here.

``kernel`` compiles a building block, to be called from other kernels. ``entry`` compiles a function that Python
calls: it releases the interpreter lock and is cached on disk, so that only the first replay on a machine compiles.
Numba's own cache looks at the file of the entry alone and would miss a change in a building block; the cache folder
is therefore named after a hash of all kernel sources.
"""

import hashlib
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numba
import platformdirs

F = TypeVar("F", bound=Callable[..., Any])

KERNEL_PACKAGES = ("discotrace.replay.kernels", "discotrace.monitor.kernels")


# What is compiled here never allocates, so it needs no reference counts; and only entries are called from Python.
BLOCK_OPTIONS = {
    "nogil": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "_nrt": False,
}


def kernel(function: F) -> F:
    """A building block: compiled when an entry that uses it is."""
    compiled: F = numba.njit(**BLOCK_OPTIONS)(function)
    return compiled


def inlined(function: F) -> F:
    """A building block on the path of every reference: compiled into its caller, not called."""
    compiled: F = numba.njit(inline="always", **BLOCK_OPTIONS)(function)
    return compiled


def entry(function: F) -> F:
    """A kernel that Python calls. Cached in ``NUMBA_CACHE_DIR`` if set, else in the user's cache folder."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder())
    try:
        compiled: F = numba.njit(nogil=True, error_model="numpy", cache=True, _nrt=False)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled


def cache_folder() -> Path:
    """Where compiled entries of exactly these sources are kept."""
    digest = hashlib.sha256()
    for package in KERNEL_PACKAGES:
        for source in sorted(resources.files(package).iterdir(), key=lambda path: path.name):
            if source.name.endswith(".py"):
                digest.update(source.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_path("discotrace") / "kernels"
    return Path(base) / digest.hexdigest()[:16]


def compiled_before() -> bool:
    """Whether a replay on this machine has left compiled kernels, so that the next one need not wait."""
    return cache_folder().is_dir()
