"""What the guest tells the monitor: free pages, pages to clear, an idle CPU; and what happens if it does not."""

from typing import Any

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import IDLE, MONITOR, USER, Event
from discotrace.tracegen.schema import Kind, Segment
from tests.unit.replay.driving import PAGE, Driven, disco, event, file_read, load, native, trace, trace_with_file

HERE = 0x2000_0000
L1D_LINE = 32
PAGES = [Segment(1, HERE + n * PAGE, HERE + (n + 1) * PAGE, "anonymous") for n in range(4)]
FIRST = 3  # the number of the first of these segments, behind those that every trace has
STORES = (Event.L1D_STORE_HITS, Event.L1D_STORE_MISSES)


def driven(**changes: Any) -> Driven[DiscoSystem]:
    """Two pages in use, each a segment."""
    run = disco(trace(more=PAGES), **changes)
    run.feed(load(HERE), load(HERE + PAGE))
    return run


def unmap(number: int) -> tuple[int, int, int, int, int, int]:
    return event(Kind.UNMAP, HERE + number * PAGE, arg=FIRST + number)


def test_free_page__with_the_hint_the_frame_is_free_at_once() -> None:
    run = driven()
    used = run.frames_in_use
    run.feed(unmap(0))
    assert run.frames_in_use == used - 1


def test_free_page__without_it_the_guest_page_keeps_its_frame() -> None:
    run = driven(monitor__free_page_hint=False)
    used, slot, allocated = run.frames_in_use, run.slot(HERE), run.count(Event.FRAMES_ALLOCATED)
    run.feed(unmap(0))
    assert run.frames_in_use == used
    run.feed(load(HERE + 2 * PAGE, vcpu=1))
    assert run.slot(HERE + 2 * PAGE) == slot, "on node 0, though CPU 1 touches it first"
    assert run.count(Event.FRAMES_ALLOCATED) == allocated


def test_free_page__what_is_read_from_disk_gives_back_the_frame_that_it_still_has() -> None:
    run = disco(trace_with_file(processes=1), monitor__free_page_hint=False)
    run.feed(load(), event(Kind.PROCESS_EXIT), file_read(0, asid=0))
    assert run.frames_in_use == 2, "the page of page table's, which nobody has taken yet, and that of the disk cache"


def test_free_page__the_guest_calls_only_with_the_hint() -> None:
    for hint, calls in ((True, 1), (False, 0)):
        run = driven(monitor__free_page_hint=hint)
        run.feed(event(Kind.FREE_PAGE, HERE, PAGE))
        assert run.counts(Event.FREE_PAGES, Event.FREE_PAGE_CALLS) == {
            Event.FREE_PAGES: 1,
            Event.FREE_PAGE_CALLS: calls,
        }


def test_free_page__natively_nobody_is_called() -> None:
    run = native(trace(more=PAGES))
    run.feed(event(Kind.FREE_PAGE, HERE, PAGE))
    assert run.counts(Event.FREE_PAGES, Event.FREE_PAGE_CALLS) == {Event.FREE_PAGES: 1, Event.FREE_PAGE_CALLS: 0}


def test_idle__with_the_hint_the_cpu_is_given_up() -> None:
    for hint, happens in ((True, Event.IDLE_INSTRUCTIONS), (False, Event.IDLE_SPINS)):
        run = driven(monitor__idle_hint=hint)
        run.feed(event(Kind.IDLE, size=70))
        assert run.count(Event.IDLE_INSTRUCTIONS) + run.count(Event.IDLE_SPINS) == 70
        assert run.count(happens, context=IDLE) == 70


def test_zero_page__with_the_hint_the_monitor_clears() -> None:
    run = driven()
    run.feed(event(Kind.ZERO_PAGE, HERE, PAGE, 500))
    assert run.count(Event.ZERO_PAGE_CALLS, context=USER) == 1
    assert sum(run.count(one, context=MONITOR + USER) for one in STORES) == PAGE // L1D_LINE
    assert sum(run.count(one, context=USER) for one in STORES) == 0
    assert run.count(Event.INSTRUCTIONS, context=USER) == 0


def test_zero_page__without_it_the_guest_clears_and_then_the_monitor() -> None:
    run = driven(monitor__zero_page_hint=False)
    run.feed(event(Kind.ZERO_PAGE, HERE, PAGE, 500))
    assert run.count(Event.ZERO_PAGE_CALLS) == 0
    assert [sum(run.count(one, context=c) for one in STORES) for c in (USER, MONITOR)] == [PAGE // L1D_LINE] * 2
    assert run.count(Event.INSTRUCTIONS, context=USER) == 500
