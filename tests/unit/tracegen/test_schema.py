"""The definition of a trace: columns as tuples, metadata as JSON."""

import json

import numpy as np
import pytest

from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import (
    COLUMN_DTYPES,
    File,
    Process,
    Rows,
    Segment,
    TraceMeta,
    concat_rows,
    rows_from_records,
    slice_rows,
)

META = TraceMeta(
    cpus=2,
    processes=[Process(1, "cc1", parent=0, instance=3)],
    segments=[
        Segment(1, 0x400000, 0x401000, "file", object=7, offset=4096, writable=False, by_event=True),
        Segment(0, (1 << 64) - 4096, 1 << 64, "anonymous"),
    ],
    files=[File(7, "/bin/cc1", 8192, disk=1)],
    provenance={"seed": 1},
)


def test_columns_of_the_named_tuple_are_those_of_the_format() -> None:
    assert Rows._fields == tuple(COLUMN_DTYPES)


def test_records_become_columns_of_the_right_types() -> None:
    rows = rows_from_records([(1, 2, 0, 1 << 63, 4, 5), (0, 0, 1, 0, 1, 0)])
    assert {name: column.dtype for name, column in rows._asdict().items()} == COLUMN_DTYPES
    assert rows.vaddr.tolist() == [1 << 63, 0]


def test_no_records_become_empty_columns() -> None:
    assert all(column.shape == (0,) for column in rows_from_records([]))
    assert all(column.shape == (0,) for column in concat_rows([]))


def test_slices_put_together_are_the_whole() -> None:
    rows = rows_from_records([(0, 1, 1, address, 8, 0) for address in range(10)])
    whole = concat_rows([slice_rows(rows, 0, 3), slice_rows(rows, 3, 3), slice_rows(rows, 3, 10)])
    assert all(np.array_equal(a, b) for a, b in zip(whole, rows, strict=True))


def test_metadata_survive_json() -> None:
    assert TraceMeta.from_json(META.to_json()) == META


def test_addresses_are_hexadecimal_strings_in_json() -> None:
    segment = json.loads(META.to_json())["segments"][1]
    assert (segment["start"], segment["end"]) == ("0xfffffffffffff000", "0x10000000000000000")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "upgrade discotrace"),
        ({"format_version": 0}, "positive integer"),
        ({"cpus": 0}, "cpus is 0"),
        ({"cpus": True}, "cpus is True"),
        ({"processes": [{"name": "no asid"}]}, "not that of a discotrace trace"),
        ({"segments": [{"start": "zz", "end": "0x0"}]}, "not that of a discotrace trace"),
    ],
)
def test_metadata_with_a_fault_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(TraceError, match=message):
        TraceMeta.from_json(json.dumps(json.loads(META.to_json()) | change))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_text_that_is_no_metadata_is_refused(text: str) -> None:
    with pytest.raises(TraceError):
        TraceMeta.from_json(text)
