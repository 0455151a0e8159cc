"""Miss curves of a shipped trace against replays of it, and of traces made by hand."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.curve.curve import Curve
from discotrace.analysis.curve.measure import measured
from discotrace.analysis.curve.question import Question
from discotrace.analysis.fronts import Run
from discotrace.analysis.run import NO_WINDOWS, replay_runs
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import KSEG0_START, KSEG2_START, Kind, Process, Segment, TraceMeta, rows_from_records
from discotrace.tracegen.writer import write_trace
from tests.unit.replay.driving import AT, PAGE, Record, event, fetch, store, trace
from tests.unit.replay.driving import load as load_of

SHIPPED = Path(__file__).parents[4] / "traces"
ALONE = ["cpu.count=1", "l2.inclusive=false"]  # no other CPU takes lines away, and L2 takes none from L1
WAYS = (1, 3, 8)


def curves(path: Path, question: Question, *changes: str) -> list[Curve]:
    with TraceReader(path) as reader:
        return measured(reader, load("flash", changes).machine, question, lambda rows: None).curves


def made(folder: Path, *records: Record, cpus: int = 1, processes: int = 1) -> Path:
    write_trace(folder / "t", trace(cpus, processes), rows_from_records(list(records)))
    return folder / "t"


def misses(curve: Curve, *sizes: int) -> list[int]:
    return [round(number) for number in curve.misses_at(np.array(sizes)).tolist()]


def replayed(path: Path, changes: list[list[str]]) -> list[Counter[str]]:
    """Totals by event of native replays, one for each list of changes."""
    runs = [Run(str(n), "native", load("flash", one).machine) for n, one in enumerate(changes)]
    found = []
    with TraceReader(path) as reader:
        for one in replay_runs(reader, runs, NO_WINDOWS, lambda rows: None):
            totals: Counter[str] = Counter()
            for row in one.counts.to_pylist():
                totals[row["event"]] += row["count"]
            found.append(totals)
    return found


def of_l2(totals: Counter[str]) -> int:
    return sum(n for event, n in totals.items() if event.startswith("l2_") and not event.endswith("hits"))


def test_a_shipped_trace_misses_at_every_size_as_in_replay() -> None:
    """All caches in each replay have the same number of ways, and the sets of the preset."""
    trace = SHIPPED / "database.parquet"
    first = [
        [f"{c}.ways={w}" for c in ("l1i", "l1d")] + [f"{c}.size_kib={16 * w}" for c in ("l1i", "l1d")] for w in WAYS
    ]
    second = [[f"l2.ways={ways}", f"l2.size_kib={512 * ways}"] for ways in WAYS]
    totals = replayed(trace, [[*ALONE, *changes] for changes in (*first, *second)])
    l1i, l1d = curves(trace, Question("l1"), *ALONE)
    (l2,) = curves(trace, Question("l2"), *ALONE)
    assert misses(l1i, *WAYS) == [one["l1i_misses"] for one in totals[:3]]
    assert misses(l1d, *WAYS) == [one["l1d_load_misses"] + one["l1d_store_misses"] for one in totals[:3]]
    assert misses(l2, *WAYS) == [of_l2(one) for one in totals[3:]]
    assert l1d.elsewhere > 0, "lines under several virtual addresses"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pmake", "pmake-generated", "engineering", "raytrace", "radix"])
def test_every_shipped_trace_on_one_cpu_misses_as_in_replay(name: str) -> None:
    trace = SHIPPED / f"{name}.parquet"
    l1i, l1d = curves(trace, Question("l1"), *ALONE)
    (l2,) = curves(trace, Question("l2"), *ALONE)
    (fully,) = curves(trace, Question("l1d", sets=1), *ALONE)
    for ways in (1, 2, 5):
        changes = [f"l1i.ways={ways}", f"l1i.size_kib={16 * ways}", f"l1d.ways={ways}", f"l1d.size_kib={16 * ways}"]
        first, second, third = replayed(
            trace,
            [
                [*ALONE, *changes],
                [*ALONE, f"l2.ways={ways}", f"l2.size_kib={512 * ways}"],
                [*ALONE, f"l1d.ways={32 * ways}", f"l1d.size_kib={ways}"],
            ],
        )
        assert misses(l1i, ways) == [first["l1i_misses"]]
        assert misses(l1d, ways) == [first["l1d_load_misses"] + first["l1d_store_misses"]]
        assert misses(l2, ways) == [of_l2(second)]
        assert misses(fully, 32 * ways) == [third["l1d_load_misses"] + third["l1d_store_misses"]]


def test_a_tlb_entry_is_a_group_of_pages_of_one_process_or_of_the_kernel(tmp_path: Path) -> None:
    """KSEG0 is not translated; both processes use the same entry of KSEG2, and different ones of theirs."""
    records = [
        load_of(AT),
        load_of(AT + PAGE),
        load_of(KSEG2_START),
        load_of(KSEG0_START),
        event(Kind.SWITCH, asid=2, arg=1),
        load_of(AT, asid=2),
        load_of(KSEG2_START, asid=2),
    ]
    (curve,) = curves(made(tmp_path, *records, processes=2), Question("tlb"))
    assert (curve.accesses, curve.cold) == (5, 3)
    assert misses(curve, 1, 2) == [4, 3]


def test_each_cpu_has_a_tlb_of_its_own(tmp_path: Path) -> None:
    records = [load_of(AT), load_of(AT, vcpu=1, asid=2), load_of(AT)]
    (curve,) = curves(made(tmp_path, *records, cpus=2, processes=2), Question("tlb"))
    assert (curve.accesses, misses(curve, 1)) == (3, [2])


def test_a_reference_accesses_every_page_and_line_that_it_touches(tmp_path: Path) -> None:
    """The entry has the second page only after a refill of its own: the handler loads from the page table twice."""
    trace = made(tmp_path, load_of(AT + PAGE - 32, size=64), fetch(16, AT + 60))
    (tlb,), (pages,), (l1i, l1d) = (curves(trace, Question(what)) for what in ("tlb", "pages", "l1"))
    assert tlb.accesses == 3
    assert pages.accesses == 3 + 2
    assert (l1i.accesses, l1d.accesses) == (1, 2 + 2)


def test_a_cleared_page_is_stored_to_without_translation(tmp_path: Path) -> None:
    trace = made(tmp_path, event(Kind.ZERO_PAGE, AT, 2 * PAGE, 100), store(AT))
    (tlb,), (pages,), (l1d,) = (curves(trace, Question(what)) for what in ("tlb", "pages", "l1d"))
    assert (tlb.accesses, pages.accesses, l1d.accesses) == (1, 4, 2 * 128 + 2)


def test_a_page_that_was_freed_is_another_when_it_comes_again(tmp_path: Path) -> None:
    """Its frame is the same. One place was free, so that the page below it never had to go."""
    segments = [Segment(1, 0, PAGE, "anonymous", by_event=True) for _ in range(2)]
    segments.append(Segment(0, KSEG0_START, KSEG0_START + PAGE, "anonymous"))
    records = [
        event(Kind.MAP, arg=0),
        load_of(KSEG0_START),
        load_of(0),
        event(Kind.UNMAP, arg=0),
        event(Kind.MAP, arg=1),
        load_of(0),
        load_of(KSEG0_START),
    ]
    write_trace(tmp_path / "t", TraceMeta(1, [Process(1, "p")], segments), rows_from_records(records))
    (curve,) = curves(tmp_path / "t", Question("pages"))
    assert curve.cold == 4, "two lives, the kernel's page, a page of page table"
    assert misses(curve, 3) == [4]


def test_a_trace_that_needs_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    trace = made(tmp_path, load_of(AT), load_of(KSEG0_START))
    with pytest.raises(ConfigError, match="out of memory"):
        curves(trace, Question("tlb"), "memory.mib_per_node=1", "memory.page_kib=512")
