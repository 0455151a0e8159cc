"""A guest OS over a platform that writes down what it is asked for."""

from collections.abc import Callable

import numpy as np
import pytest

from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.counts import N_CONTEXTS, Event
from discotrace.replay.disk_counters import DiskCounters
from discotrace.replay.guest import Guest, Platform, runs
from discotrace.replay.mappings import PAGE_TABLE_KEY, kernel_key
from discotrace.replay.now import Now
from discotrace.replay.segments import Identity

KERNEL_FILE, FILE = 9, 1
USER_KEY, KERNEL_KEY = 1, kernel_key(0)


class Asked(Platform):
    """A platform without end, which notes every question."""

    def __init__(self, cache_pages: int = 3) -> None:
        self.counts = np.zeros(N_CONTEXTS * len(Event), np.int64)
        self.now = Now(self.counts, DiskCounters([], 0))
        self.asked: list[tuple[object, ...]] = []
        self.taken = 0
        self.guest = Guest(0, self, self.now, cache_pages, {KERNEL_FILE})

    def take(self, vm: int, category: str) -> int:
        return self._take("take", category)

    def take_bare(self, vm: int, category: str) -> int:
        return self._take("take bare", category)

    def boot_page(self, vm: int, page: FilePage) -> int:
        return self._take("boot", page)

    def free(self, vm: int, gfn: int) -> None:
        self.asked.append(("free", gfn))

    def request(self, vm: int, file: int, first: int, count: int) -> None:
        self.asked.append(("request", file, first, count))
        for page in range(first, first + count):
            self.guest.come_in((file, page))

    def write_out(self, vm: int, page: FilePage, gfn: int) -> None:
        self.asked.append(("write", page, gfn))

    def forget_kernel_mappings(self, vm: int, gfn: int) -> None:
        self.asked.append(("unmap", gfn))

    def heard(self) -> list[tuple[object, ...]]:
        """What was asked since last time; the next row begins."""
        asked, self.asked = self.asked, []
        self.now.row += 1
        return asked

    def _take(self, how: str, what: object) -> int:
        self.asked.append((how, what))
        self.taken += 1
        return self.taken - 1


@pytest.mark.parametrize(
    ("pages", "expected"),
    [([], []), ([4], [(4, 1)]), ([4, 5, 6], [(4, 3)]), ([1, 3, 4, 6], [(1, 1), (3, 2), (6, 1)])],
)
def test_runs__longest_runs_of_consecutive_pages(pages: list[int], expected: list[tuple[int, int]]) -> None:
    assert runs(pages) == expected


@pytest.mark.parametrize(
    ("key", "category"),
    [(USER_KEY, "user"), (KERNEL_KEY, "data"), (kernel_key(2), "data"), (USER_KEY + PAGE_TABLE_KEY, "data")],
)
def test_page_of__a_private_page_is_new_each_time(key: int, category: str) -> None:
    os = Asked()
    assert [os.guest.page_of(key, None) for _ in range(2)] == [0, 1]
    assert os.heard() == [("take", category)] * 2


def test_page_of__a_shared_object_has_the_page_that_was_taken_first() -> None:
    os = Asked()
    identity = Identity("shared", 4, 0)
    assert os.guest.page_of(USER_KEY, identity) == os.guest.page_of(2, identity) == 0
    assert os.guest.page_of(USER_KEY, Identity("shared", 4, 1)) == 1


def test_page_of__a_kernel_file_was_there_since_the_boot() -> None:
    os = Asked()
    identity = Identity("file", KERNEL_FILE, 3)
    assert os.guest.page_of(KERNEL_KEY, identity) == os.guest.page_of(USER_KEY, identity) == 0
    assert os.heard() == [("boot", (KERNEL_FILE, 3))]


def test_page_of__a_files_page_is_requested_once() -> None:
    os = Asked()
    identity = Identity("file", FILE, 3)
    assert os.guest.page_of(USER_KEY, identity) == os.guest.page_of(KERNEL_KEY, identity) == 0
    assert os.heard() == [("request", FILE, 3, 1), ("take bare", "buffer")]


def test_unmapped__a_private_page_is_free() -> None:
    os = Asked()
    os.guest.unmapped(USER_KEY, 5, None)
    assert os.heard() == [("free", 5)]


@pytest.mark.parametrize("identity", [Identity("shared", 4, 0), Identity("file", FILE, 0)])
def test_unmapped__a_page_of_an_object_is_not(identity: Identity) -> None:
    os = Asked()
    gfn = os.guest.page_of(USER_KEY, identity)
    os.heard()
    os.guest.unmapped(USER_KEY, gfn, identity)
    assert os.heard() == []


def test_read__hits_are_used_before_the_rest_is_requested() -> None:
    """Pages 0, 1, 2 fill the cache; reading 2 to 4 keeps 2 and drops 0 and 1."""
    os = Asked()
    os.guest.file_read(FILE, range(3))
    os.heard()
    os.guest.file_read(FILE, range(2, 5))
    assert [asked for asked in os.heard() if asked[0] in ("request", "unmap")] == [
        ("request", FILE, 3, 2),
        ("unmap", 0),
        ("unmap", 1),
    ]
    assert os.counts[Event.BUFFER_HITS] == 1
    assert os.counts[Event.BUFFER_EVICTIONS] == 2


def test_read__a_page_of_this_row_is_not_evicted_so_the_cache_grows() -> None:
    os = Asked(cache_pages=2)
    os.guest.file_read(FILE, range(4))
    assert os.counts[Event.BUFFER_EVICTIONS] == 0
    os.heard()
    assert os.guest.evict()


def test_read__kernel_files_are_passed_over() -> None:
    os = Asked()
    os.guest.file_read(KERNEL_FILE, range(4))
    os.guest.file_write(KERNEL_FILE, range(4), True)
    assert os.heard() == []
    assert not os.counts.any()


def test_resident__missing_pages_are_requested_run_by_run() -> None:
    os = Asked(cache_pages=5)
    os.guest.file_read(FILE, range(2, 3))
    os.heard()
    assert os.guest.make_resident(FILE, range(5)) == 4
    assert [asked for asked in os.heard() if asked[0] == "request"] == [
        ("request", FILE, 0, 2),
        ("request", FILE, 3, 2),
    ]
    assert os.counts[Event.BUFFER_HITS] == 0


def test_resident__a_page_that_is_there_is_not_used() -> None:
    """Page 0 came first, and is dropped first."""
    os = Asked(cache_pages=2)
    for page in range(2):
        os.guest.file_read(FILE, range(page, page + 1))
        os.heard()
    assert os.guest.make_resident(FILE, range(1)) == 0
    os.heard()
    os.guest.file_read(FILE, range(5, 6))
    assert ("unmap", 0) in os.heard()


def test_resident__kernel_files_are_passed_over() -> None:
    os = Asked()
    assert os.guest.make_resident(KERNEL_FILE, range(4)) == 0
    assert os.heard() == []


def test_write__a_whole_page_takes_one_and_half_a_page_is_requested() -> None:
    os = Asked()
    os.guest.file_write(FILE, range(2), begins_inside=True)
    assert os.heard() == [("request", FILE, 0, 1), ("take bare", "buffer"), ("take", "buffer")]


def test_evict__a_clean_page_is_dropped() -> None:
    os = Asked()
    os.guest.file_read(FILE, range(1))
    os.heard()
    assert os.guest.evict()
    assert os.heard() == [("unmap", 0), ("free", 0)]


@pytest.mark.parametrize("read_first", [True, False])
def test_evict__a_written_page_is_written_out_first(read_first: bool) -> None:
    os = Asked()
    if read_first:
        os.guest.file_read(FILE, range(1))
    os.guest.file_write(FILE, range(1), begins_inside=False)
    os.heard()
    assert os.guest.evict()
    assert os.heard() == [("unmap", 0), ("write", (FILE, 0), 0), ("free", 0)]


def test_evict__a_page_that_was_evicted_comes_in_clean() -> None:
    os = Asked()
    os.guest.file_write(FILE, range(1), begins_inside=False)
    os.heard()
    os.guest.evict()
    os.guest.file_read(FILE, range(1))
    os.heard()
    os.guest.evict()
    assert [asked[0] for asked in os.heard()] == ["unmap", "free"]


@pytest.mark.parametrize(("key", "goes"), [(USER_KEY, False), (KERNEL_KEY, True)])
def test_evict__not_what_a_process_maps_but_what_the_kernel_does(key: int, goes: bool) -> None:
    os = Asked()
    os.guest.page_of(key, Identity("file", FILE, 0))
    os.heard()
    assert os.guest.evict() == goes


def test_evict__once_the_last_process_has_unmapped_it() -> None:
    os = Asked()
    identity = Identity("file", FILE, 0)
    for key in (1, 2):
        os.guest.page_of(key, identity)
    evicted: Callable[[], bool] = os.guest.evict
    for key, goes in ((1, False), (2, True)):
        os.guest.unmapped(key, 0, identity)
        os.heard()
        assert evicted() == goes


def test_evict__nothing_from_an_empty_cache() -> None:
    assert not Asked().guest.evict()
