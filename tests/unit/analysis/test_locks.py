"""Waiting for kernel locks."""

import pytest

from discotrace.analysis.waiting import timing
from tests.unit.analysis.waits import arranged, misses, priced, rows, sections

HANDOFF = priced(locks__handoff_ns=1)


def sync(*frames: object, cpus: int = 2, **kwargs: object) -> float:
    return timing(arranged(*frames, cpus=cpus, **kwargs), HANDOFF).parts_ns()["sync"]  # type: ignore[arg-type]


def test_cpus_that_want_one_lock_all_the_time_take_turns() -> None:
    """Each of 4 would need 2.5 ms: together 10 ms."""
    time = timing(arranged(*(sections(1000, 10**6, cpu=cpu) for cpu in range(4)), cpus=4), HANDOFF)
    assert time.total_ns == pytest.approx(1e7, rel=0.02)
    assert time.parts_ns()["sync"] == pytest.approx(7.5e6, rel=0.02)


def test_nobody_waits_for_locks_without_their_price() -> None:
    held = [sections(1000, 10**6, cpu=cpu) for cpu in (0, 1)]
    assert timing(arranged(*held), priced()).parts_ns()["sync"] == 0


def test_a_cpu_that_is_alone_waits_for_nobody() -> None:
    assert sync(sections(1000, 10**6, cpu=0), cpus=1) == 0
    assert sync(sections(1000, 10**6, cpu=0), rows("instructions", 10**6, cpu=1)) == 0


@pytest.mark.parametrize("lock", [2, 7])
def test_locks_that_are_others_keep_nobody_waiting(lock: int) -> None:
    """Lock 7 stands for many locks."""
    assert sync(sections(1000, 10**6, cpu=0, lock=7), sections(1000, 10**6, cpu=1, lock=lock)) == 0


def test_virtual_machines_have_locks_of_their_own() -> None:
    held = [sections(1000, 10**6, cpu=cpu, vm=cpu) for cpu in (0, 1)]
    assert sync(*held, changes=("vm.count=2",)) == 0


def test_rare_sections_wait_for_half_a_section_of_others_that_are_in_it() -> None:
    """The other one is inside for a tenth of the time."""
    frames = [pl for cpu in (0, 1) for pl in (sections(100, 40_000, cpu=cpu), rows("instructions", 360_000, cpu=cpu))]
    assert sync(*frames) == pytest.approx(100 * 0.1 * 500, rel=0.15)


def test_waiting_for_memory_makes_sections_longer() -> None:
    missing = [
        frame.with_columns(lock=frame["lock"] + (frame["event"] == "l2_load_local"))
        for cpu in (0, 1)
        for frame in (sections(100, 1000, cpu=cpu), misses(400, cpu=cpu, at=0))
    ]
    plain, contended = (
        timing(arranged(*missing), priced(locks__handoff_ns=1, memory__controller_ns=ns)).parts_ns()["sync"]
        for ns in (0, 250)
    )
    assert contended > plain
