"""Misses by sharing class: nothing is lost, and a plain count on top of the naive twin gives the same."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from discotrace.analysis.configuration import load
from discotrace.analysis.fronts import Run
from discotrace.analysis.run import NO_WINDOWS, replay_runs
from discotrace.analysis.sharing_misses import ClassMisses, misses_by_class
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import KERNEL_BASE, Kind, Process, Rows, Segment, TraceMeta, rows_from_records
from discotrace.tracegen.sharing import PageClass
from discotrace.tracegen.summary import Summarizer
from discotrace.tracegen.writer import write_trace
from tests.cli.running import sample_trace
from tests.oracle.machine import Oracle
from tests.oracle.memory import AddressSpaces, Frame
from tests.property.traces import Tables, machines, traces, with_memory_for

PAGE = 4096
TOUCHING = (Kind.FETCH, Kind.LOAD, Kind.STORE, Kind.ZERO_PAGE)
Content = tuple[Any, ...]
ORDER = [PageClass(s, c) for s in ("user", "kernel") for c in ("private", "read_shared", "write_shared")]


def summed(trace: Path) -> Summarizer:
    with TraceReader(trace) as reader:
        summarizer = Summarizer(reader.meta, reader.rows)
        for rows in reader.batches(7):
            summarizer.add(rows)
    return summarizer


def counted(trace: Path, machine: Machine) -> list[ClassMisses]:
    with TraceReader(trace) as reader:
        return misses_by_class(reader, machine, summed(trace).classes_of_pages(), lambda rows: None)


class Twin:
    """Follows the naive machine row by row: who uses each page, and what its frame missed meanwhile."""

    def __init__(self, meta: TraceMeta, tables: Tables) -> None:
        self.oracle = Oracle(meta, tables, "native", NO_WINDOWS)
        self.spaces: AddressSpaces = self.oracle.paging.spaces
        self.users: dict[Content, set[int]] = defaultdict(set)
        self.written: set[Content] = set()
        self.is_kernel: dict[Content, bool] = {}
        self.misses: Counter[Content] = Counter()
        self._access = self.oracle.caches.access

    def run(self, rows: Rows) -> None:
        for place, row in enumerate(zip(*(column.tolist() for column in rows), strict=True)):
            vcpu, asid, kind, vaddr, size, _ = row
            if kind in TOUCHING:
                for vpn in range(vaddr // PAGE, (vaddr + size - 1) // PAGE + 1):
                    content = self.content(asid, vpn)
                    self.is_kernel.setdefault(content, vaddr >= KERNEL_BASE)
                    self.users[content].add(vcpu)
                    if kind in (Kind.STORE, Kind.ZERO_PAGE) and len(self.users[content]) > 1:
                        self.written.add(content)
            with self.watched(asid):
                self.oracle.run(Rows(*(column[place : place + 1] for column in rows)))

    def content(self, asid: int, vpn: int) -> Content:
        owner = 0 if vpn * PAGE >= KERNEL_BASE else asid
        number, segment = self.segment(owner, vpn * PAGE)
        if segment.backing == "anonymous" or (segment.backing == "file" and segment.writable):
            return number, vpn
        return segment.backing, segment.object, segment.offset + vpn * PAGE - segment.start

    def segment(self, owner: int, address: int) -> tuple[int, Segment]:
        for number in sorted(self.spaces.holding):
            segment = self.spaces.segments[number]
            if segment.asid == owner and segment.start <= address < segment.end:
                return number, segment
        raise AssertionError("the trace is sound")

    @contextmanager
    def watched(self, asid: int) -> Iterator[None]:
        """Whatever misses inside is put down to the page that is touched, or to the page tables."""

        def access(cpu: int, kind: str, vaddr: int, frame: Frame) -> None:
            before = self.missed_on(frame)
            self._access(cpu, kind, vaddr, frame)
            if new := self.missed_on(frame) - before:
                is_handler = self.oracle.now.context == "kernel:utlb_miss"
                self.misses["tables" if is_handler else self.content(asid, vaddr // PAGE)] += new

        self.oracle.caches.access = access  # type: ignore[method-assign]
        yield

    def missed_on(self, frame: Frame) -> int:
        return sum(self.oracle.page_misses.get(frame, {}).values())

    def by_class(self) -> list[ClassMisses]:
        sums: Counter[PageClass] = Counter()
        for content, misses in self.misses.items():
            sums[self.class_of(content)] += misses
        return [ClassMisses(*one, sums[one]) for one in [*ORDER, PageClass("page tables", "")] if sums[one]]

    def class_of(self, content: Content) -> PageClass:
        if content == "tables":
            return PageClass("page tables", "")
        space = "kernel" if self.is_kernel[content] else "user"
        if len(self.users[content]) == 1:
            return PageClass(space, "private")
        return PageClass(space, "write_shared" if content in self.written else "read_shared")


@hypothesis.settings(max_examples=40)
@hypothesis.given(traces(max_steps=150), st.data())
def test_they_are_those_of_a_plain_count(trace: tuple[TraceMeta, Rows], data: st.DataObject) -> None:
    meta, rows = trace
    tables = data.draw(machines(st.just(meta.cpus), st.just(4)))
    tables = with_memory_for(meta, rows, tables)
    twin = Twin(meta, tables)
    twin.run(rows)
    with TemporaryDirectory() as folder:
        write_trace(Path(folder) / "t", meta, rows)
        assert counted(Path(folder) / "t", Machine.from_tables(tables)) == twin.by_class()
        classes = summed(Path(folder) / "t").classes_of_pages()
    assert Counter(classes.values()) == Counter(twin.class_of(content) for content in twin.users)


def test_they_add_up_to_the_misses_of_the_replay(tmp_path: Path) -> None:
    trace = Path(sample_trace(tmp_path / "t.parquet"))
    machine = load("flash").machine
    with TraceReader(trace) as reader:
        counts = replay_runs(reader, [Run("n", "native", machine)], NO_WINDOWS, lambda rows: None)[0].counts
    served = ("_local", "_remote")
    rows = counts.to_pylist()
    of_l2 = [row["count"] for row in rows if row["event"].startswith("l2_") and row["event"].endswith(served)]
    assert sum(one.l2_misses for one in counted(trace, machine)) == sum(of_l2) > 0


def test_what_is_mapped_where_something_else_was_is_another_page(tmp_path: Path) -> None:
    """The first is private, the second, at the same address, is written by one CPU while another uses it."""
    segments = [Segment(1, 0, PAGE, "anonymous", by_event=True) for _ in range(2)]
    lives = [
        (0, 1, Kind.MAP, 0, 0, 0),
        (0, 1, Kind.LOAD, 0, 8, 0),
        (0, 1, Kind.UNMAP, 0, 0, 0),
        (0, 1, Kind.MAP, 0, 0, 1),
        (0, 1, Kind.LOAD, 512, 8, 0),
        (1, 1, Kind.STORE, 512, 8, 0),
        (1, 1, Kind.LOAD, 1024, 8, 0),
    ]
    write_trace(tmp_path / "t", TraceMeta(2, [Process(1, "p")], segments), rows_from_records(lives))
    by_class = {one.sharing: one.l2_misses for one in counted(tmp_path / "t", load("flash").machine) if one.sharing}
    assert by_class == {"private": 1, "write_shared": 3}


def test_pages_of_another_size_are_refused(tmp_path: Path) -> None:
    trace = Path(sample_trace(tmp_path / "t.parquet", steps=3))
    with pytest.raises(ConfigError, match=r"memory\.page_kib is 16.*needs? memory\.page_kib=4"):
        counted(trace, load("flash", ["memory.page_kib=16"]).machine)
