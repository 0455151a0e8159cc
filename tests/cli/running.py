"""Runs the command line inside this process, and makes the small traces that its tests run on."""

import io
import random
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq

from discotrace.cli import main
from discotrace.tracegen.schema import (
    KSEG0_START,
    KSEG2_START,
    METADATA_KEY,
    File,
    Kind,
    Privileged,
    Process,
    Segment,
    Service,
    TraceMeta,
    rows_from_records,
)
from discotrace.tracegen.writer import write_trace

Record = tuple[int, int, int, int, int, int]

USER = 0x40_0000
ROW_GROUP = 10


class Ended(NamedTuple):
    """How a run ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def run(*arguments: str) -> Ended:
    """Runs ``discotrace ARGUMENTS``. Whatever escapes from ``main`` escapes from here."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with patch.object(sys, "argv", ["discotrace", *arguments]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())


def assert_refused(ended: Ended, *parts: str) -> None:
    """The one line has all the parts."""
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("discotrace: error: ")
    assert ended.err.count("\n") == 1
    for part in parts:
        assert part in ended.err


META = TraceMeta(
    cpus=2,
    processes=[Process(1, "cc1"), Process(2, "as")],
    segments=[
        Segment(1, USER, USER + (1 << 20), "anonymous"),
        Segment(2, USER, USER + (1 << 20), "file", object=1, writable=False),
        Segment(0, KSEG0_START, KSEG0_START + (1 << 20), "anonymous"),
        Segment(0, KSEG2_START, KSEG2_START + (1 << 20), "anonymous"),
        Segment(1, 2 * USER, 2 * USER + (1 << 16), "anonymous", by_event=True),
    ],
    files=[File(1, "/tmp/a.c", 1 << 20)],
)


def sample_trace(path: Path, steps: int = 300) -> str:
    """A trace that has something of everything: two CPUs, user and kernel references, all privileged classes."""
    choose = random.Random(7)
    records: list[Record] = []
    for step in range(steps):
        cpu = step % 2
        asid = cpu + 1
        page = 4096 * choose.randrange(200)
        records += [
            (cpu, asid, Kind.FETCH, USER + page, 256, 64),
            (cpu, asid, Kind.LOAD, USER + page + 64, 8, 0),
            (cpu, asid, Kind.STORE, USER + page + 128, 8, 0),
        ]
        if step % 5 < 2:
            records += service_records(cpu, asid, page)
    write_trace(path, META, rows_from_records(records))
    return str(path)


def service_records(cpu: int, asid: int, page: int) -> list[Record]:
    """A page fault: kernel code and data that the CPUs share, a cleared page, privileged instructions."""
    records: list[Record] = [(cpu, asid, Kind.ENTER, 0, 0, Service.DEMAND_ZERO)]
    records += [(cpu, asid, Kind.PRIVILEGED, 0, 2, what) for what in Privileged]
    records += [
        (cpu, asid, Kind.FETCH, KSEG0_START + page % 8192, 512, 128),
        (cpu, asid, Kind.STORE, KSEG0_START + 16384, 8, 0),
        (cpu, asid, Kind.LOAD, KSEG2_START + 4096 * cpu, 8, 0),
        (cpu, asid, Kind.ZERO_PAGE, USER + page, 4096, 1024),
        (cpu, asid, Kind.EXIT, 0, 0, Service.DEMAND_ZERO),
    ]
    return records


def good_records(count: int) -> list[Record]:
    """Loads that break no rule."""
    return [(0, 1, Kind.LOAD, USER + 64 * place, 8, 0) for place in range(count)]


def raw_trace(path: Path, records: list[Record], metadata: bytes | None = None) -> str:
    """A file in row groups of ROW_GROUP, written without TraceWriter, which would refuse one that breaks a rule."""
    table = pa.table(rows_from_records(records)._asdict())
    return raw_table(path, table, META.to_json().encode() if metadata is None else metadata)


def raw_table(path: Path, table: pa.Table, metadata: bytes) -> str:
    """The same of any table."""
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: metadata}), path, row_group_size=ROW_GROUP)
    return str(path)


SHARED_FILE = 0x1000_0000
TEXT_BYTES = 3 * 4096 + 100
SHARING_META = TraceMeta(
    cpus=4,
    processes=[Process(asid, f"p{asid}", instance=(asid - 1) // 2) for asid in (1, 2, 3, 4)],
    segments=[
        *(Segment(asid, USER, USER + (1 << 16), "anonymous") for asid in (1, 2, 3, 4)),
        *(Segment(asid, SHARED_FILE, SHARED_FILE + 8192, "file", 2, writable=False) for asid in (1, 2, 3, 4)),
        Segment(0, KSEG0_START, KSEG0_START + 8192, "file", 1, writable=False),
        Segment(0, KSEG0_START + 8192, KSEG0_START + (1 << 16), "anonymous"),
    ],
    files=[File(1, "/unix", 8192), File(2, "/lib/libc.so", TEXT_BYTES)],
)
POLICY = [f"--set=migration.{key}=4" for key in ("trigger", "sharing")]  # so low that a small trace has hot pages


def sharing_trace(path: Path, rounds: int = 6) -> str:
    """Two instances of a workload on four CPUs: pages move, are copied and collapse under ``POLICY``.

    Processes share a file and the kernel's text; process 1 leaves CPU 0 for CPU 1 after its first round. All read one
    page of the kernel, which is written in the end.
    """
    records: list[Record] = []
    for step in range(rounds):
        for cpu, asid in enumerate((1, 2, 3, 4)):
            where = 1 if asid == 1 and step else cpu
            records += [
                (where, asid, Kind.FETCH, USER, 256, 64),
                (where, asid, Kind.STORE, USER + 8192 + 4096 * (asid != 1), 8, 0),
                (where, asid, Kind.LOAD, USER + 8192, 4096 if step or asid > 1 else 8, 0),
                (where, asid, Kind.LOAD, SHARED_FILE, 4096, 0),
                (where, asid, Kind.ENTER, 0, 0, Service.READ),
                (where, asid, Kind.FETCH, KSEG0_START, 512, 128),
                (where, asid, Kind.LOAD, KSEG0_START + 16384, 4096, 0),
                (where, asid, Kind.FILE_READ, 4096 * (step % 3), 4096, 2),
                (where, asid, Kind.EXIT, 0, 0, Service.READ),
                (where, asid, Kind.IDLE, 0, 100, 0),
            ]
    records += [
        (0, 2, Kind.STORE, KSEG0_START + 16384, 8, 0),
        (0, 3, Kind.STORE, KSEG0_START + 16384, 8, 0),
        (2, 2, Kind.FREE_PAGE, USER + 8192, 4096, 0),
        (1, 2, Kind.PROCESS_EXIT, 0, 0, 0),
    ]
    write_trace(path, SHARING_META, rows_from_records(list(with_switches(records))))
    return str(path)


def with_switches(records: list[Record]) -> Iterator[Record]:
    """The same with a SWITCH wherever a CPU goes on to another process."""
    running: dict[int, int] = {}
    for record in records:
        cpu, asid = record[:2]
        if running.setdefault(cpu, asid) != asid:
            yield (cpu, asid, Kind.SWITCH, 0, 0, running[cpu])
        running[cpu] = asid
        yield record
