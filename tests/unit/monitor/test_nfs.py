"""NFS over the virtual subnet: pages go from server to client without being copied, where the guest lets them.

VM 0 on CPU 0 serves VM 1 on CPU 1.
"""

from typing import Any

import pytest

from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.counts import Event
from tests.unit.replay.driving import (
    FILE_AT,
    FILE_PAGES,
    PAGE,
    WINDOW_AT,
    Driven,
    disco,
    file_read,
    file_write,
    load,
    store,
    trace_with_file,
)

CLIENT = {"vcpu": 1, "asid": 2}
SMALL = {"guest__buffer_cache_percent": 0}  # buffer caches of one page
COSTS = (Event.PAGES_REMAPPED, Event.PAGES_COPIED, Event.COW_FAULTS)


def driven(size: int = FILE_PAGES * PAGE, **changes: Any) -> Driven[DiscoSystem]:
    return disco(trace_with_file(size=size), **{"vm__count": 2, "vm__nfs": True} | changes)


def costs(run: Driven[DiscoSystem]) -> tuple[int, ...]:
    """Pages remapped, pages copied, faults."""
    return tuple(run.counts(*COSTS).values())


def test_read__each_page_is_one_request_to_the_server_and_one_of_the_server() -> None:
    run = driven()
    run.feed(file_read(0, 3, **CLIENT))
    assert run.counts(Event.NFS_REQUESTS, Event.DISK_READS, Event.DISK_READ_PAGES) == {
        Event.NFS_REQUESTS: 3,
        Event.DISK_READS: 3,
        Event.DISK_READ_PAGES: 3,
    }
    assert run.count(Event.DISK_READS, vm=0) == 0, "counted where the client runs"


def test_read__the_server_reads_what_it_has_not() -> None:
    run = driven()
    run.feed(file_read(0, 2), file_read(0, 3, **CLIENT))
    assert run.counts(Event.NFS_REQUESTS, Event.DISK_READS) == {Event.NFS_REQUESTS: 3, Event.DISK_READS: 2}
    assert run.count(Event.BUFFER_HITS) == 0, "a page that the server has is used, and that is no hit of a guest's"


def test_read__what_the_client_has_is_not_asked_for_again() -> None:
    run = driven()
    run.feed(file_read(0, **CLIENT), file_read(0, **CLIENT), load(FILE_AT, 1, 2))
    assert run.counts(Event.NFS_REQUESTS, Event.BUFFER_HITS) == {Event.NFS_REQUESTS: 1, Event.BUFFER_HITS: 1}


def test_read__the_server_itself_goes_to_the_disk() -> None:
    run = driven()
    run.feed(file_read(0, 3))
    assert run.counts(Event.NFS_REQUESTS, Event.DISK_READS) == {Event.NFS_REQUESTS: 0, Event.DISK_READS: 1}


def test_read__server_and_client_have_one_frame() -> None:
    run = driven()
    run.feed(load(FILE_AT), load(FILE_AT, 1, 2))
    assert run.slot(FILE_AT) == run.slot(FILE_AT, 2)


@pytest.mark.parametrize(
    ("links_apart", "bcopy_remaps", "remapped", "copied", "faults", "same_frame"),
    [
        (True, True, 2, 0, 0, True),  # to the mbuf, to the file cache
        (True, False, 1, 1, 0, False),  # to the mbuf; bcopy copies
        (False, True, 2, 1, 1, False),  # to the mbuf, which is written into; to the file cache
        (False, False, 1, 2, 1, False),
    ],
)
def test_read__what_a_whole_page_costs(
    links_apart: bool, bcopy_remaps: bool, remapped: int, copied: int, faults: int, same_frame: bool
) -> None:
    run = driven(guest__mbuf_links_apart=links_apart, guest__bcopy_remaps=bcopy_remaps)
    run.feed(load(FILE_AT))
    before, used = costs(run), run.frames_in_use
    run.feed(file_read(0, **CLIENT))
    assert tuple(now - then for now, then in zip(costs(run), before, strict=True)) == (remapped, copied, faults)
    assert run.frames_in_use == used + (not same_frame), "an mbuf's own frame is let go"
    run.feed(load(FILE_AT, 1, 2))
    assert (run.slot(FILE_AT) == run.slot(FILE_AT, 2)) == same_frame


@pytest.mark.parametrize("links_apart", [True, False])
@pytest.mark.parametrize("bcopy_remaps", [True, False])
def test_read__a_page_in_which_the_file_ends_is_copied_once(links_apart: bool, bcopy_remaps: bool) -> None:
    run = driven(PAGE // 2, guest__mbuf_links_apart=links_apart, guest__bcopy_remaps=bcopy_remaps)
    run.feed(file_read(0))
    before = costs(run)
    run.feed(file_read(0, **CLIENT))
    assert tuple(now - then for now, then in zip(costs(run), before, strict=True)) == (0, 1, 0)


@pytest.mark.parametrize(("links_apart", "faults"), [(True, 1), (False, 0)])
def test_read__a_store_into_what_was_remapped_is_a_fault(links_apart: bool, faults: int) -> None:
    """Where the mbuf has had its fault, its frame is the client's own."""
    run = driven(guest__mbuf_links_apart=links_apart)
    run.feed(load(WINDOW_AT, **CLIENT))
    before = run.count(Event.COW_FAULTS)
    run.feed(store(WINDOW_AT, **CLIENT))
    assert run.count(Event.COW_FAULTS) == before + faults


def test_read__a_frame_that_the_server_has_for_itself_is_sealed_when_it_is_sent() -> None:
    run = driven()
    run.feed(file_write(0), store(WINDOW_AT), load(WINDOW_AT, **CLIENT))
    assert run.slot(WINDOW_AT) == run.slot(WINDOW_AT, vm=1)
    run.feed(store(WINDOW_AT))
    assert run.count(Event.COW_FAULTS) == 1
    assert run.slot(WINDOW_AT) != run.slot(WINDOW_AT, vm=1)


def test_write__a_page_that_the_client_evicts_goes_to_the_server() -> None:
    run = driven(**SMALL)
    run.feed(file_write(0, **CLIENT), load(WINDOW_AT, **CLIENT))
    written = run.slot(WINDOW_AT, vm=1)
    run.feed(file_write(1, **CLIENT))
    assert run.counts(Event.NFS_REQUESTS, Event.DISK_WRITES) == {Event.NFS_REQUESTS: 1, Event.DISK_WRITES: 0}
    run.feed(load(WINDOW_AT))
    assert run.slot(WINDOW_AT) == written


def test_write__the_server_writes_it_to_its_log_in_its_turn() -> None:
    run = driven(**SMALL)
    run.feed(file_write(0, **CLIENT), file_write(1, **CLIENT), file_read(2))
    assert run.counts(Event.DISK_WRITES, Event.DISK_PAGES_LOGGED) == {Event.DISK_WRITES: 1, Event.DISK_PAGES_LOGGED: 1}


def test_write__a_page_that_the_server_shows_is_shot_down_there() -> None:
    run = driven(**SMALL)
    run.feed(load(FILE_AT), file_write(0, **CLIENT))
    old, before = run.slot(FILE_AT), run.count(Event.TLBS_SHOT_DOWN)
    run.feed(file_write(1, **CLIENT))
    assert run.slot(FILE_AT) != old
    assert run.count(Event.TLBS_SHOT_DOWN) == before + 1


def test_memory__the_server_has_three_shares() -> None:
    meta = trace_with_file(4, 4)
    run = disco(meta, vm__count=4, vm__nfs=True)
    assert [table.size for table in run.system.pmaps] == [768, 256, 256, 256]
    assert [table.size for table in disco(meta, vm__count=4).system.pmaps] == [256] * 4
    assert [table.size for table in driven().system.pmaps] == [512, 256], "but not more than there is"


def test_alone__there_is_no_network() -> None:
    run = driven(vm__count=1)
    run.feed(file_read(0), file_read(0, **CLIENT))
    assert run.counts(Event.NFS_REQUESTS, Event.DISK_READS) == {Event.NFS_REQUESTS: 0, Event.DISK_READS: 1}


def test_persistent__clients_use_the_servers_disk() -> None:
    run = driven(disks__persistent=[0])
    run.feed(file_read(0, **CLIENT), file_read(1), file_read(1, **CLIENT))
    assert run.counts(Event.DISK_PAGES_DONE, Event.PAGES_REMAPPED) == {
        Event.DISK_PAGES_DONE: 2,
        Event.PAGES_REMAPPED: 4,
    }
