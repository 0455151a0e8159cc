"""The stage: turns of CPUs, quantum, barriers, life of processes, and that every row comes out once and in order."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.rules import FormatChecker
from discotrace.tracegen.schema import KERNEL_BASE, Kind, Rows, Segment, Service, TraceMeta, concat_rows
from discotrace.tracegen.workloads.emit import Block, load, references, run
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.program import (
    Barrier,
    Close,
    Exec,
    Fork,
    Leave,
    Map,
    Open,
    OtherCall,
    Preload,
    Process,
    Program,
    Read,
    Resident,
    Stat,
    Step,
    Unmap,
    Wait,
    Write,
)
from discotrace.tracegen.workloads.stage import Stage, StageParameters
from discotrace.tracegen.workloads.workload import Workload

TEXT, DATA = 0x40_0000, 0x1000_0000
BODY = Block(TEXT, 10)
IMAGE_BYTES = 8192
DATA_BYTES = 1 << 16
PAGE = 4096


def image(process: Process) -> Exec:
    file = process.file("/bin/test", IMAGE_BYTES, 0)
    text = Segment(0, TEXT, TEXT + IMAGE_BYTES, "file", file, writable=False)
    return Exec(file, (text, Segment(0, DATA, DATA + DATA_BYTES, "anonymous")))


def loop(iterations: int) -> Iterator[Step]:
    """Ten instructions and a load of the next word, so many times."""
    addresses = np.uint64(DATA) + np.arange(iterations, dtype=np.uint64) * np.uint64(4) % np.uint64(DATA_BYTES)
    yield references(iterations, run(BODY), load(addresses, 4))


def runner(*steps: Step, iterations: int = 100) -> Program:
    """A program that starts up, takes these steps, and works."""

    def program(process: Process) -> Iterator[Step]:
        yield image(process)
        yield from steps
        yield from loop(iterations)

    return program


@dataclass
class Show:
    """A stage that keeps its rows."""

    cpus: int = 1
    parameters: StageParameters = field(default_factory=StageParameters)

    def __post_init__(self) -> None:
        self.meta = TraceMeta(self.cpus)
        self.parts: list[Rows] = []
        self.stage = Stage(self.meta, self.parts.append, self.parameters)

    def run(self) -> Rows:
        """Run, check all rules of the format, and give all rows."""
        self.stage.run()
        rows = concat_rows(self.parts)
        checker = FormatChecker(self.meta)
        violations = checker.check(rows)
        assert not violations + checker.finish(), violations[:3]
        return rows


def user(rows: Rows, asid: int) -> Rows:
    """References of a process outside the kernel."""
    mine = (rows.kind <= Kind.STORE) & (rows.asid == asid) & (rows.vaddr < KERNEL_BASE)
    return Rows(*(column[mine] for column in rows))


def entries(rows: Rows, service: Service) -> int:
    return int(((rows.kind == Kind.ENTER) & (rows.arg == service)).sum())


def stretches(column: np.ndarray) -> tuple[list[int], list[int]]:
    """Runs of equal values: the values and the lengths."""
    edges = np.flatnonzero(np.diff(column)) + 1
    starts = np.concatenate([[0], edges])
    return column[starts].tolist(), np.diff(np.concatenate([starts, [len(column)]])).tolist()


# ---- rows ---------------------------------------------------------------------------------------------------------


def test_every_cpu_begins_with_a_booted_kernel() -> None:
    show = Show(cpus=2)
    show.stage.start(runner(), "p", cpus=range(1))
    rows = show.run()
    is_resident = rows.kind == Kind.RESIDENT
    count = int(is_resident.sum())
    assert is_resident[:count].all()
    assert stretches(rows.vcpu[:count])[0] == [0, 1]


@pytest.mark.parametrize("slice_instructions", [1, 7, 100, 5_000])
def test_cuts_at_slices_keep_every_row_and_its_order(slice_instructions: int) -> None:
    show = Show(cpus=2, parameters=StageParameters(slice=slice_instructions))
    for cpu in range(2):
        show.stage.start(runner(iterations=300), "p", cpus=range(cpu, cpu + 1))
    rows = show.run()
    (chunk,) = loop(300)
    for asid in (1, 2):
        mine = user(rows, asid)
        for column, wanted in zip((mine.kind, mine.vaddr, mine.size, mine.arg), chunk, strict=True):  # type: ignore[arg-type]
            np.testing.assert_array_equal(column, wanted)
        assert (mine.vcpu == asid - 1).all()


def test_data_rows_stay_with_the_run_before_them() -> None:
    rows = concat_rows([part for part in _two_loops().parts if len(part.kind) > 0])
    for asid in (1, 2):
        places = np.flatnonzero((rows.asid == asid) & (rows.kind == Kind.LOAD) & (rows.vaddr < KERNEL_BASE))
        before = places - 1
        faults = rows.kind[before] == Kind.EXIT  # a first touch faults between run and load
        assert (rows.kind[before[~faults]] == Kind.FETCH).all()
        assert (rows.asid[before] == asid).all()


def _two_loops() -> Show:
    show = Show(cpus=2, parameters=StageParameters(slice=33))
    for cpu in range(2):
        show.stage.start(runner(iterations=200), "p", cpus=range(cpu, cpu + 1))
    show.run()
    return show


def test_equal_programs_give_equal_rows() -> None:
    first, second = (concat_rows(_two_loops().parts) for _ in range(2))
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


def test_slices_with_nothing_in_between_go_out_together() -> None:
    show = Show(parameters=StageParameters(slice=100, tick=10**9))
    show.stage.start(runner(iterations=100_000), "p")
    show.run()
    longest = max(show.parts, key=lambda part: len(part.kind))
    assert len(longest.kind) > 100_000
    assert (longest.asid == 1).all()


def test_progress_adds_up_to_the_instructions_of_programs() -> None:
    show = Show()
    show.stage.start(runner(iterations=300), "p")
    told: list[int] = []
    show.stage.run(told.append)
    assert sum(told) == 3000


# ---- CPUs ---------------------------------------------------------------------------------------------------------


def test_cpus_run_alternately_slice_by_slice() -> None:
    show = Show(cpus=2, parameters=StageParameters(slice=200_000))
    for cpu in range(2):
        show.stage.start(runner(iterations=80_000), "p", cpus=range(cpu, cpu + 1))
    rows = show.run()
    _, lengths = stretches(rows.vcpu[(rows.kind == Kind.FETCH) & (rows.vaddr < KERNEL_BASE)])
    assert lengths[2:-2] == pytest.approx([20_000] * (len(lengths) - 4), rel=0.12)  # first touches come in between


def test_clocks_of_busy_cpus_stay_within_a_slice_of_each_other() -> None:
    show = Show(cpus=2, parameters=StageParameters(slice=5_000))
    for cpu in range(2):
        show.stage.start(runner(iterations=100_000), "p", cpus=range(cpu, cpu + 1))
    rows = show.run()
    runs = np.where((rows.kind == Kind.FETCH) | (rows.kind == Kind.ZERO_PAGE), rows.arg, 0).astype(np.int64)
    ahead = np.cumsum(np.where(rows.vcpu == 0, runs, -runs))
    busy = np.flatnonzero((rows.kind == Kind.FETCH) & (rows.vaddr < KERNEL_BASE))
    longest = 150_000  # a step of the OS, which runs in one piece: execve
    assert np.abs(ahead[busy]).max() < 5_000 + longest
    settled = busy[len(busy) // 2 : -2_000]
    assert np.abs(ahead[settled]).max() < 5_000 + 1_500 + 5_000


def test_processes_of_one_cpu_take_turns_by_the_quantum() -> None:
    quantum = 300_000
    show = Show(parameters=StageParameters(quantum=quantum))
    for _ in range(2):
        show.stage.start(runner(iterations=100_000), "p")
    rows = show.run()
    mine = rows.asid[(rows.kind == Kind.FETCH) & (rows.vaddr < KERNEL_BASE)]
    asids, lengths = stretches(mine)
    assert asids == [1, 2] * (len(asids) // 2)
    assert all(quantum * 0.95 < 10 * length <= quantum + 5_000 for length in lengths[2:-2])
    assert len(lengths) >= 7


def test_a_process_alone_is_not_switched_at_the_end_of_its_quantum() -> None:
    show = Show(parameters=StageParameters(quantum=10_000))
    show.stage.start(runner(iterations=50_000), "p")
    rows = show.run()
    assert (rows.kind == Kind.SWITCH).sum() == 1


def test_the_clock_ticks_on_busy_cpus_only() -> None:
    show = Show(cpus=2, parameters=StageParameters(tick=50_000))
    show.stage.start(runner(iterations=100_000), "p", cpus=range(1))
    show.stage.start(runner(iterations=10), "q", cpus=range(1, 2))
    rows = show.run()
    ticks = rows.vcpu[(rows.kind == Kind.ENTER) & (rows.arg == Service.TICK)]
    assert (ticks == 0).sum() == pytest.approx(1_000_000 / 50_000, abs=5)
    assert (ticks == 1).sum() <= 4  # while it starts up and ends


def test_a_cpu_with_nothing_to_run_idles_as_long_as_others_work() -> None:
    show = Show(cpus=2)
    show.stage.start(runner(iterations=100_000), "p", cpus=range(1))
    show.stage.start(runner(iterations=10), "q", cpus=range(1, 2))
    rows = show.run()
    idle = rows.kind == Kind.IDLE
    assert set(rows.vcpu[idle].tolist()) == {1}
    assert int(rows.size[idle].sum()) == pytest.approx(1_000_000, rel=0.1)


def test_processes_of_one_set_of_cpus_fill_them_all() -> None:
    show = Show(cpus=3)
    for _ in range(3):
        show.stage.start(runner(iterations=1_000), "p")
    rows = show.run()
    assert {int(user(rows, asid).vcpu[0]) for asid in (1, 2, 3)} == {0, 1, 2}


def test_sets_of_cpus_must_be_equal_or_apart() -> None:
    show = Show(cpus=3)
    show.stage.start(runner(), "p", cpus=range(2))
    with pytest.raises(ConfigError, match="share some"):
        show.stage.start(runner(), "q", cpus=range(1, 3))


@pytest.mark.parametrize(("affinity", "cpus"), [(1, range(15, 21)), (1_000, range(5, 7))])
def test_a_cpu_prefers_what_ran_on_it_last(affinity: int, cpus: range) -> None:
    """Five processes on four CPUs: taken in turn they go round all CPUs, else two of them share one."""
    show = Show(cpus=4, parameters=StageParameters(quantum=50_000, affinity=affinity))
    for _ in range(5):
        show.stage.start(runner(iterations=50_000), "p")
    rows = show.run()
    homes = [len(set(user(rows, asid).vcpu[: len(user(rows, asid).vcpu) // 2].tolist())) for asid in range(1, 6)]
    assert sum(homes) in cpus


@pytest.mark.parametrize("name", ["quantum", "slice", "tick", "affinity"])
def test_parameters_are_at_least_one(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        StageParameters(**{name: 0})


# ---- barriers -----------------------------------------------------------------------------------------------------


def test_nobody_passes_a_barrier_before_all_have_come() -> None:
    show = Show(cpus=2)
    show.stage.start(runner(Barrier(1, 2), iterations=100), "fast", cpus=range(1))
    show.stage.start(runner(*loop(50_000), Barrier(1, 2), iterations=100), "slow", cpus=range(1, 2))
    rows = show.run()
    arrivals = np.flatnonzero(rows.kind == Kind.BARRIER)
    assert rows.asid[arrivals].tolist() == [1, 2]
    assert rows.size[arrivals].tolist() == [2, 2]
    fast = np.flatnonzero((rows.asid == 1) & (rows.kind == Kind.LOAD) & (rows.vaddr < KERNEL_BASE))
    assert fast[0] > arrivals[1]
    assert int(rows.size[rows.kind == Kind.IDLE].sum()) == pytest.approx(500_000, rel=0.2)


def test_a_barrier_can_be_used_again() -> None:
    show = Show(cpus=2)
    for cpu in range(2):
        show.stage.start(runner(*[Barrier(1, 2)] * 5), "p", cpus=range(cpu, cpu + 1))
    rows = show.run()
    arrivals = rows.asid[rows.kind == Kind.BARRIER].reshape(5, 2)
    assert (np.sort(arrivals, axis=1) == [1, 2]).all()


def test_a_barrier_of_processes_on_one_cpu_switches_between_them() -> None:
    show = Show()
    for _ in range(3):
        show.stage.start(runner(Barrier(7, 3)), "p")
    rows = show.run()
    assert rows.arg[rows.kind == Kind.BARRIER].tolist() == [7, 7, 7]


def test_a_barrier_that_not_all_come_to_is_an_error() -> None:
    show = Show(cpus=2)
    show.stage.start(runner(Barrier(1, 2)), "p", cpus=range(1))
    show.stage.start(runner(), "q", cpus=range(1, 2))
    with pytest.raises(ConfigError, match="barrier"):
        show.stage.run()


# ---- processes ----------------------------------------------------------------------------------------------------


def test_a_parent_waits_until_its_child_has_ended() -> None:
    show = Show(cpus=2)
    show.stage.start(runner(Fork(lambda _: loop(1_000), "child"), Wait()), "parent")
    rows = show.run()
    (ended,) = np.flatnonzero((rows.kind == Kind.PROCESS_EXIT) & (rows.asid == 2))
    work = np.flatnonzero((rows.asid == 1) & (rows.kind == Kind.LOAD) & (rows.vaddr < KERNEL_BASE))
    assert work[0] > ended
    assert [(q.asid, q.parent, q.name) for q in show.meta.processes] == [(1, 0, "parent"), (2, 1, "child")]
    assert entries(rows, Service.FORK) == entries(rows, Service.WAIT) == 1
    assert entries(rows, Service.EXIT) == 2


def test_wait_returns_at_once_for_a_child_that_has_ended_or_never_was() -> None:
    show = Show(cpus=2)
    show.stage.start(runner(Wait(), Fork(lambda _: loop(1), "child"), *loop(100_000), Wait(), Wait()), "parent")
    rows = show.run()
    assert entries(rows, Service.WAIT) == 3
    assert len(user(rows, 1).kind) == 2 * (100_000 + 100)


def test_a_parent_may_end_before_its_child() -> None:
    show = Show(cpus=2)
    show.stage.start(runner(Fork(lambda _: loop(50_000), "child"), iterations=1), "parent")
    rows = show.run()
    assert rows.asid[rows.kind == Kind.PROCESS_EXIT].tolist() == [1, 2]


def test_children_run_on_the_cpus_of_their_parent() -> None:
    show = Show(cpus=4)
    child = Fork(lambda _: loop(100), "child")
    show.stage.start(runner(child, child, child, Wait(), Wait(), Wait()), "parent", cpus=range(2, 4))
    rows = show.run()
    assert set(rows.vcpu[rows.kind != Kind.RESIDENT].tolist()) == {2, 3}


def test_instances_are_those_of_the_ancestor() -> None:
    show = Show()
    show.stage.start(runner(Fork(lambda _: loop(1), "child")), "parent", instance=3)
    show.run()
    assert {process.instance for process in show.meta.processes} == {3}


def test_every_system_call_enters_its_service() -> None:
    def program(process: Process) -> Iterator[Step]:
        yield image(process)
        file = process.file("/tmp/f", 4 * 4096, 1)
        yield from (Open(file), Read(file, 0, 100, DATA), Write(file, 0, 100, DATA), Close(file), Stat(0), OtherCall())
        heap = Segment(0, DATA + DATA_BYTES, DATA + DATA_BYTES + 4096, "anonymous")
        yield from (Map(heap, grows_heap=True), Unmap(heap.start, heap.end))
        yield Map(Segment(0, 0x3000_0000, 0x3000_1000, "shared", 1))

    show = Show()
    show.stage.start(program, "p")
    rows = show.run()
    for service in (
        Service.OPEN,
        Service.READ,
        Service.WRITE,
        Service.CLOSE,
        Service.STAT,
        Service.SYSCALL,
        Service.BRK,
    ):
        assert entries(rows, service) == 1, service
    assert entries(rows, Service.MMAP) == 2
    assert all(segment.asid == 1 for segment in show.meta.segments if segment.by_event)
    assert (rows.kind == Kind.MAP).sum() == 4


# ---- what was before the trace, and what comes after it -----------------------------------------------------------


def faults_with(*steps: Step) -> int:
    """Pages that a loop over all data has to have cleared, after these steps."""
    show = Show()
    show.stage.start(runner(*steps, iterations=DATA_BYTES // 4), "p")
    return entries(show.run(), Service.DEMAND_ZERO)


def test_resident_pages_do_not_fault_and_others_do() -> None:
    pages = DATA_BYTES // PAGE
    assert faults_with() == pages
    assert faults_with(Resident(DATA, DATA + DATA_BYTES)) == 0
    assert faults_with(Resident(DATA + PAGE, DATA + 4 * PAGE)) == pages - 3


def test_resident_pages_that_are_unmapped_are_gone() -> None:
    again = Map(Segment(0, DATA, DATA + DATA_BYTES, "anonymous"))
    assert faults_with(Resident(DATA, DATA + DATA_BYTES), Unmap(DATA, DATA + DATA_BYTES), again) == DATA_BYTES // PAGE


def test_a_process_that_leaves_keeps_its_memory_and_gives_up_its_cpu() -> None:
    show = Show()
    show.stage.start(runner(*loop(100), Leave(), iterations=0), "leaves")
    show.stage.start(runner(iterations=100), "stays")
    rows = show.run()
    left = rows.asid == 1
    assert not np.isin(rows.kind[left], [Kind.PROCESS_EXIT, Kind.UNMAP, Kind.FREE_PAGE]).any()
    assert len(user(rows, 2).kind) == 200
    assert rows.asid[rows.kind == Kind.PROCESS_EXIT].tolist() == [2]


def test_preloaded_files_are_told_of_in_one_row_and_never_read_from_disk() -> None:
    def start(*, preloads: bool) -> tuple[Rows, int]:
        def program(process: Process) -> Iterator[Step]:
            file = process.file("/data", DATA_BYTES, 0)
            if preloads:
                yield from (Preload(file), Preload(image(process).file))
            yield image(process)
            yield Read(file, 0, DATA_BYTES, DATA)
            yield from loop(10)

        show = Show()
        show.stage.start(program, "p")
        rows = show.run()
        (file,) = (file.id for file in show.meta.files if file.name == "/data")
        return rows, file

    (cold, _), (warm, file) = start(preloads=False), start(preloads=True)
    told = (warm.kind == Kind.RESIDENT) & (warm.arg == file)
    assert list(zip(warm.vaddr[told].tolist(), warm.size[told].tolist(), strict=True)) == [(0, DATA_BYTES)]
    assert entries(cold, Service.PAGE_IN) + entries(cold, Service.QUICK_FAULT) == entries(warm, Service.QUICK_FAULT)
    assert entries(warm, Service.PAGE_IN) == 0
    assert instructions_in(warm, Service.READ) < instructions_in(cold, Service.READ)  # no requests to the disk


def instructions_in(rows: Rows, service: Service) -> int:
    """Of one call without others inside it, in a trace of one CPU."""
    (first,) = np.flatnonzero((rows.kind == Kind.ENTER) & (rows.arg == service))
    (last,) = np.flatnonzero((rows.kind == Kind.EXIT) & (rows.arg == service))
    return int(rows.arg[first:last][rows.kind[first:last] == Kind.FETCH].sum(dtype=np.int64))


# ---- generate -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fixed(Workload):
    """One loop per CPU."""

    def start(self, stage: Stage) -> None:
        for cpu in range(self.cpu_count):
            stage.start(runner(iterations=500 * self.seed), "fixed", cpus=range(cpu, cpu + 1))


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        made = generate(Fixed(cpus=2, seed=seed), "fixed", tmp_path / name, version="0")
        assert made.processes == 2
    first, second, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second != other
