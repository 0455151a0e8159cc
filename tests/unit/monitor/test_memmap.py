"""The memmap: why a frame is in use, and what is given up first."""

from discotrace.monitor.memmap import Memmap
from discotrace.replay.footprint import FootprintMeter


def memmap(*slots: int) -> Memmap:
    """These frames in use, so far by nobody."""
    one = Memmap(FootprintMeter())
    for slot in slots:
        one.begin(slot)
    return one


def cached(one: Memmap, slot: int) -> None:
    one[slot].is_cached = True
    one.changed(slot)


def test_a_frame_is_needed_as_long_as_anything_keeps_it() -> None:
    one = memmap(5)
    assert not one[5].is_needed
    one.add_user(5, (0, 1), "user")
    one.add_user(5, (1, 9), "data")
    one.remove_user(5, (0, 1))
    assert one[5].is_needed
    one.remove_user(5, (1, 9))
    assert not one[5].is_needed
    for keeper in ("is_cached", "is_logged"):
        setattr(one[5], keeper, True)
        assert one[5].is_needed
        setattr(one[5], keeper, False)


def test_a_frame_counts_where_the_first_of_its_users_does() -> None:
    one = memmap(5)
    one.add_user(5, (0, 1), "buffer")
    one.add_user(5, (1, 9), "text")
    assert one[5].holds == "buffer"
    one.remove_user(5, (0, 1))
    assert one[5].holds == "text"


def test_a_frame_without_users_counts_as_what_keeps_it() -> None:
    one = memmap(5)
    one[5].is_cached = True
    assert one[5].holds == "disk_cache"
    one[5].is_logged = True
    assert one[5].holds == "log"


def test_the_next_first_user_decides_anew() -> None:
    one = memmap(5)
    cached(one, 5)
    one.add_user(5, (0, 1), "buffer")
    one.remove_user(5, (0, 1))
    one.add_user(5, (0, 2), "text")
    assert one[5].holds == "text"


def test_longest_unused__is_cached_and_nobodys() -> None:
    one = memmap(5, 6)
    one.add_user(5, (0, 1), "buffer")
    cached(one, 5)
    assert one.longest_unused is None
    cached(one, 6)
    assert one.longest_unused == 6


def test_longest_unused__is_the_one_that_lost_its_last_user_first() -> None:
    one = memmap(5, 6)
    for slot in (5, 6):
        one.add_user(slot, (0, slot), "buffer")
        cached(one, slot)
    one.remove_user(6, (0, 6))
    one.remove_user(5, (0, 5))
    assert one.longest_unused == 6
    one.add_user(6, (0, 7), "buffer")
    assert one.longest_unused == 5
    one.remove_user(6, (0, 7))
    assert one.longest_unused == 5, "6 has been without a user for less long now"


def test_oldest_replica__goes_by_when_it_was_made() -> None:
    one = memmap(1, 2, 3)
    for master in (1, 2, 3):
        one.add_user(master, (0, master), "user")
    one.add_replica(2, 1, 20)
    one.add_replica(1, 1, 10)
    assert one.oldest_replica == (20, 2)
    one.end(20)
    assert one.oldest_replica == (10, 1)


def test_move__the_new_frame_is_used_as_the_old_one_was() -> None:
    one = memmap(5, 8)
    one.add_user(5, (0, 1), "user")
    one.move(5, 8)
    assert 5 not in one
    assert one.slots == [8]
    assert list(one[8].users) == [(0, 1)]
    assert one[8].moves == 1


def test_forget_moves__of_all() -> None:
    one = memmap(5, 8)
    one.add_user(5, (0, 1), "user")
    one.move(5, 8)
    one.forget_moves()
    assert one[8].moves == 0


def test_footprint__follows_what_keeps_frames() -> None:
    meter = FootprintMeter()
    one = Memmap(meter)
    one.begin(5)
    one.add_user(5, (0, 1), "user")
    one.add_replica(5, 1, 6)
    one.begin(7)
    cached(one, 7)
    held = {name: number for name, number in meter.footprints.end.machine.items() if number}
    assert held == {"user": 1, "replica": 1, "disk_cache": 1}
    for slot in (5, 6, 7):
        one.end(slot)
    assert not any(meter.footprints.end.machine.values())
