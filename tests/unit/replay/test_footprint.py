"""The footprint: pages in use now, and when most frames were."""

from discotrace.replay.footprint import CATEGORIES, MACHINE_CATEGORIES, Footprint, FootprintMeter


def held(footprint: Footprint) -> tuple[dict[str, int], dict[str, int]]:
    """What is not zero."""
    virtual, machine = footprint.virtual.items(), footprint.machine.items()
    return {name: n for name, n in virtual if n}, {name: n for name, n in machine if n}


def test_all_categories_are_there_from_the_beginning() -> None:
    end = FootprintMeter().footprints.end
    assert (tuple(end.virtual), tuple(end.machine)) == (CATEGORIES, MACHINE_CATEGORIES)
    assert held(end) == ({}, {})


def test_guest_pages_come_and_go() -> None:
    meter = FootprintMeter()
    for category, change in (("user", 1), ("user", 1), ("text", 1), ("user", -1)):
        meter.guest_page(category, change)
    assert held(meter.footprints.end) == ({"user": 1, "text": 1}, {})


def test_frames_change_what_they_hold() -> None:
    meter = FootprintMeter()
    meter.frame(None, "buffer")
    meter.frame("buffer", "log")
    assert held(meter.footprints.end) == ({}, {"log": 1})
    meter.frame("log", None)
    assert held(meter.footprints.end) == ({}, {})


def test_peak__is_when_most_frames_were_in_use_for_the_first_time() -> None:
    meter = FootprintMeter()
    for before, after in ((None, "user"), (None, "data"), ("user", None), (None, "text"), ("data", None)):
        meter.frame(before, after)
        meter.settle()
    assert held(meter.footprints.peak) == ({}, {"user": 1, "data": 1})
    assert held(meter.footprints.end) == ({}, {"text": 1})


def test_peak__has_the_guest_pages_of_that_moment() -> None:
    meter = FootprintMeter()
    meter.guest_page("user", 1)
    meter.frame(None, "user")
    meter.settle()
    meter.guest_page("user", 5)
    meter.settle()
    assert held(meter.footprints.peak) == ({"user": 1}, {"user": 1})


def test_peak__frames_that_come_and_go_within_an_operation_do_not_count() -> None:
    meter = FootprintMeter()
    meter.frame(None, "user")
    meter.frame("user", None)
    meter.settle()
    assert held(meter.footprints.peak) == ({}, {})
