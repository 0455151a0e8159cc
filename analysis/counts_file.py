"""Counts in a Parquet file: tidy rows of one or several systems.

The file's metadata has the full configuration and the identity of the trace.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from discotrace.tracegen.atomic import atomic_path, output_errors
from discotrace.tracegen.errors import TraceError

METADATA_KEY = b"discotrace_counts"
FORMAT_VERSION = 3
ABOUT = (
    "discotrace",
    "command",
    "trace",
    "instances",
    "cpus",
    "systems",
    "window_instructions",
    "configuration",
    "crash",
    "losses",
)
COLUMNS = ("system", "window", "cpu", "vm", "lock", "context", "event", "at", "count")


@dataclass(frozen=True)
class CountsFile:
    """Counts of several systems over one trace.

    ``table`` has the columns of ``COLUMNS``. ``about``: format_version, discotrace (version), command, trace
    (identity), instances (of its workload), cpus, systems, window_instructions, configuration (tables), crash (vm and
    row, or None), losses (what the crash cost, by system).
    """

    table: pa.Table
    about: dict[str, Any]

    def of_system(self, system: str) -> pl.DataFrame:
        """Counts of one system, in the order in which replay gave them."""
        frame = pl.from_arrow(self.table)
        assert isinstance(frame, pl.DataFrame)
        return frame.filter(pl.col("system").cast(pl.String) == system).drop("system")


def join_systems(tables: dict[str, pa.Table]) -> pa.Table:
    """One table out of those of several systems, with the system as first column."""
    labelled = [
        table.add_column(0, "system", pa.array([name] * len(table), pa.string()).dictionary_encode())
        for name, table in tables.items()
    ]
    return pa.concat_tables(labelled).unify_dictionaries()


def as_bytes(counts: CountsFile) -> bytes:
    """What is in the file that ``write`` makes."""
    sink = pa.BufferOutputStream()
    _write(counts, sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def write(path: str | os.PathLike[str], counts: CountsFile) -> None:
    """Write the file, whole or not at all. Raises OutputError."""
    with atomic_path(path) as temporary, output_errors(path):
        _write(counts, temporary)


def _write(counts: CountsFile, sink: os.PathLike[str] | pa.NativeFile) -> None:
    metadata = {METADATA_KEY: json.dumps(counts.about)}
    pq.write_table(counts.table.replace_schema_metadata(metadata), sink, compression="zstd")


def read(path: str | os.PathLike[str]) -> CountsFile:
    """Read a file that ``write`` made. Raises TraceError, naming the file, if it is none."""
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as fault:
        reason = os.strerror(fault.errno) if isinstance(fault, OSError) and fault.errno else str(fault).splitlines()[0]
        raise TraceError(f"{path}: cannot be read as a counts file: {reason}") from fault
    text = (table.schema.metadata or {}).get(METADATA_KEY)
    if text is None or tuple(table.column_names) != COLUMNS:
        raise TraceError(f"{path}: not a counts file; make one with: discotrace replay TRACE -o counts.parquet")
    return CountsFile(table, _about(path, text))


def _about(path: str | os.PathLike[str], text: bytes) -> dict[str, Any]:
    """The metadata, if they have all that ``write`` puts there."""
    try:
        about = json.loads(text)
        version, missing = int(about["format_version"]), [key for key in ABOUT if key not in about]
    except (ValueError, KeyError, TypeError) as fault:
        raise TraceError(f"{path}: its metadata are not those of a counts file") from fault
    if version > FORMAT_VERSION:
        raise TraceError(f"{path}: counts of format version {version}: upgrade discotrace")
    if version < FORMAT_VERSION:  # with other columns than this version's
        raise TraceError(f"{path}: counts of format version {version}, of an earlier discotrace: replay again")
    if missing:
        raise TraceError(f"{path}: its metadata have no {missing[0]}: the file is damaged")
    return dict(about)
