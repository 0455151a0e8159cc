"""Folders in which what was made is kept, each thing under a name that says what it was made from.

What is there need not be made again, and nothing there is ever wrong: a file's name carries the hash of all that
decides its contents, the sources of the code included.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from discotrace.tracegen.atomic import output_errors
from discotrace.tracegen.errors import OutputError

_DIGEST_LETTERS = 16
_SOURCE_SUFFIXES = (".py", ".toml")


def digest(made_from: Mapping[str, Any]) -> str:
    """The hash of what something is made from: plain values that JSON has."""
    text = json.dumps(made_from, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]


@cache
def sources_digest(*packages: str) -> str:
    """SHA-256 of the sources of packages and what is below them."""
    found = hashlib.sha256()
    for package in packages:
        folder = Path(str(resources.files(package)))
        for path in sorted(path for path in folder.rglob("*") if path.suffix in _SOURCE_SUFFIXES):
            found.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder if it is not there. Raises OutputError if it cannot be made."""
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def alone(folder: Path, remedy: str) -> Iterator[None]:
    """Nobody else writes in the folder in the block; what a killed run left half-made below it is removed first.

    Raises OutputError if another one is at work here; ``remedy`` says what else can be done than wait.
    """
    with _locked(folder, remedy):
        for rest in folder.rglob(".*.tmp"):
            rest.unlink(missing_ok=True)
        yield


@contextmanager
def _locked(folder: Path, remedy: str) -> Iterator[None]:
    with output_errors(folder):
        lock = os.open(folder / ".lock", os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise OutputError(f"another run is at work in {folder}: wait for it, or {remedy}") from None
    finally:
        os.close(lock)
