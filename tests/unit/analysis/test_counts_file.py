"""The file of counts: round trip, whole or not at all, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from discotrace.analysis.counts_file import COLUMNS, METADATA_KEY, CountsFile, join_systems, read, write
from discotrace.tracegen.errors import OutputError, TraceError
from tests.unit.analysis.frames import counts_frame, counts_table

ABOUT: dict[str, Any] = {
    "format_version": 3,
    "discotrace": "0.1.0",
    "command": "discotrace replay t",
    "trace": {"name": "t", "rows": 3},
    "instances": 1,
    "cpus": 2,
    "systems": ["native", "disco"],
    "window_instructions": 1000,
    "configuration": {"tlb": {"entries": 64}, "cpu": {"clock_mhz": 333.3}},
    "crash": {"vm": 0, "row": 2},
    "losses": {"native": {"vm": 0, "rows": 1, "processes": [7]}},
}
NATIVE = ((0, 0, "user", "load_rows", 3), (2, 1, "kernel:open", "instructions", 5))
DISCO = ((0, 0, "monitor:open", "l2_store_local", 4),)


def counts() -> CountsFile:
    return CountsFile(join_systems({"native": counts_table(*NATIVE), "disco": counts_table(*DISCO)}), ABOUT)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / "c.parquet", counts())
    again = read(tmp_path / "c.parquet")
    assert again.about == ABOUT
    assert again.table.to_pylist() == counts().table.to_pylist()


def test_the_order_of_what_it_says_of_itself_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "c.parquet", counts())
    assert json.dumps(read(tmp_path / "c.parquet").about) == json.dumps(ABOUT)


def test_equal_counts_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, counts())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_joined__rows_of_each_system_stay_together_and_in_order() -> None:
    joined = counts().table
    assert tuple(joined.column_names) == COLUMNS
    assert joined["system"].to_pylist() == ["native", "native", "disco"]
    assert joined["count"].to_pylist() == [3, 5, 4]


def test_joined__systems_without_counts_are_fine() -> None:
    assert join_systems({"native": counts_table(), "disco": counts_table(*DISCO)}).num_rows == 1


@pytest.mark.parametrize(("system", "rows"), [("native", NATIVE), ("disco", DISCO)])
def test_of_system__gives_the_counts_of_one(system: str, rows: Any) -> None:
    columns = ["window", "cpu", "context", "event", "count"]
    assert counts().of_system(system).select(columns).rows() == counts_frame(*rows).select(columns).rows()


def test_of_system__a_system_that_is_not_there_has_none() -> None:
    assert counts().of_system("vmware").height == 0


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no directory"):
        write(tmp_path / "no" / "c.parquet", counts())


def test_a_file_that_is_replaced_is_whole(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_text("old")
    write(tmp_path / "c.parquet", counts())
    assert read(tmp_path / "c.parquet").about == ABOUT
    assert [path.name for path in tmp_path.iterdir()] == ["c.parquet"]


@pytest.mark.parametrize("drop", ["system", "count"])
def test_other_columns_are_refused(drop: str, tmp_path: Path) -> None:
    table = counts().table.drop_columns([drop]).replace_schema_metadata({METADATA_KEY: json.dumps(ABOUT)})
    pq.write_table(table, tmp_path / "c.parquet")
    with pytest.raises(TraceError, match="not a counts file; make one with"):
        read(tmp_path / "c.parquet")


def test_any_other_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "c.parquet")
    with pytest.raises(TraceError, match="not a counts file"):
        read(tmp_path / "c.parquet")


def test_counts_of_the_future_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "c.parquet", CountsFile(counts().table, ABOUT | {"format_version": 4}))
    with pytest.raises(TraceError, match="format version 4: upgrade discotrace"):
        read(tmp_path / "c.parquet")


def test_counts_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    """They have other columns."""
    write(tmp_path / "c.parquet", CountsFile(counts().table, ABOUT | {"format_version": 2}))
    with pytest.raises(TraceError, match="format version 2, of an earlier discotrace: replay again"):
        read(tmp_path / "c.parquet")
