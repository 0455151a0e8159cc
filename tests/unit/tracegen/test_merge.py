"""A raw capture written by hand, through histories, schedule and guest kernel, into a trace."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from discotrace.tracegen.errors import CaptureError
from discotrace.tracegen.histories import build_histories, group_images, process_name
from discotrace.tracegen.lackey import FETCH, LOAD, STORE
from discotrace.tracegen.log_tail import SCHEMA
from discotrace.tracegen.merge import MergeResult, merge
from discotrace.tracegen.raw_format import Limits, Mapping, RawCapture, RawImage
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.reference_stream import ReferenceStream
from discotrace.tracegen.rules import check_rows
from discotrace.tracegen.scheduler import ScheduleParameters
from discotrace.tracegen.schema import KERNEL_BASE, Kind, Rows, Service, TraceMeta, concat_rows
from discotrace.tracegen.steps import Exec, Exit, Fork, Step, Wait

TEXT, DATA, STACK = 0x400000, 0x402000, 0x1FFEFFF000
ALL = 10**12
Row = tuple[int, int, int, int]

SHELL = [
    Mapping(TEXT, DATA, False, 0, "/home/w/prog"),
    Mapping(DATA, DATA + 0x1000, True, 0x2000, "/home/w/prog"),
    Mapping(STACK, STACK + 0x2000, True, 0, ""),
]


def run(position: int, count: int, repeat: int = 1) -> list[Row]:
    """Runs of ``count`` instructions of 4 bytes, each followed by a load from the stack."""
    return [(FETCH, TEXT + position, 4 * count, count), (LOAD, STACK + 16, 8, 0)] * repeat


def add_image(capture: RawCapture, image: RawImage, rows: list[Row], calls: list[tuple[int, str]]) -> None:
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    table = pa.table([pa.array(c, t.type) for c, t in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    pq.write_table(table, capture.references_path(image))
    lines = [f"{row}\tSYSCALL[{image.pid},1](1) {text}\n" for row, text in calls]
    capture.calls_path(image).write_text("".join(lines))
    image.rows = len(rows)
    image.instructions = sum(row[3] for row in rows)
    capture.images.append(image)


@pytest.fixture
def capture(tmp_path: Path) -> RawCapture:
    """A shell that forks a reader, which runs another program, and a writer, which sends it 5 bytes."""
    directory = tmp_path / "raw"
    directory.mkdir()
    files = {
        "/home/w/prog": ("/home/w/prog", 0x3000),
        "/home/w/in.txt": ("/home/w/in.txt", 5000),
        "/bin/cat": ("/usr/bin/cat", 0x2000),
    }
    made = RawCapture(directory, ["prog", "x"], "/home/w", 0, "valgrind-3.19.0", Limits(ALL, ALL), files=files)
    add_image(
        made,
        RawImage(0, 100, 1, "prog x", mappings=SHELL),
        [*run(0, 10, 50), (STORE, DATA, 8, 0), *run(64, 5, 20)],
        [
            (100, "sys_openat ( 4294967196, 0x1(in.txt), 0 ) --> [pre] Success(0x3)"),
            (100, f"sys_read ( 3, {STACK + 64:#x}, 100 ) --> [pre] Success(0x64)"),
            (100, "sys_pipe2 ( 0x1, 0x0 )[sync] --> Success(0x0)"),
            (100, "sys_fork ( )   fork: process 100 created child 101"),
            (101, "sys_fork ( )   fork: process 100 created child 102"),
            (101, "sys_wait4 ( 4294967295, 0x1, 0, 0x0 ) --> [pre] Success(0x65)"),
            (141, "sys_wait4 ( 4294967295, 0x1, 0, 0x0 ) --> [pre] Success(0x66)"),
            (141, "exit_group( 0 ) --> [pre-success] Success(0x0)"),
        ],
    )
    add_image(
        made, RawImage(1, 101, 100, "prog x", forked=True), run(0, 3), [(2, "sys_dup2 ( 4, 0 )[sync] --> Success(0x0)")]
    )
    add_image(
        made,
        RawImage(2, 101, 100, "/bin/cat", mappings=[Mapping(TEXT, DATA, False, 0, "/bin/cat"), SHELL[2]]),
        run(0, 7, 30),
        [(30, f"sys_read ( 0, {STACK + 128:#x}, 4096 ) --> [pre] Success(0x5)")],
    )
    add_image(
        made,
        RawImage(3, 102, 100, "prog x", forked=True),
        run(0, 2, 2000),
        [(3000, f"sys_write ( 5, {STACK + 64:#x}, 5 ) --> [pre] Success(0x5)")],
    )
    return made


def merged(
    capture: RawCapture,
    path: Path,
    schedule: ScheduleParameters | None = None,
    limits: Limits | None = None,
    instances: int = 1,
    cold: bool = False,
) -> tuple[TraceMeta, Rows, MergeResult]:
    result = merge(
        capture,
        path,
        schedule or ScheduleParameters(2),
        limits or Limits(ALL, ALL),
        version="9.9",
        instances=instances,
        cold=cold,
    )
    with TraceReader(path) as reader:
        return reader.meta, concat_rows(list(reader.batches())), result


def user_rows(rows: Rows, asid: int) -> list[Row]:
    """The program's own rows: those outside services."""
    depth = np.zeros(len(rows.kind), np.int64)
    for vcpu in np.unique(rows.vcpu):
        mine = rows.vcpu == vcpu
        change = (rows.kind[mine] == Kind.ENTER).astype(np.int64) - (rows.kind[mine] == Kind.EXIT).astype(np.int64)
        depth[mine] = np.cumsum(change)
    chosen = (depth == 0) & (rows.asid == asid) & (rows.kind <= STORE) & (rows.vaddr < KERNEL_BASE)
    columns = (rows.kind, rows.vaddr, rows.size, rows.arg)
    return list(zip(*(column[chosen].tolist() for column in columns), strict=True))


def recorded_rows(capture: RawCapture, *numbers: int) -> list[Row]:
    tables = [pq.read_table(capture.references_path(capture.images[number])) for number in numbers]
    return [row for table in tables for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]


def test_histories__say_who_forked_whom_and_ran_what(capture: RawCapture) -> None:
    histories = build_histories(capture, ALL)
    assert [(h.asid, h.parent, h.name, h.images) for h in histories] == [
        (1, 0, "prog", [0]),
        (2, 1, "cat", [1, 2]),
        (3, 1, "prog", [3]),
    ]
    steps = histories[0].steps
    assert isinstance(steps[0].action, Exec)
    assert [step for step in steps if isinstance(step.action, Fork | Wait | Exit)] == [
        Step(500, Fork(2)),
        Step(500, Fork(3)),
        Step(500, Wait(2, True)),
        Step(600, Wait(3, True)),
        Step(600, Exit()),
    ]
    executed = next(step for step in histories[1].steps if isinstance(step.action, Exec))
    assert executed.position == 3
    assert isinstance(executed.action, Exec)
    assert executed.action.path == "/usr/bin/cat"


def test_histories__beyond_the_limit_only_what_others_depend_on_is_kept(capture: RawCapture) -> None:
    history = build_histories(capture, 100)[0]
    assert history.instructions == 100
    kinds = [type(step.action) for step in history.steps]
    assert kinds == [Exec, Fork, Fork, Wait, Wait, Exit]
    assert {step.position for step in history.steps[1:]} == {100}


def test_histories__calls_after_the_last_recorded_reference_were_beyond_the_limit(capture: RawCapture) -> None:
    path = capture.calls_path(capture.images[3])
    path.write_text(path.read_text() + "4001\tSYSCALL[102,1](12) sys_brk ( 0x0 ) --> [pre] Success(0x5000)\n")
    capture.images[3].dropped_instructions = 5
    kinds = [type(step.action).__name__ for step in build_histories(capture, ALL)[2].steps]
    assert kinds == ["PipeTransfer", "Exit"]


def test_histories__a_child_without_a_log_ends_at_once(capture: RawCapture) -> None:
    del capture.images[3]
    silent = build_histories(capture, ALL)[2]
    assert (silent.name, silent.images, silent.steps) == ("prog", [], [Step(0, Exit())])


def test_histories__a_process_whose_fork_was_not_seen_has_no_parent(capture: RawCapture) -> None:
    capture.calls_path(capture.images[0]).write_text("")
    assert [history.parent for history in build_histories(capture, ALL)] == [0, 0, 0]


def test_images__a_forked_image_starts_a_process_also_of_a_used_number() -> None:
    images = [RawImage(0, 5), RawImage(1, 6, forked=True), RawImage(2, 6), RawImage(3, 6, forked=True)]
    assert [[i.number for i in group] for group in group_images(images)] == [[0], [1, 2], [3]]


def test_process_name() -> None:
    images = [RawImage(0, 5, command="sh -c x", forked=True), RawImage(1, 5, command="/usr/bin/cc1 -quiet")]
    assert (process_name(images, "make"), process_name(images[:1], "make"), process_name([], "make")) == (
        "cc1",
        "sh",
        "make",
    )


@pytest.mark.parametrize("step", [1, 7, 50, 10**6])
def test_stream__gives_every_row_once_with_data_after_its_run(capture: RawCapture, step: int) -> None:
    stream = ReferenceStream([capture.references_path(capture.images[n]) for n in (1, 2)])
    rows: list[Row] = []
    for stop in range(step, 213 + step, step):
        part = concat_rows(stream.take(stop))
        assert not len(part.kind) or part.kind[0] == FETCH
        rows += zip(*(c.tolist() for c in part[2:]), strict=True)
    assert rows == recorded_rows(capture, 1, 2)


def test_stream__a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "0000.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(CaptureError, match=r"0000\.parquet"):
        ReferenceStream([tmp_path / "0000.parquet"]).take(1)
    with pytest.raises(CaptureError, match=r"none\.parquet"):
        ReferenceStream([tmp_path / "none.parquet"]).take(1)


@pytest.mark.parametrize("cpus", [1, 2, 3])
def test_the_trace_keeps_every_rule_and_every_reference(capture: RawCapture, tmp_path: Path, cpus: int) -> None:
    meta, rows, result = merged(capture, tmp_path / "t.parquet", ScheduleParameters(cpus))
    assert check_rows(meta, rows) == []
    assert user_rows(rows, 1) == recorded_rows(capture, 0)
    assert user_rows(rows, 2) == recorded_rows(capture, 1, 2)
    assert user_rows(rows, 3) == recorded_rows(capture, 3)
    assert result.instructions == 600 + 213 + 4000
    assert result.rows == len(rows.kind)
    assert (result.guessed_pages, result.released, result.processes) == (0, 0, 3)


def test_equal_captures_give_equal_bytes(capture: RawCapture, tmp_path: Path) -> None:
    for name in ("a", "b"):
        merged(capture, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_one_instance_is_the_workload_as_it_was_recorded(capture: RawCapture, tmp_path: Path) -> None:
    meta, _, _ = merged(capture, tmp_path / "one", instances=1)
    merge(capture, tmp_path / "none", ScheduleParameters(2), Limits(ALL, ALL), version="9.9")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "none").read_bytes()
    assert {process.instance for process in meta.processes} == {0}
    assert {file.disk for file in meta.files} == {0}
    assert not any(file.name.startswith("[") for file in meta.files)
    assert "instances" not in meta.provenance


@pytest.mark.parametrize(("instances", "cpus"), [(3, 6), (3, 3), (3, 2), (2, 5)])
def test_instances__each_has_every_reference_of_the_workload_and_all_rules_hold(
    capture: RawCapture, tmp_path: Path, instances: int, cpus: int
) -> None:
    meta, rows, result = merged(capture, tmp_path / "t.parquet", ScheduleParameters(cpus), instances=instances)
    assert check_rows(meta, rows) == []
    for instance in range(instances):
        assert user_rows(rows, 3 * instance + 1) == recorded_rows(capture, 0)
        assert user_rows(rows, 3 * instance + 2) == recorded_rows(capture, 1, 2)
        assert user_rows(rows, 3 * instance + 3) == recorded_rows(capture, 3)
    assert result.instructions == instances * (600 + 213 + 4000)
    assert (result.guessed_pages, result.released, result.processes) == (0, 0, 3 * instances)
    assert {process.asid: process.instance for process in meta.processes} == {
        asid: (asid - 1) // 3 for asid in range(1, 3 * instances + 1)
    }
    assert meta.provenance["instances"] == instances


def test_instances__each_stays_on_its_cpus(capture: RawCapture, tmp_path: Path) -> None:
    _, rows, _ = merged(capture, tmp_path / "t.parquet", ScheduleParameters(4), instances=2)
    asids = [set(rows.asid[(rows.vcpu // 2 == half)].tolist()) - {0} for half in (0, 1)]
    assert asids == [{1, 2, 3}, {4, 5, 6}]


def test_instances__each_has_its_working_directory_on_a_disk_of_its_own(capture: RawCapture, tmp_path: Path) -> None:
    meta, rows, _ = merged(capture, tmp_path / "t.parquet", ScheduleParameters(2), instances=2)
    disks = {file.name: file.disk for file in meta.files}
    assert disks == {
        "/bin/cat": 0,
        "/unix": 0,
        "/usr/bin/cat": 0,
        "[0] prog": 1,
        "[1] prog": 2,
        "[0] in.txt": 1,
        "[1] in.txt": 2,
    }
    disk_of_file = {file.id: file.disk for file in meta.files}
    instance_of = {process.asid: process.instance for process in meta.processes}
    is_read = rows.kind == Kind.FILE_READ
    read = {
        (instance_of[asid], disk_of_file[file])
        for asid, file in zip(rows.asid[is_read].tolist(), rows.arg[is_read].tolist(), strict=True)
    }
    assert {(0, 1), (1, 2)} <= read <= {(0, 0), (0, 1), (1, 0), (1, 2)}


def resident_files(meta: TraceMeta, rows: Rows) -> set[tuple[int, str]]:
    """Instance and name of each file that RESIDENT rows are about."""
    names = {file.id: file.name for file in meta.files}
    instances = {process.asid: process.instance for process in meta.processes}
    chosen = rows.kind == Kind.RESIDENT
    columns = (rows.asid[chosen].tolist(), rows.arg[chosen].tolist())
    return {(instances[asid], names[file]) for asid, file in zip(*columns, strict=True)}


def run_the_file_of_its_mapping(capture: RawCapture) -> None:
    """The forked shell's program is mapped under the name that it is run by."""
    capture.images[2].mappings[0] = replace(capture.images[2].mappings[0], path="/usr/bin/cat")


def test_files_that_were_there_before_the_command_are_in_memory(capture: RawCapture, tmp_path: Path) -> None:
    run_the_file_of_its_mapping(capture)
    meta, rows, _ = merged(capture, tmp_path / "warm")
    assert resident_files(meta, rows) == {(0, "prog"), (0, "in.txt"), (0, "/usr/bin/cat")}
    assert (rows.kind == Kind.FILE_READ).sum() == 1, "the program's own read"
    assert "cold" not in meta.provenance
    cold_meta, cold, _ = merged(capture, tmp_path / "cold", cold=True)
    assert resident_files(cold_meta, cold) == set()
    assert (cold.kind == Kind.FILE_READ).sum() > 1
    assert cold_meta.provenance["cold"] is True
    assert cold_meta.files == meta.files
    assert all(user_rows(rows, asid) == user_rows(cold, asid) for asid in (1, 2, 3))


def test_files_that_the_command_makes_are_not_in_memory_before(capture: RawCapture, tmp_path: Path) -> None:
    path = capture.calls_path(capture.images[0])
    path.write_text(path.read_text().replace("0x1(in.txt), 0 )", "0x1(in.txt), 578 )"))  # O_RDWR | O_CREAT | O_TRUNC
    meta, rows, _ = merged(capture, tmp_path / "t.parquet")
    assert {name for _, name in resident_files(meta, rows)} == {"prog", "/bin/cat", "/usr/bin/cat"}


def test_instances__each_finds_what_it_uses_in_memory(capture: RawCapture, tmp_path: Path) -> None:
    run_the_file_of_its_mapping(capture)
    meta, rows, _ = merged(capture, tmp_path / "t.parquet", ScheduleParameters(4), instances=2)
    assert check_rows(meta, rows) == []
    own = {(i, f"[{i}] {name}") for i in range(2) for name in ("prog", "in.txt")}
    assert resident_files(meta, rows) == own | {(0, "/usr/bin/cat"), (1, "/usr/bin/cat")}


def test_instances__a_shared_object_belongs_to_one(capture: RawCapture, tmp_path: Path) -> None:
    path = capture.calls_path(capture.images[0])
    shared = "sys_mmap ( 0x0, 4096, 3, 33, 4294967295, 0 ) --> [pre] Success(0x7000000)"
    path.write_text(f"50\tSYSCALL[100,1](9) {shared}\n" + path.read_text())
    meta, _, _ = merged(capture, tmp_path / "t.parquet", instances=2)
    objects = {(segment.asid > 3, segment.object) for segment in meta.segments if segment.backing == "shared"}
    assert sorted(objects) == [(False, 1), (True, 2)]


def test_services_come_from_the_calls(capture: RawCapture, tmp_path: Path) -> None:
    _, rows, _ = merged(capture, tmp_path / "t.parquet")
    entered = rows.arg[rows.kind == Kind.ENTER].tolist()
    counts = {service: entered.count(service) for service in (Service.FORK, Service.EXECVE, Service.EXIT, Service.READ)}
    assert counts == {Service.FORK: 2, Service.EXECVE: 2, Service.EXIT: 3, Service.READ: 2}
    assert (rows.kind == Kind.PROCESS_EXIT).sum() == 3


def test_the_reader_gets_its_bytes_after_the_writer_sent_them(capture: RawCapture, tmp_path: Path) -> None:
    _, rows, _ = merged(capture, tmp_path / "t.parquet")
    is_enter = rows.kind == Kind.ENTER
    read = np.flatnonzero(is_enter & (rows.arg == Service.READ) & (rows.asid == 2))
    write = np.flatnonzero(is_enter & (rows.arg == Service.WRITE) & (rows.asid == 3))
    assert write[0] < read[0]


def test_metadata_names_files_by_the_working_directory(capture: RawCapture, tmp_path: Path) -> None:
    meta, _, _ = merged(capture, tmp_path / "t.parquet")
    assert {file.name for file in meta.files} >= {"prog", "in.txt", "/usr/bin/cat"}
    assert [(p.asid, p.name, p.parent) for p in meta.processes] == [(1, "prog", 0), (2, "cat", 1), (3, "prog", 1)]
    assert meta.provenance["command"] == ["prog", "x"]
    assert meta.provenance["version"] == "9.9"
    assert meta.provenance["recorded"] == {"instructions": ALL, "instructions_per_process": ALL}
    assert "/home/w" not in meta.to_json()


def test_references_that_nothing_explains_are_mapped_and_counted(capture: RawCapture, tmp_path: Path) -> None:
    capture.images[0].mappings = SHELL[:2]
    meta, rows, result = merged(capture, tmp_path / "t.parquet")
    assert check_rows(meta, rows) == []
    assert result.guessed_pages == 1
    assert meta.provenance["guessed_pages"] == 1


def test_the_limit_of_the_whole_ends_the_trace_with_services_closed(capture: RawCapture, tmp_path: Path) -> None:
    meta, rows, result = merged(capture, tmp_path / "t.parquet", limits=Limits(1500, ALL))
    assert check_rows(meta, rows) == []
    assert 1500 <= result.instructions < 1500 + 1000 + 10  # a slice and a run more


def test_the_limit_per_process_keeps_processes_and_their_order(capture: RawCapture, tmp_path: Path) -> None:
    meta, rows, result = merged(capture, tmp_path / "t.parquet", limits=Limits(ALL, 200))
    assert check_rows(meta, rows) == []
    assert (rows.kind == Kind.PROCESS_EXIT).sum() == 3
    assert 600 <= result.instructions < 620


def test_a_cpu_without_work_idles_as_nobody(capture: RawCapture, tmp_path: Path) -> None:
    _, rows, _ = merged(capture, tmp_path / "t.parquet", ScheduleParameters(4))
    idle = rows.kind == Kind.IDLE
    assert idle.any()
    assert set(rows.asid[idle].tolist()) == {0}


def test_progress_adds_up(capture: RawCapture, tmp_path: Path) -> None:
    seen: list[int] = []
    result = merge(capture, tmp_path / "t", ScheduleParameters(), Limits(ALL, ALL), version="9.9", progress=seen.append)
    assert sum(seen) == result.instructions
