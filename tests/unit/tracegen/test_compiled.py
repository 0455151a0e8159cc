"""Compiled functions are found on disk again, and made anew when a file changes that they were made of."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import discotrace.tracegen
from discotrace.tracegen.compiled import part, source_digest

OUTER = """\
from discotrace.tracegen.compiled import compiled
from parts import constants as c
from parts.inner import doubled

@compiled
def answer(number):
    return doubled(number) + c.MORE
"""
INNER = """\
from discotrace.tracegen.compiled import compiled

@compiled
def doubled(number):
    return 2 * number
"""
ASK = "from parts.outer import answer; print(answer(10), sum(answer.stats.cache_hits.values()))"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A package whose function is made of three files."""
    folder = tmp_path / "parts"
    folder.mkdir()
    contents = {"__init__": "", "outer": OUTER, "inner": INNER, "constants": "MORE = 1\n", "other": "NOT_USED = 1\n"}
    for name, content in contents.items():
        (folder / f"{name}.py").write_text(content)
    return folder


def ask(parts: Path) -> tuple[int, int]:
    """The answer of a new process, and how many functions it found on disk."""
    paths = os.pathsep.join([str(parts.parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(parts.parent / "cache")}
    command = [sys.executable, "-B", "-c", ASK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    answer, found = done.stdout.split()
    return int(answer), int(found)


@part
def remainder(number: int, divisor: int) -> int:
    return number % divisor


@numba.njit
def all_remainders(number: int, divisor: int) -> tuple[int, int]:
    return remainder(number, divisor), remainder(number, 7)


def test_a_part_is_plain_in_python_and_compiled_in_what_calls_it() -> None:
    assert remainder(23, 5) == 3
    assert all_remainders(23, 5) == (3, 2)


def test_a_function_is_compiled_once(parts: Path) -> None:
    assert ask(parts) == (21, 0)
    assert ask(parts) == (21, 1)


def test_an_edit_of_an_imported_function_or_constant_is_seen(parts: Path) -> None:
    assert ask(parts) == (21, 0)
    (parts / "inner.py").write_text(INNER.replace("2 * number", "3 * number"))
    assert ask(parts) == (31, 0)
    (parts / "constants.py").write_text("MORE = 5\n")
    assert ask(parts) == (35, 0)


def test_an_edit_of_a_file_that_is_not_imported_compiles_nothing(parts: Path) -> None:
    assert ask(parts) == (21, 0)
    (parts / "other.py").write_text("NOT_USED = 2\n")
    assert ask(parts) == (21, 1)


def test_the_hash_follows_imports_of_imports() -> None:
    from discotrace.tracegen.workloads import pmake_parser, pmake_tape, program

    digests = {source_digest(module.__name__) for module in (pmake_parser, pmake_tape, program)}
    assert len(digests) == 3


def test_no_function_of_tracegen_is_kept_in_another_way() -> None:
    folder = Path(next(iter(discotrace.tracegen.__path__)))
    others = [path for path in folder.rglob("*.py") if "njit(cache" in path.read_text() and path.name != "compiled.py"]
    assert not others
