"""The folder of a sweep: what was asked, counts and priced points as they are finished, and the results of all.

sweep.json                what was asked
counts/ab/abcd....parquet counts of one replay, named by what decides them; written whole or not at all
priced/....parquet        priced points of one block likewise
results.parquet           one row a point
"""

import json
import os
from collections.abc import Container, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from discotrace.analysis.keeping import alone, make_folder
from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.errors import ConfigError, OutputError

COUNTS, PRICED = "counts", "priced"
ASKED, RESULTS = "sweep.json", "results.parquet"
SUFFIX = ".parquet"
_SHARD_LETTERS = 2  # a folder of a million files is slow


class SweepFolder:
    """A folder of a sweep."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def results(self) -> Path:
        """Where the results are, or belong."""
        return self.path / RESULTS

    def make(self) -> None:
        """Make the folder if it is not there. Raises OutputError if it cannot be made."""
        for part in (COUNTS, PRICED):
            make_folder(self.path / part)

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else writes here in the block; see ``keeping.alone``."""
        return alone(self.path, "give another -o")

    def counts(self, key: str) -> Path:
        """Where the counts of a replay are, or belong."""
        return self.path / COUNTS / key[:_SHARD_LETTERS] / f"{key}{SUFFIX}"

    def keep_counts(self, key: str, content: bytes) -> None:
        """Keep the counts of a replay that was made elsewhere. Raises OutputError."""
        path = self.counts(key)
        make_folder(path.parent)
        with atomic_path(path) as temporary, output_errors(path):
            temporary.write_bytes(content)

    def priced(self, key: str) -> Path:
        """Where the priced points of a block are, or belong."""
        return self.path / PRICED / f"{key}{SUFFIX}"

    def counted(self) -> set[str]:
        """Keys of the replays whose counts are here."""
        return {path.name.removesuffix(SUFFIX) for path in (self.path / COUNTS).glob(f"*/*{SUFFIX}")}

    def check(self, asked: dict[str, Any]) -> None:
        """Raises OutputError where something else was asked than this."""
        if (self.path / ASKED).exists() and self.asked().get("sweep") != asked["sweep"]:
            raise OutputError(
                f"{self.path} has another sweep: give another -o, or --force to replace its results "
                "(counts that fit are used again)"
            )

    def note(self, asked: dict[str, Any]) -> None:
        """Note what is asked."""
        path = self.path / ASKED
        with atomic_path(path) as temporary, output_errors(path):
            temporary.write_text(json.dumps(asked, indent=2) + "\n", encoding="utf-8")

    def asked(self) -> dict[str, Any]:
        """What was asked. Raises ConfigError for a folder that is none of a sweep."""
        path = self.path / ASKED
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except OSError as fault:
            raise ConfigError(f"{self.path} is no folder of a sweep: it has no {ASKED}") from fault
        except ValueError as fault:
            raise ConfigError(f"{path}: damaged: {fault}; remove it and sweep again") from fault
        if not isinstance(tree, dict):
            raise ConfigError(f"{path}: damaged; remove it and sweep again")
        return tree

    def priced_blocks(self) -> dict[str, list[Path]]:
        """Files of priced points by the block that they are of. It has several if its replays failed before."""
        found: dict[str, list[Path]] = {}
        for path in (self.path / PRICED).glob(f"*{SUFFIX}"):
            if not path.name.startswith("."):
                found.setdefault(path.name.removesuffix(SUFFIX).partition("-")[0], []).append(path)
        return found

    def drop_blocks(self, keep: Container[str]) -> None:
        """Remove priced points of blocks that the sweep does not have."""
        for block, paths in self.priced_blocks().items():
            if block not in keep:
                for path in paths:
                    path.unlink(missing_ok=True)

    def drop_priced(self, keep: Iterable[str]) -> None:
        """Remove files of priced points but for these."""
        kept = {f"{key}{SUFFIX}" for key in keep}
        for path in (self.path / PRICED).glob(f"*{SUFFIX}"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
