"""Frames under the monitor: where they come from, when they are free, what is given up when memory is full.

A node is 1 MiB: four pages of 256 KiB.
"""

from typing import Any

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.schema import File, Kind, Segment
from tests.unit.replay.driving import Driven, Record, disco, event, lines, load, trace

LARGE = 256 * 1024
PRIVATE = 0x1000_0000
SHOWN = 0x2000_0000
TRIGGER, SHARING = 3, 2


def driven(cpus: int = 1, vms: int = 1, **changes: Any) -> Driven[DiscoSystem]:
    """Processes with 16 pages of their own, which show 16 pages of file 1."""
    asids = range(1, vms + 1)
    segments = [Segment(asid, PRIVATE, PRIVATE + 16 * LARGE, "anonymous") for asid in asids]
    segments += [Segment(asid, SHOWN, SHOWN + 16 * LARGE, "file", 1, 0, False) for asid in asids]
    meta = trace(cpus, vms, segments, [File(1, "/f", 16 * LARGE)])
    thresholds = {"migration__trigger": TRIGGER, "migration__sharing": SHARING}
    return disco(meta, memory__page_kib=LARGE // 1024, vm__count=vms, **thresholds | changes)


def page(number: int, vcpu: int = 0, asid: int = 1) -> Record:
    return load(PRIVATE + number * LARGE, vcpu, asid)


def read(first: int, pages: int = 1, vcpu: int = 0, asid: int = 1) -> Record:
    return event(Kind.FILE_READ, first * LARGE, pages * LARGE, 1, vcpu, asid)


def test_new__a_full_node_passes_on_to_the_nearest() -> None:
    run = driven(5)
    run.feed(*(page(number, vcpu=3) for number in range(11)))
    assert [run.node(PRIVATE + n * LARGE) for n in range(11)] == [3] * 3 + [2] * 4 + [4] * 4, "page table on 3 too"


def test_full__the_buffer_cache_evicts_and_the_disk_cache_gives_up() -> None:
    run = driven()
    run.feed(read(0, 3), page(0))
    assert run.frames_in_use == 4, "three of the file, the page and its page table instead of one of the file"
    assert run.count(Event.BUFFER_EVICTIONS) == 1
    assert run.system.frames.cache.places(0) == 0, "the least recently used page of the file"


def test_full__the_guest_is_out_of_memory_when_nothing_can_be_evicted() -> None:
    run = driven()
    run.feed(*(page(number) for number in range(3)))
    with pytest.raises(ConfigError, match="out of memory: virtual machine 0 has only 4 pages of 256 KiB"):
        run.feed(page(3))


def test_full__the_error_names_the_vm() -> None:
    run = driven(2, 2)
    run.feed(page(0))
    with pytest.raises(ConfigError, match="out of memory: virtual machine 1 has only 4 pages"):
        run.feed(*(page(number, 1, 2) for number in range(4)))


def test_full__a_cached_page_without_a_user_goes_before_a_replica() -> None:
    """Nodes of four: page, page table and what else CPU 0 has; a copy on node 1."""
    run = driven(2)
    run.feed(page(0), *lines(SHARING, PRIVATE), *lines(TRIGGER, PRIVATE, vcpu=1))
    assert run.count(Event.REPLICATIONS) == 1
    run.feed(*(page(number) for number in range(1, 6)))
    assert run.frames_in_use == 8
    run.feed(page(6))
    assert not run.system.frames.memmap[run.slot(PRIVATE)].replicas
    assert run.count(Event.COLLAPSES) == 0


def test_full__giving_up_a_replica_interrupts_who_uses_it() -> None:
    run = driven(2)
    run.feed(page(0), *lines(SHARING, PRIVATE), *lines(TRIGGER, PRIVATE, vcpu=1), load(PRIVATE, 1))
    run.feed(*(page(number) for number in range(1, 6)))
    before = run.count(Event.TLBS_SHOT_DOWN)
    run.feed(page(6))
    assert run.count(Event.TLBS_SHOT_DOWN) == before + 1
    run.feed(load(PRIVATE, 1))
    assert run.count(Event.TLB_INVALID, cpu=1) > 0


def test_full__a_page_that_may_be_written_again_has_no_replicas_left() -> None:
    run = driven(2)
    run.feed(page(0), *lines(SHARING, PRIVATE), *lines(TRIGGER, PRIVATE, vcpu=1))
    run.feed(*(page(number) for number in range(1, 7)), (0, 1, Kind.STORE, PRIVATE, 4, 0))
    assert run.count(Event.COLLAPSES) == 0


def test_release__pages_of_an_object_stay_in_memory() -> None:
    shared = Segment(1, PRIVATE, PRIVATE + LARGE, "shared", 3)
    run = disco(trace(1, 1, [shared]), memory__page_kib=LARGE // 1024)
    run.feed(page(0), event(Kind.PROCESS_EXIT))
    assert run.frames_in_use == 1


def test_release__process_exit_frees_pages_and_page_tables() -> None:
    run = driven()
    run.feed(page(0), page(1), event(Kind.PROCESS_EXIT))
    assert run.frames_in_use == 0


def test_cached_frames_outlive_their_users() -> None:
    run = driven()
    run.feed(load(SHOWN), event(Kind.PROCESS_EXIT))
    assert run.frames_in_use == 1
    assert run.replay.footprints.end.machine["buffer"] == 1, "the guest's buffer cache has it still"
