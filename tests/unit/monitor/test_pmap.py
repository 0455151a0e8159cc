"""The pmap: guest pages of one virtual machine and the frames behind them."""

from discotrace.monitor.pmap import Pmap


def test_guest_pages_are_numbered_as_they_are_needed() -> None:
    one = Pmap(3)
    assert [one.take("user") for _ in range(3)] == [0, 1, 2]


def test_there_are_as_many_as_there_are_and_not_one_more() -> None:
    one = Pmap(2)
    assert [one.take("user") for _ in range(3)] == [0, 1, None]


def test_the_guest_page_freed_last_is_used_first() -> None:
    one = Pmap(4)
    for _ in range(3):
        one.take("user")
    one.free(0)
    one.free(2)
    assert [one.take("user") for _ in range(3)] == [2, 0, 3]


def test_a_guest_page_has_a_frame_only_when_it_is_given_one() -> None:
    one = Pmap(2)
    gfn = one.take("user")
    assert gfn is not None
    assert one.slot(gfn) is None
    one.back(gfn, 7)
    assert one.slot(gfn) == 7
    assert one.unback(gfn) == 7
    assert one.slot(gfn) is None


def test_a_freed_page_keeps_its_frame_until_it_is_taken_away() -> None:
    one = Pmap(2)
    one.take("user")
    one.back(0, 7)
    one.free(0)
    assert one.slot(0) == 7
    assert one.pages == {0: 7}
    assert one.taken == []


def test_a_page_that_is_taken_again_is_of_the_new_category() -> None:
    one = Pmap(2)
    one.take("user")
    one.free(0)
    one.take("buffer")
    assert one.category(0) == "buffer"


def test_pages_and_taken_are_ascending() -> None:
    one = Pmap(9)
    for _ in range(4):
        one.take("user")
    for gfn, slot in ((3, 1), (0, 5), (2, 4)):
        one.back(gfn, slot)
    one.free(0)
    one.take("user")
    assert list(one.pages.items()) == [(0, 5), (2, 4), (3, 1)]
    assert one.taken == [0, 1, 2, 3]
