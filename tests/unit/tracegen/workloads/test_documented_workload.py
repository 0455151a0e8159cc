"""The workload that docs/workloads.md shows is one that works, and the page says what there is."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.rules import check_rows
from discotrace.tracegen.schema import Kind, Rows, Service, concat_rows
from discotrace.tracegen.workloads.knobs import knobs_of
from discotrace.tracegen.workloads.registry import GROUP, find_workload, shipped_workloads
from tests.cli.running import run

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "workloads.md").read_text()
LONGEST_EXAMPLE = 80  # lines
SMALL = ["--scale", "0.0002", "--knob", "keys=500", "--knob", "put_percent=20"]  # 1000 operations
LOG = 0x4000_0000
VALUE_BYTES = 256


def block(language: str) -> str:
    """The one block of code of a language in the document."""
    (text,) = re.findall(rf"(?ms)^```{language}\n(.*?)^```$", PAGE)
    return str(text)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the document's file in it."""
    (tmp_path / "kv.py").write_text(block("python"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(path: Path) -> Rows:
    with TraceReader(path) as reader:
        rows = concat_rows(list(reader.batches()))
        assert check_rows(reader.meta, rows) == []
    return rows


def test_example__is_short() -> None:
    assert len(block("python").splitlines()) < LONGEST_EXAMPLE


def test_example__gives_a_valid_trace_the_same_each_time(folder: Path) -> None:
    ended = run("generate", "./kv.py", *SMALL)
    assert (ended.code, ended.err) == (0, "")
    assert "next: discotrace replay kv.parquet" in ended.out
    assert run("validate", "kv.parquet").code == 0
    run("generate", "kv.py", *SMALL, "-o", "again.parquet")
    assert (folder / "again.parquet").read_bytes() == (folder / "kv.parquet").read_bytes()
    run("generate", "kv.py", *SMALL, "-o", "other.parquet", "--seed", "2")
    assert (folder / "other.parquet").read_bytes() != (folder / "kv.parquet").read_bytes()


def test_example__gets_read_what_the_last_put_wrote(folder: Path) -> None:
    """Each value is stored once, at the end of the log, and only what has been stored is loaded."""
    run("generate", "kv.py", *SMALL)
    rows = rows_of(folder / "kv.parquet")
    is_value = (rows.size == VALUE_BYTES) & (rows.vaddr >= LOG) & (rows.vaddr < 1 << 32)
    puts = rows.vaddr[is_value & (rows.kind == Kind.STORE)]
    assert (puts == LOG + VALUE_BYTES * np.arange(len(puts), dtype=np.uint64)).all()
    assert 500 + 100 < len(puts) < 500 + 300
    end = np.maximum.accumulate(np.where(is_value & (rows.kind == Kind.STORE), rows.vaddr, 0))
    is_get = is_value & (rows.kind == Kind.LOAD)
    assert is_get.sum() == 500 + 1000 - len(puts)
    assert (rows.vaddr[is_get] <= end[is_get]).all()


def test_example__few_keys_are_got_often(folder: Path) -> None:
    run("generate", "kv.py", *SMALL, "--knob", "put_percent=0")
    rows = rows_of(folder / "kv.parquet")
    is_get = (rows.kind == Kind.LOAD) & (rows.size == VALUE_BYTES) & (rows.vaddr >= LOG) & (rows.vaddr < 1 << 32)
    (_, most), *_ = Counter(rows.vaddr[is_get].tolist()).most_common(1)
    assert most > 0.1 * is_get.sum()


def test_example__each_instance_writes_its_own_log(folder: Path) -> None:
    run("generate", "kv.py", *SMALL, "--instances", "2", "--cpus", "2")
    rows = rows_of(folder / "kv.parquet")
    for cpu in (0, 1):
        assert ((rows.kind == Kind.ENTER) & (rows.arg == Service.WRITE) & (rows.vcpu == cpu)).any()
    with TraceReader(folder / "kv.parquet") as reader:
        assert {"/kv0", "/kv1"} <= {file.name for file in reader.meta.files}


def test_example__says_what_each_knob_is(folder: Path) -> None:
    assert all(knob.about for knob in knobs_of(find_workload("./kv.py").kind).values())


def test_document__shows_the_error_that_a_fault_gives(folder: Path) -> None:
    ended = run("generate", "./kv.py", "--knob", "skew=1")
    assert ended.code == 2
    assert f"    {ended.err}" in PAGE


def test_document__has_every_shipped_workload_with_its_page() -> None:
    table = PAGE.partition("| name | what it runs |")[2].partition("\n\n")[0]
    listed = re.findall(r"(?m)^\| `([\w-]+)` \|.*\[workload-\1\.md\]\(workload-\1\.md\) \|$", table)
    assert sorted(listed) == shipped_workloads()


def test_document__registers_in_the_group_that_is_read() -> None:
    assert list(tomllib.loads(block("toml"))["project"]["entry-points"]) == [GROUP]
