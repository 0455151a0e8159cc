"""The sample traces are what their manifest says, and those that are generated can be made again."""

from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import Rows, concat_rows

FOLDER = Path(__file__).parents[1] / "traces"
SPEC = util.spec_from_file_location("regenerate_traces", FOLDER / "regenerate.py")
assert SPEC is not None
assert SPEC.loader is not None
regenerate = util.module_from_spec(SPEC)
SPEC.loader.exec_module(regenerate)

ENTRIES: list[dict[str, Any]] = regenerate.entries()
GENERATED = [entry for entry in ENTRIES if entry["command"].startswith(regenerate.GENERATED)]
SMALLEST = sorted(GENERATED, key=lambda entry: int(entry["bytes"]))[:1]


def rows_of(path: Path) -> Rows:
    with TraceReader(path) as reader:
        return concat_rows(list(reader.batches()))


def test_the_manifest_has_every_trace_in_order() -> None:
    assert [entry["file"] for entry in ENTRIES] == sorted(path.name for path in FOLDER.glob("*.parquet"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_each_trace_is_the_one_of_the_manifest(entry: dict[str, Any]) -> None:
    found = regenerate.measured(FOLDER / entry["file"])
    assert found == {key: entry[key] for key in found}, "python traces/regenerate.py writes the manifest"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["file"])
def test_the_readme_tells_of_each_trace(entry: dict[str, Any]) -> None:
    assert f"| `{entry['file']}` |" in (FOLDER / "README.md").read_text()


def test_the_command_of_a_generated_trace_writes_it() -> None:
    for entry in GENERATED:
        assert regenerate.output_of(entry["command"]) == entry["file"]


def test_the_smallest_generated_trace_can_be_made_again(tmp_path: Path) -> None:
    """To the last byte with the versions of the manifest, row by row with others."""
    for entry in SMALLEST:
        regenerate.make(entry["command"], tmp_path)
        again, shipped = tmp_path / entry["file"], FOLDER / entry["file"]
        if entry["versions"] == regenerate.versions():
            assert again.read_bytes() == shipped.read_bytes()
        for made, expected in zip(rows_of(again), rows_of(shipped), strict=True):
            np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize(
    "command",
    [
        "discotrace capture -o a.parquet -- true",
        "discotrace generate radix",
        "discotrace generate radix -o ../a.parquet",
        "discotrace generate radix -o a.parquet --output b.parquet",
    ],
)
def test_a_command_that_writes_no_one_file_there_is_refused(command: str) -> None:
    with pytest.raises(SystemExit, match="expected discotrace generate NAME"):
        regenerate.output_of(command)
