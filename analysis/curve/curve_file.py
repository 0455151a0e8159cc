"""Miss curves in a file: a row for every size, as CSV or Parquet."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from discotrace.analysis.curve.curve import Curve
from discotrace.tracegen.atomic import atomic_path, output_errors

METADATA_KEY = b"discotrace_curve"
CSV, PARQUET = ".csv", ".parquet"


def curve_frame(curves: list[Curve]) -> pl.DataFrame:
    """Columns ``curve``, ``sets``, ``unit``, ``size``, ``kib``, ``misses``, ``miss_ratio``, ``bound`` (null if exact).

    From the smallest size to the last at which misses change.
    """
    return pl.concat([_frame(curve) for curve in curves])


def write(path: str | os.PathLike[str], curves: list[Curve], about: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all. ``about``: how to make it again, which only Parquet keeps.

    Raises OutputError.
    """
    frame = curve_frame(curves)
    with atomic_path(path) as temporary, output_errors(path):
        if Path(path).suffix == CSV:
            frame.write_csv(temporary)
        else:
            table = frame.to_arrow().replace_schema_metadata({METADATA_KEY: json.dumps(about)})
            pq.write_table(table, temporary, compression="zstd")


def _frame(curve: Curve) -> pl.DataFrame:
    last = curve.largest or int(curve.break_points()[-1])
    sizes = np.arange(curve.smallest, last + 1)
    bound = curve.bound_at(sizes) if curve.is_sampled else [None] * len(sizes)
    return pl.DataFrame(
        {
            "curve": pl.repeat(curve.scale.name, len(sizes), eager=True),
            "sets": pl.repeat(curve.scale.sets, len(sizes), dtype=pl.Int64, eager=True),
            "unit": pl.repeat(curve.scale.unit, len(sizes), eager=True),
            "size": sizes,
            "kib": curve.scale.size_kib(sizes),
            "misses": np.rint(curve.misses_at(sizes)).astype(np.int64),
            "miss_ratio": curve.ratio_at(sizes),
            "bound": pl.Series(bound, dtype=pl.Float64),
        }
    )
