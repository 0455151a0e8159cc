"""The folder that holds what is made: traces and counts, each under a name that says what it was made from.

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

TRACES, COUNTS = "traces", "counts"
_DIGEST_LETTERS = 16
_SOURCE_SUFFIXES = (".py", ".toml")


class Store:
    """A folder of traces and counts; made if it is not there. Raises OutputError if it cannot be."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        for part in (TRACES, COUNTS):
            with output_errors(self.folder / part):
                (self.folder / part).mkdir(parents=True, exist_ok=True)

    def trace(self, name: str, made_from: Mapping[str, Any]) -> Path:
        """Where the trace that was made from this is, or belongs."""
        return self.folder / TRACES / f"{name}-{_digest(made_from)}.parquet"

    def counts(self, name: str, made_from: Mapping[str, Any]) -> Path:
        """The same of counts."""
        return self.folder / COUNTS / f"{name}-{_digest(made_from)}.parquet"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes here in the block; what a killed run left half-made is removed first.

        Raises OutputError if another one is at work here.
        """
        with self._locked():
            for part in (TRACES, COUNTS):
                for rest in (self.folder / part).glob(".*.tmp"):
                    rest.unlink(missing_ok=True)
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with output_errors(self.folder):
            lock = os.open(self.folder / ".lock", os.O_CREAT | os.O_WRONLY, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise OutputError(f"another run is at work in {self.folder}: wait for it, or give another --data") from None
        finally:
            os.close(lock)


def _digest(made_from: Mapping[str, Any]) -> str:
    text = json.dumps(made_from, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LETTERS]


@cache
def sources_digest(*packages: str) -> str:
    """SHA-256 of the sources of packages and what is below them."""
    digest = hashlib.sha256()
    for package in packages:
        folder = Path(str(resources.files(package)))
        for path in sorted(path for path in folder.rglob("*") if path.suffix in _SOURCE_SUFFIXES):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
