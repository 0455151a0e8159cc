"""The folder that holds what the paper's experiments need: traces and counts, kept (``keeping``)."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from discotrace.analysis.keeping import alone, digest, make_folder

TRACES, COUNTS = "traces", "counts"


class Store:
    """A folder of traces and counts; made if it is not there. Raises OutputError if it cannot be."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        for part in (TRACES, COUNTS):
            make_folder(self.folder / part)

    def trace(self, name: str, made_from: Mapping[str, Any]) -> Path:
        """Where the trace that was made from this is, or belongs."""
        return self.folder / TRACES / f"{name}-{digest(made_from)}.parquet"

    def counts(self, name: str, made_from: Mapping[str, Any]) -> Path:
        """The same of counts."""
        return self.folder / COUNTS / f"{name}-{digest(made_from)}.parquet"

    def alone(self) -> AbstractContextManager[None]:
        """See ``keeping.alone``."""
        return alone(self.folder, "give another --data")
