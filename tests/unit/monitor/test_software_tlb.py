"""The second-level software TLB against the naive twin: same hits, same frames, same replacement."""

import random
from typing import NamedTuple

import numba
import numpy as np
import pytest

from discotrace.monitor.kernels import software_tlb
from discotrace.monitor.kernels.software_tlb import Disco
from discotrace.replay.kernels.state import INVALID, KERNEL_KEYS, LARGE, PAGE_TABLE, U64, Vms, new_frames, new_keys
from tests.oracle.memory import Frame, Page
from tests.oracle.tlb import SoftwareTlb, Tag

STREAMS, VMS = 2, 2
VCPUS = STREAMS * VMS
CPU_OF_VCPU = [0, 0, 1, 2]  # VM 0 has CPU 0, VM 1 has CPUs 1 and 2
ASIDS = [5, 8]  # of VM 0 and VM 1
KERNEL_OF_VM_1 = 1 << int(KERNEL_KEYS)


class OnlyParams(NamedTuple):
    """The parameters that the functions under test read."""

    streams: int
    group_shift: int


class OnlySystem(NamedTuple):
    """The part of the state that the functions under test read."""

    system: Disco
    params: OnlyParams
    vms: Vms
    asids: U64


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def look_up(s, vcpu, key, group, page):  # type: ignore[no-untyped-def]
    return software_tlb.look_up(s, vcpu, key, group, page)


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def write(s, vcpu, key, group, frames):  # type: ignore[no-untyped-def]
    software_tlb.write(s, vcpu, key, group, frames)


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def make_invalid(s, vcpu, key, group, page):  # type: ignore[no-untyped-def]
    software_tlb.make_invalid(s, vcpu, key, group, page)


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def forget_page(s, key, vpn, cpus):  # type: ignore[no-untyped-def]
    software_tlb.forget_page(s, key, vpn, cpus)


def new_table(sets: int, ways: int) -> OnlySystem:
    """Two virtual CPUs in each of two VMs, on three CPUs; two pages to a group."""
    entries = VCPUS * max(sets * ways, 1)
    keys, groups, frames = new_keys(entries), new_keys(entries), new_frames(2 * entries)
    vms = Vms(
        first_cpu=np.array([0, 1]),
        width=np.array([1, 2]),
        dead=np.zeros(VMS, np.uint8),
        seat=np.zeros(VMS * 3, np.int64),
        of_process=np.array([0, 1]),
    )
    disco = Disco(sets, ways, keys, groups, frames, 13, 3, 1, 1, 1, 1)
    return OnlySystem(disco, OnlyParams(STREAMS, 1), vms, np.array(ASIDS, np.uint64))


def found(s: OnlySystem, vcpu: int, key: int, group: int, page: int = 0) -> tuple[int, int] | None:
    """Frames of the group; None if the table can not tell that of the page."""
    frames = look_up(s, vcpu, np.uint64(key), np.uint64(group), page)
    return None if frames[page] == INVALID else (int(frames[0]), int(frames[1]))


def put(s: OnlySystem, vcpu: int, key: int, group: int, frames: tuple[int, int]) -> None:
    write(s, vcpu, np.uint64(key), np.uint64(group), frames)


def test_an_empty_table_has_nothing() -> None:
    assert found(new_table(4, 2), 0, 0, 0) is None


def test_what_is_written_is_found() -> None:
    s = new_table(4, 2)
    put(s, 0, 1, 9, (5, 6))
    assert found(s, 0, 1, 9) == (5, 6)
    assert found(s, 0, 1, 9, page=1) == (5, 6)


def test_virtual_cpus_have_tables_of_their_own() -> None:
    s = new_table(4, 2)
    put(s, 0, 1, 9, (5, 6))
    assert found(s, 1, 1, 9) is None


def test_a_hit_needs_the_wanted_page() -> None:
    s = new_table(4, 2)
    put(s, 0, 1, 9, (5, INVALID))
    assert found(s, 0, 1, 9, page=0) == (5, INVALID)
    assert found(s, 0, 1, 9, page=1) is None


def test_writing_again_replaces() -> None:
    s = new_table(1, 2)
    put(s, 0, 1, 9, (5, INVALID))
    put(s, 0, 1, 9, (5, 6))
    put(s, 0, 1, 10, (7, 8))
    assert [found(s, 0, 1, group) for group in (9, 10)] == [(5, 6), (7, 8)]


@pytest.mark.parametrize("ways", [1, 2, 3, 4])
def test_as_many_as_there_are_ways_fit_but_not_one_more(ways: int) -> None:
    s = new_table(1, ways)
    for group in range(ways):
        put(s, 0, 1, group, (group, INVALID))
    assert all(found(s, 0, 1, group) for group in range(ways))
    put(s, 0, 1, ways, (ways, INVALID))
    assert found(s, 0, 1, 0) is None
    assert all(found(s, 0, 1, group) for group in range(1, ways + 1))


def test_a_hit_keeps_an_entry() -> None:
    s = new_table(1, 2)
    put(s, 0, 1, 0, (0, INVALID))
    put(s, 0, 1, 1, (1, INVALID))
    assert found(s, 0, 1, 0) is not None
    put(s, 0, 1, 2, (2, INVALID))
    assert [found(s, 0, 1, group) is not None for group in range(3)] == [True, False, True]


def test_a_miss_on_a_page_of_an_entry_does_not_keep_it() -> None:
    s = new_table(1, 2)
    put(s, 0, 1, 0, (0, INVALID))
    put(s, 0, 1, 1, (1, INVALID))
    assert found(s, 0, 1, 0, page=1) is None
    put(s, 0, 1, 2, (2, INVALID))
    assert found(s, 0, 1, 0) is None


def test_without_a_table_nothing_is_found() -> None:
    s = new_table(0, 1)
    put(s, 0, 1, 0, (0, 1))
    assert found(s, 0, 1, 0) is None


def test_a_page_made_invalid_leaves_its_entry_and_the_other_page() -> None:
    s = new_table(1, 2)
    put(s, 0, 1, 9, (5, 6))
    make_invalid(s, 0, np.uint64(1), np.uint64(9), 1)
    assert found(s, 0, 1, 9) == (5, INVALID)
    assert found(s, 0, 1, 9, page=1) is None


def test_a_page_made_invalid_does_not_become_more_recent() -> None:
    s = new_table(1, 2)
    put(s, 0, 1, 0, (0, 1))
    put(s, 0, 1, 1, (2, 3))
    make_invalid(s, 0, np.uint64(1), np.uint64(0), 1)
    put(s, 0, 1, 2, (4, 5))
    assert [found(s, 0, 1, group) is not None for group in range(3)] == [False, True, True]


@pytest.mark.parametrize(("key", "vm"), [(5, 0), (8, 1), (0, 0), (KERNEL_OF_VM_1, 1)])
@pytest.mark.parametrize("of_table", [0, int(PAGE_TABLE)])
@pytest.mark.parametrize("cpus", [0b000, 0b001, 0b010, 0b100, 0b110, 0b111])
def test_virtual_cpus_of_the_pages_vm_on_these_cpus_forget_it(key: int, vm: int, of_table: int, cpus: int) -> None:
    s = new_table(4, 2)
    key += of_table
    for vcpu in range(VCPUS):
        put(s, vcpu, key, 9, (5, 6))
    forget_page(s, np.uint64(key), np.uint64(19), np.uint64(cpus))
    for vcpu, cpu in enumerate(CPU_OF_VCPU):
        is_forgotten = vcpu // STREAMS == vm and cpus >> cpu & 1
        assert found(s, vcpu, key, 9) == (5, INVALID if is_forgotten else 6)


def test_the_kernels_of_all_vms_use_the_same_sets() -> None:
    """One way: were their sets different, one kernel's entry would not push out the other's."""
    s = new_table(64, 1)
    put(s, 0, 0, 9, (1, 2))
    put(s, 0, KERNEL_OF_VM_1, 9, (3, 4))
    assert [found(s, 0, key, 9) for key in (0, KERNEL_OF_VM_1)] == [None, (3, 4)]


def test_a_large_page_is_not_a_small_one_of_the_same_number() -> None:
    s = new_table(1, 2)
    put(s, 0, int(LARGE), 9, (0, 0))
    assert found(s, 0, 0, 9) is None
    assert found(s, 0, int(LARGE), 9) == (0, 0)


@pytest.mark.parametrize(("sets", "ways"), [(1, 1), (1, 4), (4, 1), (2, 3), (8, 2)])
def test_it_does_what_its_twin_does(sets: int, ways: int) -> None:
    """Random steps, two pages to a group; a frame of the twin is (node, index) = (0, slot)."""
    choose = random.Random(sets * 100 + ways)
    s, twin = new_table(sets, ways), SoftwareTlb(sets * ways, ways, 2)
    for step in range(1500):
        key = choose.choice((0, 1, 2, int(PAGE_TABLE), KERNEL_OF_VM_1, int(LARGE)))
        group, page = choose.randrange(12), choose.randrange(2)
        if step % 17 == 0:
            twin.invalidate(Page(key, 2 * group + page))
            make_invalid(s, 0, np.uint64(key), np.uint64(group), page)
        elif step % 3:
            expected = twin.look_up(Page(key, 2 * group + page))
            slots = None if expected is None else tuple(INVALID if f is None else f.i for f in expected)
            assert found(s, 0, key, group, page) == slots
        else:
            slots = tuple(choose.choice((INVALID, step)) for _ in range(2))
            twin.write(Tag(key, group), tuple(None if slot == INVALID else Frame(0, slot) for slot in slots))
            put(s, 0, key, group, (slots[0], slots[1]))
