"""Shootdown: who loses a translation, who is interrupted, and who is left alone."""

from typing import Any

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from discotrace.tracegen.schema import Segment
from tests.unit.replay.driving import AT, LINE, PAGE, Driven, disco, lines, load, store, trace

TRIGGER, SHARING = 3, 2
BOTH = (Event.SHOOTDOWNS, Event.TLBS_SHOT_DOWN)


def driven(cpus: int, **changes: Any) -> Driven[DiscoSystem]:
    """A page on node 0."""
    run = disco(trace(cpus), migration__trigger=TRIGGER, migration__sharing=SHARING, **changes)
    run.feed(load())
    return run


def replicated() -> Driven[DiscoSystem]:
    """CPUs 0, 1, 2 use a page, each its copy; CPU 3 has never seen it."""
    run = driven(4)
    run.feed(*lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2), *(load(vcpu=vcpu) for vcpu in range(3)))
    return run


def shot(run: Driven[DiscoSystem]) -> tuple[int, int]:
    """Shootdowns and interrupted CPUs."""
    counts = run.counts(*BOTH)
    return counts[Event.SHOOTDOWNS], counts[Event.TLBS_SHOT_DOWN]


def test_migration__interrupts_who_holds_the_page_but_not_who_acts() -> None:
    run = driven(4)
    run.feed(load(vcpu=1), *lines(TRIGGER, AT + 10 * LINE, vcpu=2))
    assert shot(run) == (1, 2), "CPUs 0 and 1; CPU 2 acts, CPU 3 has never seen the page"


def test_migration__interrupts_nobody_when_nobody_else_holds_the_page() -> None:
    """With a TLB of one entry another page drives this one out; the second-level TLB still has it."""
    run = driven(2, tlb__entries=1, tlb__wired=0)
    run.feed(load(AT + 10 * PAGE), *lines(TRIGGER, vcpu=1))
    assert run.count(Event.MIGRATIONS) == 1
    assert shot(run) == (0, 0)


def test_migration__the_page_is_invalid_in_every_tlb_and_its_neighbour_is_not() -> None:
    run = driven(2)
    run.feed(load(AT + PAGE), load(), *lines(TRIGGER, vcpu=1))
    hits, invalid = run.count(Event.TLB_HITS, cpu=0), run.count(Event.TLB_INVALID)
    run.feed(load(AT + PAGE))
    assert run.count(Event.TLB_HITS, cpu=0) == hits + 1
    run.feed(load(), load(vcpu=1))
    assert run.count(Event.TLB_INVALID) == invalid + 2


def test_migration__the_software_tlb_does_not_answer_for_the_page() -> None:
    run = driven(2)
    run.feed(*lines(TRIGGER, vcpu=1))
    before = run.counts(Event.SOFTWARE_TLB_HITS, Event.GUEST_REFILLS)
    run.feed(load())
    assert run.count(Event.SOFTWARE_TLB_HITS) == before[Event.SOFTWARE_TLB_HITS]
    assert run.count(Event.GUEST_REFILLS) == before[Event.GUEST_REFILLS] + 1


def test_migration__all_virtual_pages_of_a_shared_frame_are_shot_down() -> None:
    """Two processes with the same shared object, on CPUs of their own, and a third CPU that makes it hot."""
    at = 0x3000_0000
    shared = [Segment(asid, at, at + PAGE, "shared", 9) for asid in (1, 2)]
    run = disco(trace(3, 2, shared), migration__trigger=TRIGGER, migration__sharing=SHARING)
    run.feed(load(at, 0, 1), load(at, 1, 2), *lines(TRIGGER, at, 2, 1))
    assert run.count(Event.MIGRATIONS) == 1
    assert shot(run) == (1, 2)
    assert run.node(at, 1) == run.node(at, 2) == 2


def test_replication__interrupts_those_that_are_only_downgraded_too() -> None:
    run = driven(3)
    run.feed(load(vcpu=1), *lines(SHARING), *lines(TRIGGER, AT + 10 * LINE, vcpu=2))
    assert run.count(Event.REPLICATIONS) == 1
    assert shot(run) == (1, 2), "CPU 0 at home and CPU 1, neither of which gets a copy"


def test_replication__those_that_get_a_copy_look_it_up_again() -> None:
    run = driven(3)
    run.feed(load(vcpu=1), *lines(SHARING), *lines(TRIGGER, AT + 10 * LINE, vcpu=2))
    invalid = run.count(Event.TLB_INVALID)
    run.feed(load(vcpu=0), load(vcpu=1))
    assert run.count(Event.TLB_INVALID) == invalid
    run.feed(load(vcpu=2))
    assert run.count(Event.TLB_INVALID) == invalid + 1


def test_collapse__interrupts_the_cpus_of_nodes_that_had_a_copy() -> None:
    run = replicated()
    before = shot(run)
    run.feed(store())
    assert shot(run) == (before[0] + 1, before[1] + 2)


def test_collapse__not_the_one_that_stores() -> None:
    run = replicated()
    before = shot(run)
    run.feed(store(vcpu=1))
    assert shot(run) == (before[0] + 1, before[1] + 1)


def test_collapse__the_home_keeps_its_entry() -> None:
    run = replicated()
    run.feed(store(vcpu=1))
    invalid = run.count(Event.TLB_INVALID, cpu=0)
    run.feed(load())
    assert run.count(Event.TLB_INVALID, cpu=0) == invalid
