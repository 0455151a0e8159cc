"""Areas, descriptors, and the memory and file calls of a captured process."""

from itertools import count

import numpy as np
import pytest

from discotrace.tracegen.areas import Area, AreaMap
from discotrace.tracegen.file_calls import FileCalls, FileNames
from discotrace.tracegen.memory_calls import MemoryCalls, initial_areas
from discotrace.tracegen.raw_format import Mapping
from discotrace.tracegen.steps import Action, Close, Open, Other, PipeTransfer, Remap, Seek, Stat, Transfer
from discotrace.tracegen.syscalls import Call

PAGE = 4096
CWD = 2**32 - 100


def call(name: str, *arguments: int, result: int | None = 0, path: str | None = None, failed: bool = False) -> Call:
    return Call(0, name, arguments, () if path is None else (path,), result, failed)


# ---- areas ----------------------------------------------------------------------------------------------------


def test_areas__a_new_one_replaces_what_it_overlaps() -> None:
    areas = AreaMap((Area(0, 4 * PAGE, "file", "a", 0, False), Area(PAGE, 2 * PAGE)))
    assert list(areas) == [
        Area(0, PAGE, "file", "a", 0, False),
        Area(PAGE, 2 * PAGE),
        Area(2 * PAGE, 4 * PAGE, "file", "a", 2 * PAGE, False),
    ]


def test_areas__uncovered_pages_are_found_by_first_and_last_byte() -> None:
    areas = AreaMap((Area(PAGE, 2 * PAGE),))
    first = np.array([PAGE, 2 * PAGE - 4, 9 * PAGE], np.uint64)
    last = np.array([PAGE + 7, 2 * PAGE + 3, 9 * PAGE], np.uint64)
    assert areas.uncovered(first, last) == [Area(2 * PAGE, 3 * PAGE), Area(9 * PAGE, 10 * PAGE)]
    assert len(AreaMap().uncovered(first[:1], last[:1])) == 1


def test_areas__a_copy_is_independent() -> None:
    areas = AreaMap((Area(0, PAGE),))
    copy = areas.copy()
    areas.remove(0, PAGE)
    assert (list(areas), list(copy)) == ([], [Area(0, PAGE)])


# ---- memory ---------------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> MemoryCalls:
    return MemoryCalls(lambda descriptor: "/lib/x.so" if descriptor == 5 else "", count(1))


def follow(memory: MemoryCalls, made: Call) -> Remap:
    return memory.handlers[made.name](made)


@pytest.mark.parametrize(
    ("protection", "flags", "descriptor", "expected"),
    [
        (3, 0x22, 2**32 - 1, Area(0x10000, 0x12000)),
        (1, 0x02, 5, Area(0x10000, 0x12000, "file", "/lib/x.so", PAGE, False)),
        (3, 0x02, 5, Area(0x10000, 0x12000, "file", "/lib/x.so", PAGE, True)),
        (1, 0x01, 5, Area(0x10000, 0x12000, "file", "/lib/x.so", PAGE, False)),
        (3, 0x01, 5, Area(0x10000, 0x12000, "shared", "/lib/x.so", PAGE)),
        (3, 0x21, 2**32 - 1, Area(0x10000, 0x12000, "shared", "shared memory 1")),
        (3, 0x02, 6, Area(0x10000, 0x12000)),
    ],
)
def test_mmap__what_backs_an_area(
    memory: MemoryCalls, protection: int, flags: int, descriptor: int, expected: Area
) -> None:
    made = call("mmap", 0, 5000, protection, flags, descriptor, PAGE, result=0x10000)
    assert follow(memory, made) == Remap(False, (), (expected,))


def test_mmap__a_failure_maps_nothing(memory: MemoryCalls) -> None:
    assert follow(memory, call("mmap", 0, 5000, 3, 0x22, 0, 0, result=12, failed=True)) == Remap(False)


def test_munmap(memory: MemoryCalls) -> None:
    assert follow(memory, call("munmap", 0x10000, 1)).removed == ((0x10000, 0x11000),)


def test_mprotect__a_view_of_a_file_that_becomes_writable_is_a_copy(memory: MemoryCalls) -> None:
    follow(memory, call("mmap", 0, 2 * PAGE, 1, 2, 5, 0, result=0x10000))
    changed = follow(memory, call("mprotect", 0x11000, PAGE, 3))
    assert changed.added == (Area(0x11000, 0x12000, "file", "/lib/x.so", PAGE, True),)
    assert follow(memory, call("mprotect", 0x11000, PAGE, 1)) == Remap(False)


def test_mremap__moves_grows_and_shrinks(memory: MemoryCalls) -> None:
    follow(memory, call("mmap", 0, PAGE, 3, 0x22, 2**32 - 1, 0, result=0x10000))
    moved = follow(memory, call("mremap", 0x10000, PAGE, 3 * PAGE, 1, result=0x20000))
    assert moved == Remap(False, ((0x10000, 0x11000),), (Area(0x20000, 0x23000),))
    assert follow(memory, call("mremap", 0x20000, 3 * PAGE, PAGE, 0, result=0x20000)).removed == ((0x21000, 0x23000),)
    grown = follow(memory, call("mremap", 0x20000, PAGE, 2 * PAGE, 0, result=0x20000))
    assert grown.added == (Area(0x21000, 0x22000),)


def test_mremap__a_file_grows_on_with_its_next_page(memory: MemoryCalls) -> None:
    follow(memory, call("mmap", 0, PAGE, 1, 2, 5, PAGE, result=0x10000))
    grown = follow(memory, call("mremap", 0x10000, PAGE, 2 * PAGE, 0, result=0x10000))
    assert grown.added == (Area(0x11000, 0x12000, "file", "/lib/x.so", 2 * PAGE, False),)


def test_brk__moves_the_end_of_the_heap(memory: MemoryCalls) -> None:
    results = [0x4035000, 0x4056000, 0x4057800, 0x4057900, 0x4036000]
    changes = [follow(memory, call("brk", 0, result=result)) for result in results]
    assert changes == [
        Remap(True),
        Remap(True, (), (Area(0x4035000, 0x4056000),)),
        Remap(True, (), (Area(0x4056000, 0x4058000),)),
        Remap(True),
        Remap(True, ((0x4036000, 0x4058000),), ()),
    ]


def test_initial_areas__are_those_that_no_call_made() -> None:
    mappings = [
        Mapping(0x108000, 0x10A000, False, 0, "/bin/x"),
        Mapping(0x10A000, 0x10B000, False, 0x2000, "/bin/x"),
        Mapping(0x4035000, 0x4056000, True, 0, ""),
        Mapping(0x4800000, 0x4802000, True, 0, ""),
        Mapping(0x1FFEFFE000, 0x1FFF001000, True, 0, ""),
    ]
    calls = [
        call("brk", 0, result=0x4035000),
        call("brk", 0x4056000, result=0x4056000),
        call("mmap", 0, 0x2000, 3, 0x22, 2**32 - 1, 0, result=0x4800000),
        call("mprotect", 0x10A000, PAGE, 1),
    ]
    assert initial_areas(mappings, calls) == (
        Area(0x108000, 0x10A000, "file", "/bin/x", 0, False),
        Area(0x10A000, 0x10B000, "file", "/bin/x", 0x2000, True),
        Area(0x1FFF001000 - (8 << 20), 0x1FFF001000),
    )


# ---- files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def files() -> FileCalls:
    return FileCalls("/home/w", FileNames({"/home/w/a.c": "/home/w/a.c", "/lib/l.so": "/usr/lib/l.so"}), count(1))


def do(files: FileCalls, made: Call) -> Action:
    return files.handlers[made.name](made)


def openat(path: str, descriptor: int, flags: int = 0) -> Call:
    return call("openat", CWD, 0, flags, result=descriptor, path=path)


def test_open__names_are_followed_through_links(files: FileCalls) -> None:
    assert do(files, openat("/lib/l.so", 3)) == Open("/usr/lib/l.so")
    assert files.path_of(3) == "/usr/lib/l.so"
    assert do(files, openat("a.c", 4)) == Open("/home/w/a.c")
    assert do(files, call("openat", CWD, 0, 0, result=2, path="none", failed=True)) == Open("")
    assert do(files, call("close", 4)) == Close("/home/w/a.c")
    assert do(files, call("close", 4)) == Close("")


def test_open__below_a_directory_descriptor_and_after_chdir(files: FileCalls) -> None:
    do(files, openat("sub", 3))
    assert do(files, call("openat", 3, 0, 0, result=4, path="b.c")) == Open("/home/w/sub/b.c")
    do(files, call("chdir", 0, path="../other"))
    assert do(files, openat("c.c", 5)) == Open("/home/other/c.c")


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (call("openat", CWD, 0, 0o2000000, result=3, path="out"), set()),
        (call("openat", CWD, 0, 0o1, result=3, path="out"), {"/home/w/out"}),
        (call("openat", CWD, 0, 0o2, result=3, path="/lib/l.so"), {"/usr/lib/l.so"}),
        (call("open", 0, 0o100, result=3, path="out"), {"/home/w/out"}),
        (call("creat", 0, 0o600, result=3, path="out"), {"/home/w/out"}),
        (call("openat", CWD, 0, 0o1, result=13, path="out", failed=True), set()),
        (call("openat2", CWD, 0, 0x1FFF000141, 24, result=3, path="out"), set()),
        (Call(0, "rename", (1, 2), ("old", "new"), 0), {"/home/w/new"}),
        (Call(0, "renameat2", (CWD, 1, CWD, 2, 0), ("old", "/tmp/new"), 0), {"/tmp/new"}),
        (Call(0, "rename", (1, 2), ("old", "new"), 2, True), set()),
    ],
)
def test_written__what_a_program_may_change_or_made(files: FileCalls, made: Call, written: set[str]) -> None:
    do(files, made)
    assert files.written == written


def test_written__a_child_begins_with_nothing(files: FileCalls) -> None:
    do(files, call("creat", 0, 0o600, result=3, path="out"))
    assert files.copy().written == set()


def test_transfers__stand_where_the_open_file_stands_or_at_their_own_offset(files: FileCalls) -> None:
    do(files, openat("a.c", 3))
    read = do(files, call("read", 3, 0x5000, 100, result=42))
    assert isinstance(read, Transfer)
    assert (read.writes, read.size, read.buffer, read.offset) == (False, 42, 0x5000, None)
    at = do(files, call("pwrite64", 3, 0x5000, 100, 4096, result=100))
    assert isinstance(at, Transfer)
    assert (at.writes, at.offset, at.file) == (True, 4096, read.file)
    assert do(files, call("lseek", 3, 7, 0, result=7)) == Seek(read.file, 7)
    vector = do(files, call("writev", 3, 0x5000, 2, result=9))
    assert isinstance(vector, Transfer)
    assert vector.buffer == 0
    assert do(files, call("read", 0, 0x5000, 100, result=42)) == Other()


def test_pipes__take_the_lowest_free_descriptors(files: FileCalls) -> None:
    do(files, openat("a.c", 4))  # 3 must belong to valgrind
    do(files, call("close", 4))
    do(files, call("pipe2", 0x1000, 0))
    child = files.copy()
    do(child, call("dup2", 5, 1, result=1))
    do(child, call("close", 5))
    assert do(child, call("write", 1, 0x2000, 3, result=3)) == PipeTransfer(1, True, 3, 0x2000)
    assert do(files, call("read", 4, 0x3000, 10, result=3)) == PipeTransfer(1, False, 3, 0x3000)
    assert do(files, call("read", 4, 0x3000, 10, result=0)) == Other()
    assert do(files, call("write", 1, 0x2000, 3, result=3)) == Other()


def test_exec__closes_what_was_to_be_closed(files: FileCalls) -> None:
    do(files, openat("a.c", 3, 0o2000000))
    do(files, call("fcntl", 3, 1030, 10, result=10))
    do(files, call("dup", 3, result=4))
    do(files, call("dup3", 3, 5, 0o2000000, result=5))
    do(files, call("fcntl", 4, 2, 1, result=0))
    do(files, call("dup2", 3, 6, result=6))
    assert files.exec("prog") == "/home/w/prog"
    assert [files.path_of(n) for n in (3, 4, 5, 6, 10)] == ["", "", "", "/home/w/a.c", ""]


def test_stat__only_known_files_exist(files: FileCalls) -> None:
    do(files, openat("a.c", 3))
    assert do(files, call("newstat", 0, 0, path="a.c")) == Stat("/home/w/a.c")
    assert do(files, call("access", 0, 0, path="b.c")) == Stat("")
    assert do(files, call("newfstatat", CWD, 0, 0, path="/lib/../lib/l.so")) == Stat("/usr/lib/l.so")
    assert do(files, call("newfstatat", 3, 0, 0, path="")) == Stat("/home/w/a.c")
    assert do(files, call("newfstat", 3, 0)) == Stat("/home/w/a.c")


def test_sockets_and_the_like_take_descriptors(files: FileCalls) -> None:
    do(files, openat("a.c", 3))
    assert do(files, call("eventfd2", 0, 0, result=4)) == Other()
    do(files, call("pipe", 0x1000))
    assert do(files, call("write", 6, 0x2000, 3, result=3)) == PipeTransfer(1, True, 3, 0x2000)
