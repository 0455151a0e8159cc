"""Results of sweeps made up for tests."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import polars as pl

from discotrace.analysis.answers.diff import MAIN_FIGURES
from discotrace.analysis.answers.results import Results

TRACE = {"name": "t.parquet", "rows": 10, "bytes": 100, "footer_sha256": "ab"}
SWEEP: dict[str, Any] = {"traces": [TRACE], "machine": "flash", "window": 1000, "axes": [], "zipped": []}


def results_of(
    rows: Sequence[Mapping[str, Any]],
    source: str = "sweep",
    zipped: Iterable[Sequence[str]] = (),
    points: int | None = None,
    **sweep: Any,
) -> Results:
    """Results with these rows. Keys with a dot are parameters; a row is done, native, of one trace if it says no more,
    and main figures are 1.

    ``points``: how many the sweep has; ``sweep``: more of what was asked.
    """
    usual = {"trace": "a/t.parquet", "system": "native", "status": "done", "why": None}
    told = [usual | dict.fromkeys(MAIN_FIGURES, 1.0) | dict(row) for row in rows]
    names = list(dict.fromkeys(name for row in told for name in row))
    parameters = [name for name in names if "." in name]
    figures = [name for name in names if name not in (*parameters, "trace", "system", "status", "why")]
    frame = pl.DataFrame(told, infer_schema_length=None).with_row_index("point").cast({"point": pl.Int64})
    ordered = frame.select("point", "trace", "system", *parameters, "status", "why", *figures)
    wanted = len(rows) if points is None else points
    asked = SWEEP | {"zipped": [list(keys) for keys in zipped]} | sweep
    about = {"discotrace": "0.1.0", "sources": "s", "points": wanted, "sweep": asked}
    return Results(source, ordered.lazy(), about, complete=wanted == len(rows))


def grid(**values: Sequence[Any]) -> list[dict[str, Any]]:
    """Every combination; ``tlb__entries`` stands for tlb.entries."""
    names = [name.replace("__", ".") for name in values]
    return [dict(zip(names, row, strict=True)) for row in product(*values.values())]
