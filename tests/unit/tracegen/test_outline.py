"""The outline and the trail of a trace, against a naive one with sets."""

import random
from pathlib import Path

import numpy as np

from discotrace.tracegen.outline import Outline, load, outline_of, pages_touched, save
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import KSEG0_START, Kind, Process, Segment, Service, TraceMeta, rows_from_records
from discotrace.tracegen.trail import MARK_ROWS, TrailReader, last_of, writing_trail
from discotrace.tracegen.writer import write_trace

Record = tuple[int, int, int, int, int, int]

PAGE, LINE = 4096, 128
AT, PAGES = 0x40_0000, 60
META = TraceMeta(
    cpus=2,
    processes=[Process(1, "one"), Process(2, "two")],
    segments=[
        Segment(1, AT, AT + PAGES * PAGE, "anonymous"),
        Segment(2, AT, AT + PAGES * PAGE, "anonymous"),
        Segment(0, KSEG0_START, KSEG0_START + 8 * PAGE, "anonymous"),
    ],
)


def records(count: int, seed: int) -> list[Record]:
    """References of two processes, services and locks on two CPUs, and the end of a segment in the middle."""
    draw, found = random.Random(seed), []
    inside: dict[int, list[int]] = {0: [], 1: []}
    for number in range(count):
        vcpu = draw.randrange(2)
        asid = vcpu + 1
        what = draw.random()
        if number == count // 2:
            found.append((0, 1, Kind.UNMAP, AT, 0, 0))
            found.append((0, 1, Kind.MAP, AT, 0, 3))
        elif what < 0.01 and len(inside[vcpu]) < 3:
            inside[vcpu].append(draw.choice([Service.READ, Service.OPEN]))
            found.append((vcpu, asid, Kind.ENTER, 0, 0, inside[vcpu][-1]))
        elif what < 0.02 and inside[vcpu]:
            found.append((vcpu, asid, Kind.EXIT, 0, 0, inside[vcpu].pop()))
        elif what < 0.1:
            found.append((vcpu, asid, Kind.LOAD, KSEG0_START + draw.randrange(8 * PAGE - 8), 8, 0))
        else:
            kind = draw.choice([Kind.FETCH, Kind.LOAD, Kind.STORE])
            vaddr = AT + draw.randrange(PAGES * PAGE - 300)
            found.append((vcpu, asid, kind, vaddr, draw.choice([4, 200]), 3 if kind == Kind.FETCH else 0))
    for vcpu, stack in inside.items():
        found += [(vcpu, vcpu + 1, Kind.EXIT, 0, 0, service) for service in reversed(stack)]
    return found


def meta() -> TraceMeta:
    again = Segment(1, AT, AT + PAGES * PAGE, "anonymous", by_event=True)
    return TraceMeta(META.cpus, META.processes, [*META.segments, again])


def outline(tmp_path: Path, rows: list[Record]) -> Outline:
    write_trace(tmp_path / "t.parquet", meta(), rows_from_records(rows))
    with TraceReader(tmp_path / "t.parquet") as reader, writing_trail(tmp_path / "trail") as trail:
        return outline_of(reader, trail, lambda count: None)


def naive(rows: list[Record]) -> tuple[list[int], list[int]]:
    """Numbers of the rows that the outline must keep, and of those that the trail must have at least."""
    kept, trail, pages, lines = [], [], set(), set()
    for number, (vcpu, asid, kind, vaddr, size, _) in enumerate(rows):
        if number % MARK_ROWS == 0:
            lines.clear()
        space = 0 if vaddr >= KSEG0_START else asid
        if kind <= Kind.STORE:
            fresh = {(vcpu, space, page) for page in range(vaddr // PAGE, (vaddr + size - 1) // PAGE + 1)} - pages
            new = {(vcpu, space, line, kind) for line in range(vaddr // LINE, (vaddr + size - 1) // LINE + 1)} - lines
            pages |= fresh
            lines |= new
            kept += [number] if fresh else []
            trail += [number] if new else []
        elif kind in (Kind.MAP, Kind.UNMAP):
            kept.append(number)
            trail.append(number)
            if kind == Kind.UNMAP:
                pages = {page for page in pages if page[1] != asid}
                lines.clear()
    return kept, trail


def test_it_keeps_first_touches_and_events(tmp_path: Path) -> None:
    rows = records(2 * MARK_ROWS + 1000, seed=1)
    found = outline(tmp_path, rows)
    kept, trail = naive(rows)
    assert found.row.tolist() == kept
    with TrailReader(tmp_path / "trail") as reader:
        numbers, _ = reader.between(0, len(rows))
    assert set(trail) <= set(numbers.tolist())  # what is forgotten stands there twice
    assert len(numbers) < 2 * len(trail)


def test_marks_know_instructions_and_services(tmp_path: Path) -> None:
    rows = records(2 * MARK_ROWS + 1000, seed=2)
    found = outline(tmp_path, rows)
    assert found.total_rows == len(rows)
    for mark in range(4):
        before = rows[: found.row_of(mark)]
        assert found.instructions[mark] == sum(row[5] for row in before if row[2] == Kind.FETCH)
        for vcpu in range(2):
            stack: list[int] = []
            for row in before:
                if row[0] == vcpu and row[2] == Kind.ENTER:
                    stack.append(row[5])
                elif row[0] == vcpu and row[2] == Kind.EXIT:
                    stack.pop()
            assert found.services[mark, vcpu, : found.depth[mark, 0, vcpu]].tolist() == stack


def test_marks_are_found_by_instructions(tmp_path: Path) -> None:
    found = outline(tmp_path, records(3 * MARK_ROWS, seed=3))
    at = found.instructions.tolist()
    assert found.mark_before(at[1]) == 1
    assert found.mark_before(at[1] - 1) == 0
    assert found.mark_after(at[1]) == 1
    assert found.mark_after(at[1] + 1) == 2
    assert found.mark_after(at[-1] + 1) == len(at) - 1


def test_it_comes_back_from_a_file(tmp_path: Path) -> None:
    found = outline(tmp_path, records(1000, seed=4))
    save(tmp_path / "o.npz", found)
    again = load(tmp_path / "o.npz")
    assert again.total_rows == found.total_rows
    assert all(np.array_equal(one, other) for one, other in zip(again.rows, found.rows, strict=True))
    assert np.array_equal(again.depth, found.depth)


def test_a_stretch_of_the_trail_is_read(tmp_path: Path) -> None:
    rows = records(2 * MARK_ROWS, seed=5)
    outline(tmp_path, rows)
    with TrailReader(tmp_path / "trail") as trail:
        numbers, part = trail.between(MARK_ROWS, MARK_ROWS + 100)
    assert numbers.min() == MARK_ROWS
    assert numbers.max() < MARK_ROWS + 100
    assert part.vaddr.tolist() == [rows[number][3] for number in numbers.tolist()]


def test_last_of__of_each_line_the_last_reference_of_each_kind_is_kept() -> None:
    rows = rows_from_records(records(3000, seed=6))
    last: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(zip(*(column.tolist() for column in rows), strict=True)):
        vcpu, asid, kind, vaddr, size, _ = row
        if kind in (Kind.FETCH, Kind.LOAD, Kind.STORE):
            space = asid if vaddr < KSEG0_START else 0
            for line in range(vaddr // LINE, (vaddr + size - 1) // LINE + 1):
                last[vcpu, space, kind, line] = number
    kept, wanted = last_of(rows).tolist(), sorted(set(last.values()))
    assert kept == sorted(kept)
    assert set(wanted) <= set(kept)  # what is forgotten is kept twice
    assert len(kept) < 1.1 * len(wanted)


def test_pages_touched__each_page_of_each_space_once() -> None:
    made = records(3000, seed=7)
    made += [(0, 1, Kind.STORE, AT + number * PAGE, 1, 0) for number in range(PAGES, PAGES + 20_000)]  # more than fit
    wanted = set()
    for _, asid, kind, vaddr, size, _ in made:
        if kind in (Kind.FETCH, Kind.STORE):
            space = asid if vaddr < KSEG0_START else 0
            wanted |= {(space, page) for page in range(vaddr // PAGE, (vaddr + size - 1) // PAGE + 1)}
    space, vpn = pages_touched(rows_from_records(made), (Kind.FETCH, Kind.STORE))
    found = list(zip(space.tolist(), vpn.tolist(), strict=True))
    assert len(found) == len(wanted)
    assert set(found) == wanted
