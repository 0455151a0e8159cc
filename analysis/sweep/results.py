"""The results of a sweep: one row a point, in one Parquet file, and what there is of it before the sweep is done."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.points import POINT
from discotrace.tracegen.atomic import atomic_path, output_errors

METADATA_KEY = b"discotrace_sweep"
BATCH_ROWS = 1 << 16  # that are written in one go


def assemble(folder: SweepFolder, blocks: Sequence[str], about: Mapping[str, Any]) -> None:
    """Write the results out of priced blocks, in order; nothing if there is none. Raises OutputError."""
    if not blocks:
        return
    with atomic_path(folder.results) as temporary, output_errors(folder.results):
        files = [pq.ParquetFile(folder.priced(key)) for key in blocks]
        schema = files[0].schema_arrow.with_metadata({METADATA_KEY: json.dumps(about)})
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for batch in _in_order(files):
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _in_order(files: Sequence[pq.ParquetFile]) -> Iterator[pa.RecordBatch]:
    """The rows of blocks in the order of the points. Only where blocks lie within each other is all of it in memory."""
    spans = [pc.min_max(file.read([POINT])[POINT]).as_py() for file in files]
    if all(one["max"] < other["min"] for one, other in pairwise(spans)):
        for file in files:
            yield from file.iter_batches()
        return
    yield from pa.concat_tables([file.read() for file in files]).sort_by(POINT).to_batches(BATCH_ROWS)


def write_csv(folder: SweepFolder) -> None:
    """Write the results once more as CSV in UTF-8, beside them. Raises OutputError.

    A byte order mark comes first if there are letters beyond ASCII, which Excel would take for others without it.
    """
    path = folder.results.with_suffix(".csv")
    rows = pl.scan_parquet(folder.results)
    beyond = rows.select(pl.any_horizontal(pl.col(pl.String).str.contains(r"[^\x00-\x7F]").any())).collect().item()
    with atomic_path(path) as temporary, output_errors(path):
        rows.sink_csv(temporary, include_bom=bool(beyond))
