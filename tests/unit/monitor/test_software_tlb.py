"""The second-level software TLB against the naive twin: same hits, same frames, same replacement."""

import random
from typing import NamedTuple

import numba
import numpy as np
import pytest

from discotrace.monitor.kernels import software_tlb
from discotrace.monitor.kernels.software_tlb import Disco
from discotrace.replay.kernels.state import INVALID, new_frames, new_keys
from tests.oracle.memory import Frame, Page
from tests.oracle.tlb import SoftwareTlb, Tag

VCPUS = 2


class OnlySystem(NamedTuple):
    """The part of the state that the functions under test read."""

    system: Disco


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def look_up(s, vcpu, key, group, page):  # type: ignore[no-untyped-def]
    return software_tlb.look_up(s, vcpu, key, group, page)


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def write(s, vcpu, key, group, frames):  # type: ignore[no-untyped-def]
    software_tlb.write(s, vcpu, key, group, frames)


def new_table(sets: int, ways: int) -> OnlySystem:
    entries = VCPUS * max(sets * ways, 1)
    return OnlySystem(Disco(sets, ways, new_keys(entries), new_keys(entries), new_frames(2 * entries), 13, 3, 1, 1))


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


@pytest.mark.parametrize(("sets", "ways"), [(1, 1), (1, 4), (4, 1), (2, 3), (8, 2)])
def test_it_does_what_its_twin_does(sets: int, ways: int) -> None:
    """Random look-ups and writes of two pages to a group; a frame of the twin is (node, index) = (0, slot)."""
    choose = random.Random(sets * 100 + ways)
    s, twin = new_table(sets, ways), SoftwareTlb(sets * ways, ways, 2)
    for step in range(1500):
        key, group, page = choose.choice((0, 1, 2, 1 << 32)), choose.randrange(12), choose.randrange(2)
        if step % 3:
            expected = twin.look_up(Page(key, 2 * group + page))
            slots = None if expected is None else tuple(INVALID if f is None else f.i for f in expected)
            assert found(s, 0, key, group, page) == slots
        else:
            slots = tuple(choose.choice((INVALID, step)) for _ in range(2))
            twin.write(Tag(key, group), tuple(None if slot == INVALID else Frame(0, slot) for slot in slots))
            put(s, 0, key, group, (slots[0], slots[1]))
