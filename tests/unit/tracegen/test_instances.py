"""Several instances of a workload: their CPUs, their copies of the histories, the files of their own."""

from pathlib import Path

import pytest

from discotrace.tracegen.descriptors import OpenFile
from discotrace.tracegen.instances import InstanceFiles, copy_histories, cpus_of_instance
from discotrace.tracegen.raw_format import NOT_REGULAR, Limits, RawCapture
from discotrace.tracegen.steps import Exit, Fork, History, PipeTransfer, Seek, Step, Transfer, Wait


@pytest.mark.parametrize(
    ("instances", "cpus", "expected"),
    [
        (1, 3, [range(3)]),
        (2, 4, [range(2), range(2, 4)]),
        (8, 8, [range(i, i + 1) for i in range(8)]),
        (2, 5, [range(2), range(2, 5)]),
        (4, 2, [range(1), range(1), range(1, 2), range(1, 2)]),
        (3, 2, [range(1), range(1), range(1, 2)]),
        (3, 1, [range(1)] * 3),
    ],
)
def test_cpus_of_instances(instances: int, cpus: int, expected: list[range]) -> None:
    assert [cpus_of_instance(i, instances, cpus) for i in range(instances)] == expected


@pytest.mark.parametrize("instances", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("cpus", [1, 2, 3, 7, 8, 16])
def test_every_cpu_belongs_to_an_instance_and_cpus_are_shared_wholly_or_not_at_all(instances: int, cpus: int) -> None:
    found = [cpus_of_instance(i, instances, cpus) for i in range(instances)]
    assert {cpu for numbers in found for cpu in numbers} == set(range(cpus))
    assert sum(len(numbers) for numbers in set(found)) == cpus
    if cpus >= instances:
        assert {len(numbers) for numbers in found} <= {cpus // instances, cpus // instances + 1}


@pytest.fixture
def histories() -> list[History]:
    """A process with an open file and a pipe, both of which its child inherits."""
    shared = OpenFile(path="/w/log")
    parent = [Fork(2), PipeTransfer(3, False, 5, 64), Seek(shared, 10), Wait(2, True), Wait(0, False), Exit()]
    child = [Transfer(shared, True, 100, 64, None), PipeTransfer(3, True, 5, 64), Exit()]
    return [
        History(1, 0, "make", [0], [Step(i, action) for i, action in enumerate(parent)], 6),
        History(2, 1, "cc1", [1, 2], [Step(i, action) for i, action in enumerate(child)], 3),
    ]


def test_copies__every_process_has_an_asid_of_its_own_and_its_family_in_its_instance(histories: list[History]) -> None:
    copies = copy_histories(histories, 3)
    assert [(h.asid, h.parent, h.instance, h.name, h.images) for h in copies] == [
        (1, 0, 0, "make", [0]),
        (2, 1, 0, "cc1", [1, 2]),
        (3, 0, 1, "make", [0]),
        (4, 3, 1, "cc1", [1, 2]),
        (5, 0, 2, "make", [0]),
        (6, 5, 2, "cc1", [1, 2]),
    ]
    actions = [step.action for step in copies[4].steps]
    assert actions[0] == Fork(6)
    assert actions[3:5] == [Wait(6, True), Wait(0, False)]


def test_copies__no_instance_reads_what_another_writes_to_a_pipe(histories: list[History]) -> None:
    copies = copy_histories(histories, 3)
    pipes = [
        {step.action.pipe for step in history.steps if isinstance(step.action, PipeTransfer)} for history in copies
    ]
    assert [len(numbers) for numbers in pipes] == [1] * 6
    assert pipes[0] == pipes[1] == {3}
    assert len(set.union(*pipes)) == 3


def test_copies__an_open_file_is_shared_within_an_instance_only(histories: list[History]) -> None:
    copies = copy_histories(histories, 2)
    files = [
        step.action.file for history in copies for step in history.steps if isinstance(step.action, Transfer | Seek)
    ]
    assert files[0] is files[1]
    assert files[2] is files[3]
    assert files[0] is not files[2]
    assert {file.path for file in files} == {"/w/log"}


def test_copies__one_instance_is_the_recording(histories: list[History]) -> None:
    (parent, child) = copy_histories(histories, 1)
    assert (parent.steps[:2], parent.steps[3:]) == (histories[0].steps[:2], histories[0].steps[3:])
    assert (child.asid, child.parent, child.steps[1:]) == (2, 1, histories[1].steps[1:])


FILES = {
    "/home/w/a.c": ("/home/w/a.c", 100),
    "/home/w": ("/home/w", NOT_REGULAR),
    "/home/wide": ("/home/wide", 7),
    "/tmp/x.s": ("/tmp/x.s", 200),
    "/dev/null": ("/dev/null", NOT_REGULAR),
    "/bin/cat": ("/usr/bin/cat", 300),
}


@pytest.mark.parametrize(
    ("path", "alone", "as_one_of_several"),
    [
        ("/home/w/a.c", ("a.c", 100, 0), ("[2] a.c", 100, 3)),
        ("/home/w/sub/b.h", ("sub/b.h", 0, 0), ("[2] sub/b.h", 0, 3)),
        ("/home/w", ("/home/w", 0, 0), ("[2] /home/w", 0, 3)),
        ("/home/wide", ("/home/wide", 7, 0), ("/home/wide", 7, 0)),
        ("/tmp/x.s", ("/tmp/x.s", 200, 0), ("[2] /tmp/x.s", 200, 3)),
        ("/tmp/gone", ("/tmp/gone", 0, 0), ("[2] /tmp/gone", 0, 3)),
        ("/dev/null", ("/dev/null", 0, 0), ("/dev/null", 0, 0)),
        ("/usr/bin/cat", ("/usr/bin/cat", 300, 0), ("/usr/bin/cat", 300, 0)),
    ],
)
def test_files__an_instance_owns_its_working_directory_and_the_regular_files_that_were_written(
    path: str, alone: tuple[str, int, int], as_one_of_several: tuple[str, int, int]
) -> None:
    capture = RawCapture(Path("raw"), ["make"], "/home/w", 0, "valgrind", Limits(), files=FILES)
    writer = History(1, 0, "cc1", written=frozenset({"/tmp/x.s", "/tmp/gone", "/dev/null"}))
    assert InstanceFiles(capture, [writer], 1).place(path, 0) == alone
    assert InstanceFiles(capture, [writer], 3).place(path, 2) == as_one_of_several
