"""The buffer cache: order of use, what may not go, when it is full."""

import pytest

from discotrace.replay.buffer_cache import BufferCache

A, B, C = (1, 0), (1, 1), (2, 0)
LATER = 1000


@pytest.fixture
def cache() -> BufferCache:
    """Pages A, B, C in this order, of three at most."""
    one = BufferCache(3)
    for gfn, page in enumerate((A, B, C)):
        one.add(page, gfn, gfn)
    return one


def test_find__only_what_is_there(cache: BufferCache) -> None:
    found = cache.find(B)
    assert found is not None
    assert found.gfn == 1
    assert cache.find((1, 7)) is None


def test_full__with_as_many_as_there_is_room_for() -> None:
    one = BufferCache(2)
    one.add(A, 0, 0)
    assert not one.is_full
    one.add(B, 1, 0)
    assert one.is_full


def test_full__pages_that_processes_map_count_too(cache: BufferCache) -> None:
    cache.hold(A)
    assert cache.is_full


def test_victim__is_the_least_recently_used(cache: BufferCache) -> None:
    assert cache.victim(LATER) == A
    cache.use(A, 10)
    assert cache.victim(LATER) == B


def test_victim__not_one_that_was_used_in_this_row(cache: BufferCache) -> None:
    for row, page in enumerate((A, B, C), start=10):
        cache.use(page, row)
    assert cache.victim(10) is None
    assert cache.victim(11) == A


def test_victim__not_one_that_a_process_maps(cache: BufferCache) -> None:
    cache.hold(A)
    assert cache.victim(LATER) == B
    cache.hold(B)
    cache.hold(C)
    assert cache.victim(LATER) is None


def test_let_go__with_the_last_user_it_is_most_recently_used(cache: BufferCache) -> None:
    cache.hold(A)
    cache.hold(A)
    cache.let_go(A, 20)
    assert cache.victim(LATER) == B
    cache.remove(B)
    cache.remove(C)
    assert cache.victim(LATER) is None
    cache.let_go(A, 21)
    assert cache.victim(LATER) == A
    assert cache.victim(21) is None, "letting go was a use"


def test_use__of_a_page_that_a_process_maps_changes_no_order(cache: BufferCache) -> None:
    cache.hold(A)
    cache.use(A, 30)
    assert cache.victim(LATER) == B


def test_remove__gives_the_page_back(cache: BufferCache) -> None:
    cache.find(B).written = True  # type: ignore[union-attr]
    leaving = cache.remove(B)
    assert (leaving.gfn, leaving.written) == (1, True)
    assert cache.find(B) is None
    assert not cache.is_full
