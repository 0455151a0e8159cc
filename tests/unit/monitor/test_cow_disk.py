"""Sectors of disks in memory: ranges, who holds them, what is replaced."""

import pytest

from discotrace.monitor.cow_disk import FILE_SECTORS, DiskMemory, SectorMap, page_sectors


def test_page_sectors__eight_of_512_bytes_to_a_page_of_4_kib() -> None:
    assert page_sectors(0, 0, 4096) == range(8)
    assert page_sectors(0, 3, 4096) == range(24, 32)
    assert len(page_sectors(0, 1, 65536)) == 128


def test_page_sectors__files_do_not_meet() -> None:
    last = FILE_SECTORS * 512 // 4096 - 1
    assert page_sectors(0, last, 4096).stop == page_sectors(1, 0, 4096).start


@pytest.mark.parametrize(("wanted", "found"), [(range(8, 16), 5), (range(8, 9), 5), (range(15, 16), 5)])
def test_map__sectors_inside_a_range_are_found(wanted: range, found: int) -> None:
    one = SectorMap()
    one.insert(range(8, 16), 5)
    assert one.find(wanted) == found


@pytest.mark.parametrize("wanted", [range(7, 9), range(15, 17), range(16, 24), range(8), range(7, 17)])
def test_map__sectors_that_are_not_all_inside_are_not(wanted: range) -> None:
    one = SectorMap()
    one.insert(range(8, 16), 5)
    assert one.find(wanted) is None


def test_map__the_same_sectors_again_replace() -> None:
    one = SectorMap()
    assert one.insert(range(8), 5) is None
    assert one.insert(range(8), 6) == 5
    assert one.find(range(8)) == 6


def test_map__is_ascending() -> None:
    one = SectorMap()
    for first, slot in ((24, 1), (0, 2), (8, 3)):
        one.insert(range(first, first + 8), slot)
    assert list(one) == [(0, 2), (8, 3), (24, 1)]
    one.remove(0)
    assert list(one) == [(8, 3), (24, 1)]


def test_memory__owners_do_not_see_each_other() -> None:
    memory: DiskMemory[int] = DiskMemory()
    memory.insert(0, range(8), 5)
    assert memory.find(1, range(8)) is None


def test_memory__insert_says_which_frame_is_replaced() -> None:
    memory: DiskMemory[int] = DiskMemory()
    assert memory.insert(0, range(8), 5) is None
    assert memory.insert(0, range(8), 5) is None, "by itself"
    assert memory.insert(0, range(8), 6) == 5
    assert (memory.places(5), memory.places(6)) == (0, 1)


def test_memory__a_frame_may_hold_several_ranges() -> None:
    memory: DiskMemory[int] = DiskMemory()
    memory.insert(0, range(8), 5)
    memory.insert(1, range(8, 16), 5)
    assert memory.places(5) == 2
    memory.forget(5)
    assert memory.find(0, range(8)) is None
    assert memory.find(1, range(8, 16)) is None


def test_memory__move_takes_all_ranges_along() -> None:
    memory: DiskMemory[int] = DiskMemory()
    memory.insert(0, range(8), 5)
    memory.insert(1, range(8, 16), 5)
    memory.move(5, 9)
    assert memory.find(0, range(8)) == memory.find(1, range(8, 16)) == 9
    assert (memory.places(5), memory.places(9)) == (0, 2)


def test_memory__move_of_a_frame_that_holds_nothing_does_nothing() -> None:
    memory: DiskMemory[int] = DiskMemory()
    memory.move(5, 9)
    assert memory.places(9) == 0


def test_memory__take_gives_the_frames_by_sector_and_forgets_them() -> None:
    memory: DiskMemory[int] = DiskMemory()
    memory.insert(0, range(8, 16), 1)
    memory.insert(0, range(8), 2)
    memory.insert(1, range(8), 1)
    assert memory.take(0) == [2, 1]
    assert memory.owners() == [1]
    assert (memory.places(1), memory.places(2)) == (1, 0)
