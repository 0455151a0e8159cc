"""Compiled functions that stay on disk, and are made anew when something changes that they were made of.

Numba's own cache looks at the file of a function alone. What other files bring, functions and constants, is compiled
into it all the same: the folder of the cache is therefore named after a hash of all these files.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import platformdirs
from numba.extending import register_jitable

P = ParamSpec("P")
R = TypeVar("R")

# What never allocates needs no reference counts; and only compiled functions call a part.
PART_OPTIONS: Any = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "_nrt": False}
# ``block_compiler`` uses Numba's internals, so only with versions that it was tested with; others compile slower. It
# decides how, not what, is compiled, so an edit of it leaves what is on disk.
if (0, 61) <= numba.version_info.short < (0, 69):
    from discotrace.tracegen.block_compiler import BlockCompiler

    PART_OPTIONS["pipeline_class"] = BlockCompiler


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """``numba.njit``, kept on disk as long as the module and what it imports of its own package stay the same."""
    return compiled_with()(function)


def compiled_with(**options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The same with further options of ``numba.njit``."""
    return lambda function: kept_in(kernel_folder(source_digest(function.__module__)), function, options)


def part(function: Callable[P, R]) -> Callable[P, R]:
    """Marks what is compiled into the compiled functions that call it; called from Python it is plain Python.

    It never allocates, not for a slice that is assigned an array either. ``njit`` would compile it for each constant
    that it is called with, this does for each type.
    """
    made: Callable[P, R] = register_jitable(**PART_OPTIONS)(function)
    return made


def kept_in(folder: Path, function: Callable[P, R], options: dict[str, Any]) -> Callable[P, R]:
    """``numba.njit`` with these options, its results kept in a folder."""
    config: Any = numba.config  # numba fills this module when it is imported
    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        decorate: Any = numba.njit(cache=True, **options)
        made: Callable[P, R] = decorate(function)
    finally:
        config.CACHE_DIR = before
    return made


def kernel_folder(digest: str) -> Path:
    """The folder for what was compiled from sources of this hash: in ``NUMBA_CACHE_DIR``, else the user's cache."""
    base = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_path("discotrace") / "kernels"
    return Path(base) / digest[:16]


@cache
def source_digest(module: str) -> str:
    """Hash of the sources of a module and of all modules of its top package that it imports, and they in turn."""
    contents: dict[str, bytes] = {}
    package, waiting = module.partition(".")[0], [module]
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name not in contents and file and name.partition(".")[0] == package:
            contents[name], imported = _source(file)
            waiting += imported
    digest = hashlib.sha256()
    for name in sorted(contents):
        digest.update(hashlib.sha256(contents[name]).digest())
    return digest.hexdigest()


@cache
def _source(file: str) -> tuple[bytes, list[str]]:
    """A module's content, and the names that may be modules in the import statements at its top."""
    content = Path(file).read_bytes()
    names = []
    for node in ast.parse(content).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return content, names
