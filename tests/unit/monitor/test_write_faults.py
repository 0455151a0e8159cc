"""Stores to read-only frames: replicas collapse, shared frames are copied."""

from pathlib import Path
from typing import Any

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from discotrace.tracegen.schema import Kind
from tests.unit.replay.driving import (
    AT,
    FILE_AT,
    LINE,
    PAGE,
    WINDOW_AT,
    Driven,
    disco,
    event,
    file_read,
    lines,
    load,
    store,
    trace,
    trace_with_file,
)

TRIGGER, SHARING = 3, 2
ELSEWHERE = AT + 100 * PAGE
COPIES_THEN_MOVES = f"""
from discotrace.monitor.placement.base import Migrate, Policy, Replicate

class Both(Policy):
    hot_trigger = {TRIGGER}

    def place(self, allocated, cpu_node):
        return cpu_node

    def decide(self, page):
        return Migrate(2) if page.copies else Replicate([1])
"""


def replicated(**changes: Any) -> Driven[DiscoSystem]:
    """A page on node 0 with copies on nodes 1 and 2, each in use."""
    run = disco(trace(3), migration__trigger=TRIGGER, migration__sharing=SHARING, **changes)
    run.feed(load(), *lines(SHARING, vcpu=1), *lines(TRIGGER, vcpu=2), *(load(vcpu=vcpu) for vcpu in range(3)))
    return run


def shared() -> Driven[DiscoSystem]:
    """Two VMs that show the same page of a disk, on a CPU each."""
    run = disco(trace_with_file(), vm__count=2)
    run.feed(load(FILE_AT), load(FILE_AT, 1, 2), load(WINDOW_AT), load(WINDOW_AT, 1, 2))
    assert run.slot(FILE_AT) == run.slot(FILE_AT, 2) == run.slot(WINDOW_AT) == run.slot(WINDOW_AT, vm=1)
    return run


def test_collapse__one_frame_is_left_and_the_others_are_free() -> None:
    run = replicated()
    used, master = run.frames_in_use, run.slot()
    copies = list(run.system.frames.memmap[master].replicas.values())
    run.feed(store())
    assert run.counts(Event.COLLAPSES, Event.COW_FAULTS) == {Event.COLLAPSES: 1, Event.COW_FAULTS: 0}
    assert run.frames_in_use == used - 2
    assert run.slot() == master
    assert not set(copies) & set(run.system.frames.memmap.slots)


def test_collapse__the_page_may_be_written_from_then_on() -> None:
    run = replicated()
    run.feed(store(), store(vcpu=1), store(vcpu=2))
    assert run.count(Event.COLLAPSES) == 1


def test_collapse__the_replicas_lines_are_gone() -> None:
    """The freed frame serves the next page of its node, which finds none of its lines."""
    run = replicated()
    copy = run.system.frames.memmap[run.slot()].replicas[2]
    run.feed(load(AT + 20 * LINE, vcpu=2), store())
    misses = run.count(Event.L2_LOAD_LOCAL, cpu=2)
    run.feed(load(ELSEWHERE + 20 * LINE, vcpu=2))
    assert run.slot(ELSEWHERE) == copy
    assert run.count(Event.L2_LOAD_LOCAL, cpu=2) == misses + 1


def test_collapse__the_store_is_translated_twice() -> None:
    run = replicated()
    hits, invalid = run.count(Event.TLB_HITS, cpu=1), run.count(Event.TLB_INVALID, cpu=1)
    run.feed(store(vcpu=1))
    assert run.count(Event.TLB_INVALID, cpu=1) == invalid + 1
    assert run.count(Event.TLB_HITS, cpu=1) == hits + 2, "the store at first, and the handler on its page table"
    assert run.count(Event.STORE_ROWS) == 1


def test_collapse__loads_cause_none() -> None:
    run = replicated()
    run.feed(*lines(20), *lines(20, vcpu=1), *lines(20, vcpu=2))
    assert run.count(Event.COLLAPSES) == 0


def test_collapse__a_page_that_is_cleared_collapses_too() -> None:
    run = replicated()
    run.feed(event(Kind.ZERO_PAGE, AT, PAGE, 100))
    assert run.count(Event.COLLAPSES) == 1


def test_collapse__before_a_migration_counts(tmp_path: Path) -> None:
    """A policy that copies to node 1 at first, and moves to node 2 what has a copy."""
    policy = tmp_path / "both.py"
    policy.write_text(COPIES_THEN_MOVES)
    run = disco(trace(4), placement__policy=str(policy))
    run.feed(load(), *lines(TRIGGER, vcpu=1))
    used = run.frames_in_use
    assert run.count(Event.REPLICATIONS) == 1
    run.feed(*lines(TRIGGER, vcpu=3))
    assert run.counts(Event.COLLAPSES, Event.MIGRATIONS) == {Event.COLLAPSES: 1, Event.MIGRATIONS: 1}
    assert run.node() == 2
    assert run.frames_in_use == used - 1


@pytest.mark.parametrize("where", [FILE_AT, WINDOW_AT])
def test_cow__the_writer_gets_a_frame_of_its_own(where: int) -> None:
    run = shared()
    used, old = run.frames_in_use, run.slot(FILE_AT)
    run.feed(store(where))
    assert run.counts(Event.COW_FAULTS, Event.PAGES_COPIED) == {Event.COW_FAULTS: 1, Event.PAGES_COPIED: 1}
    assert run.frames_in_use == used + 1
    assert run.slot(FILE_AT) == run.slot(WINDOW_AT) != old
    assert run.slot(FILE_AT, 2) == run.slot(WINDOW_AT, vm=1) == old


def test_cow__the_new_frame_is_placed_like_any_other() -> None:
    run = shared()
    allocated = run.count(Event.FRAMES_ALLOCATED)
    run.feed(store(WINDOW_AT, vcpu=1, asid=2))
    assert run.count(Event.FRAMES_ALLOCATED) == allocated + 1
    assert run.node(WINDOW_AT, vm=1) == 1


def test_cow__once_is_enough() -> None:
    run = shared()
    run.feed(store(WINDOW_AT), store(WINDOW_AT), store(FILE_AT))
    assert run.count(Event.COW_FAULTS) == 1


def test_cow__each_vm_copies_for_itself_while_the_disk_cache_keeps_the_original() -> None:
    run = shared()
    used, old = run.frames_in_use, run.slot(FILE_AT)
    run.feed(store(WINDOW_AT), store(WINDOW_AT, 1, 2))
    assert run.count(Event.COW_FAULTS) == 2
    assert run.frames_in_use == used + 2
    assert len({old, run.slot(FILE_AT), run.slot(FILE_AT, 2)}) == 3
    assert old in run.system.frames.memmap


def test_cow__only_the_writers_translations_are_shot_down() -> None:
    run = shared()
    run.feed(store(WINDOW_AT))
    assert run.count(Event.TLBS_SHOT_DOWN) == 0, "the other VM's CPU holds the frame under pages of its own"
    invalid = run.count(Event.TLB_INVALID, vm=1)
    run.feed(load(FILE_AT, 1, 2))
    assert run.count(Event.TLB_INVALID, vm=1) == invalid


def test_cow__a_page_that_is_cleared_is_copied_too() -> None:
    run = shared()
    run.feed(event(Kind.ZERO_PAGE, WINDOW_AT, PAGE, 100))
    assert run.count(Event.COW_FAULTS) == 1


def test_cow__reading_is_no_fault() -> None:
    run = shared()
    run.feed(file_read(0), file_read(0, vcpu=1, asid=2), load(FILE_AT), load(WINDOW_AT, 1, 2))
    assert run.count(Event.COW_FAULTS) == 0


def test_cow__replicas_of_a_sealed_frame_go_with_its_last_user() -> None:
    """One VM on three CPUs: the frame stays in the disk cache, and its copies with it."""
    run = disco(trace_with_file(3, 1), migration__trigger=TRIGGER, migration__sharing=SHARING)
    run.feed(load(FILE_AT), *lines(SHARING, FILE_AT, 1), *lines(TRIGGER, FILE_AT, 2))
    old = run.slot(FILE_AT)
    assert run.count(Event.REPLICATIONS) == 2
    run.feed(store(WINDOW_AT))
    assert run.counts(Event.COW_FAULTS, Event.COLLAPSES) == {Event.COW_FAULTS: 1, Event.COLLAPSES: 0}
    assert run.slot(FILE_AT) != old
    assert sorted(run.system.frames.memmap[old].replicas) == [1, 2]
