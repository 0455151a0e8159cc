"""Small tables of counts for tests."""

import polars as pl
import pyarrow as pa

from discotrace.analysis.counts_file import COLUMNS
from discotrace.replay.counts import CONTEXT_NAMES, EVENT_NAMES

# Numbers in place of what is fitted: figures that tests compute by hand do not move with a fit.
UNFITTED = [
    "monitor.software_tlb_hit_cycles=17",
    "monitor.kernel_software_tlb_hit_cycles=40",
    "monitor.kernel_tlb_refill_cycles=80",
    "monitor.tlb_write_cycles=60",
    "monitor.wired_write_cycles=560",
    "monitor.privileged_cycles=300",
    "monitor.zero_page_cycles=700",
]

Row = tuple[int, int, str, str, int]  # window, cpu, context, event, count


def counts_frame(*rows: Row, vm: int = 0) -> pl.DataFrame:
    """Counts of one virtual machine, with no lock held, as ``CountsFile.of_system`` gives them."""
    for _, _, context, event, _ in rows:
        assert context in CONTEXT_NAMES
        assert event in EVENT_NAMES
    columns = {"window": pl.Int64, "cpu": pl.UInt16, "context": pl.String, "event": pl.String, "count": pl.Int64}
    frame = pl.DataFrame(list(rows), schema=columns, orient="row")
    nowhere = pl.lit(0, pl.UInt8).alias("lock"), pl.lit(0, pl.Int64).alias("at")
    return frame.with_columns(pl.lit(vm, pl.UInt16).alias("vm"), *nowhere)


def counts_table(*rows: Row) -> pa.Table:
    """The same as replay hands it out."""
    table = counts_frame(*rows).select(COLUMNS[1:]).to_arrow()
    columns = [
        column.cast(pa.string()).dictionary_encode() if name in ("context", "event") else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    return pa.table(dict(zip(table.column_names, columns, strict=True)))
