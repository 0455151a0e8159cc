"""The naive twin of the monitor against cases small enough to count by hand: the mechanisms of D 4.1 to 4.4."""

import pytest

from discotrace.tracegen.schema import KSEG0_START, XKPHYS_START, File, Kind, Segment, Service, TraceMeta
from tests.oracle.by_hand import PAGE, USER, Record, event, load, meta, replay, store, tables, totals
from tests.oracle.machine import Oracle
from tests.oracle.memory import KERNEL_KEYS, Page

KERNEL_PAGE = Page(0, KSEG0_START // PAGE)
WHOLE = File(1, "/whole", 4 * PAGE)
WITH_TAIL = File(2, "/tail", PAGE + 100)


def two_vms(**changes: object) -> dict[str, dict[str, object]]:
    """Two nodes of one CPU, a VM on each: processes 1 and 2 are in VM 0, process 3 is in VM 1."""
    return tables(cpu__count=2, vm__count=2, **changes)


def with_files() -> TraceMeta:
    """Two virtual CPUs; a window of the kernel on the first file."""
    window = Segment(0, XKPHYS_START, XKPHYS_START + 4 * PAGE, "file", 1, 0, writable=False)
    return meta(window, cpus=2, files=(WHOLE, WITH_TAIL))


def read(page: int, pages: int = 1, file: int = 1, asid: int = 1) -> Record:
    """FILE_READ of whole pages; process 3 runs on virtual CPU 1, the others on 0."""
    return event(Kind.FILE_READ, page * PAGE, pages * PAGE, file, int(asid == 3), asid)


def write(page: int, asid: int = 1) -> Record:
    """FILE_WRITE of a whole page of the first file."""
    return event(Kind.FILE_WRITE, page * PAGE, PAGE, 1, int(asid == 3), asid)


def nonzero(oracle: Oracle, *events: str) -> dict[str, int]:
    """Those of these events that were counted."""
    return {name: number for name, number in totals(oracle, *events).items() if number}


def line(number: int, vcpu: int) -> Record:
    """A load of one line of the page that these tests make hot."""
    return load(KSEG0_START + 512 * number, vcpu)


HOT_EVENTS = ("hot_pages", "migrations", "replications", "collapses", "shootdowns", "tlbs_shot_down", "hot_left_capped")


def test_migration__a_page_that_another_node_alone_uses_moves_there_once() -> None:
    machine = tables(cpu__count=2, placement__policy="disco", migration__sharing=2)
    before = [line(0, 0), line(1, 1)]
    assert replay(before, machine, system="disco").mappings[KERNEL_PAGE] == (0, 0)
    oracle = replay([*before, line(2, 1), line(3, 1)], machine, system="disco")
    assert oracle.mappings[KERNEL_PAGE] == (1, 0)
    assert nonzero(oracle, *HOT_EVENTS) == {"hot_pages": 1, "migrations": 1, "shootdowns": 1, "tlbs_shot_down": 1}
    assert totals(oracle, "l2_load_local", "l2_load_remote") == {"l2_load_local": 2, "l2_load_remote": 2}
    back = replay([*before, line(2, 1), line(4, 0), line(5, 0)], machine, system="disco")
    assert back.mappings[KERNEL_PAGE] == (1, 0)
    assert totals(back, "hot_pages", "hot_left_capped") == {"hot_pages": 2, "hot_left_capped": 1}


def test_replication__a_page_that_two_nodes_read_has_two_copies_until_it_is_written() -> None:
    machine = tables(cpu__count=2, placement__policy="disco")
    reads = [line(0, 0), line(1, 1), line(2, 1), line(3, 1), line(4, 0)]
    oracle = replay(reads, machine, system="disco")
    assert oracle.mappings[KERNEL_PAGE] == (0, 0)
    assert oracle.replicas == {(0, 0): [(1, 0)]}
    assert oracle.read_only == {(0, 0), (1, 0)}
    assert oracle.page_misses == {(0, 0): {0: 2, 1: 2}, (1, 0): {1: 1}}
    assert nonzero(oracle, *HOT_EVENTS) == {"hot_pages": 1, "replications": 1, "shootdowns": 1, "tlbs_shot_down": 1}
    assert oracle.footprint["machine"] | {"data": 1, "replica": 1} == oracle.footprint["machine"]
    written = replay([*reads, store(KSEG0_START)], machine, system="disco")
    assert (written.replicas, written.read_only) == ({}, set())
    assert totals(written, "collapses", "shootdowns", "tlb_hits") == {"collapses": 1, "shootdowns": 2, "tlb_hits": 4}


def test_replication__a_page_that_is_written_stays() -> None:
    machine = tables(cpu__count=2, placement__policy="disco")
    oracle = replay([store(KSEG0_START), line(1, 1), line(2, 1)], machine, system="disco")
    assert nonzero(oracle, "hot_pages", "hot_left_written") == {"hot_pages": 1, "hot_left_written": 1}


def test_hot_pages__the_kernel_in_large_pages_is_pinned() -> None:
    machine = tables(cpu__count=2, placement__policy="disco", monitor__kernel_page_kib=64)
    oracle = replay([line(0, 0), line(1, 1), line(2, 1), load(KSEG0_START + 2 * PAGE, 1)], machine, system="disco")
    assert nonzero(oracle, "hot_pages", "hot_left_pinned") == {"hot_pages": 1, "hot_left_pinned": 1}
    assert totals(oracle, "tlb_misses", "kernel_tlb_refills", "tlb_hits", "pages_mapped") == {
        "tlb_misses": 2,  # one on each CPU
        "kernel_tlb_refills": 2,
        "tlb_hits": 2,
        "pages_mapped": 2,
    }


def test_disk__two_vms_share_a_page_until_one_writes_to_it() -> None:
    machine = two_vms()
    reads = [read(0, pages=2), read(0, pages=1, asid=3)]
    oracle = replay(reads, machine, with_files(), "disco")
    assert nonzero(oracle, *DISK_EVENTS) == {
        "disk_reads": 2,
        "disk_read_pages": 3,
        "disk_reads_done": 1,
        "disk_pages_done": 2,
        "disk_pages_shared": 1,
        "pages_remapped": 3,
    }
    assert oracle.pmap == {(0, 0): (0, 0), (0, 1): (0, 1), (1, 0): (0, 0)}
    assert oracle.footprint["virtual"]["buffer"] == 3
    assert oracle.footprint["machine"]["buffer"] == 2
    written = replay([*reads, store(XKPHYS_START, 1, 3)], machine, with_files(), "disco")
    assert written.pmap == {(0, 0): (0, 0), (0, 1): (0, 1), (1, 0): (1, 0)}
    assert written.mappings == {Page(KERNEL_KEYS, XKPHYS_START // PAGE): (1, 0)}
    assert totals(written, "cow_faults", "pages_copied", "tlb_misses", "tlb_invalid") == {
        "cow_faults": 1,
        "pages_copied": 1,
        "tlb_misses": 1,
        "tlb_invalid": 1,  # the page is translated again after the fault
    }


def test_disk__the_page_in_which_a_file_ends_is_copied() -> None:
    oracle = replay([read(0, 2, file=2), read(0, 2, file=2, asid=3)], two_vms(), with_files(), "disco")
    assert totals(oracle, "pages_remapped", "pages_copied", "disk_pages_shared") == {
        "pages_remapped": 2,
        "pages_copied": 2,
        "disk_pages_shared": 2,
    }
    assert oracle.footprint["machine"]["disk_cache"] == 1


def test_disk__what_is_evicted_after_a_write_is_in_the_log() -> None:
    machine = tables(guest__buffer_cache_percent=1, monitor__free_page_hint=True)  # two pages of buffer cache
    oracle = replay([write(0), read(1), read(2)], machine, with_files(), "disco")
    assert totals(oracle, "buffer_evictions", "disk_writes", "disk_pages_logged", "disk_pages_done") == {
        "buffer_evictions": 1,
        "disk_writes": 1,
        "disk_pages_logged": 1,
        "disk_pages_done": 2,
    }
    assert oracle.footprint["machine"]["log"] == 1
    again = replay([write(0), read(1), read(2), read(0), read(0)], machine, with_files(), "disco")
    assert totals(again, "buffer_hits", "buffer_evictions", "disk_pages_shared") == {
        "buffer_hits": 1,
        "buffer_evictions": 2,
        "disk_pages_shared": 1,
    }
    natively = replay([write(0), read(1), read(2), read(0)], machine, with_files())
    assert totals(natively, "disk_writes", "disk_pages_done") == {"disk_writes": 1, "disk_pages_done": 3}


def test_disk__a_persistent_one_has_one_owner() -> None:
    machine = two_vms(disks__persistent=[0])
    with pytest.raises(ValueError, match=r"row 1: disk 0 is persistent: VM 0 owns it"):
        replay([read(0), read(0, asid=3)], machine, with_files(), "disco")


@pytest.mark.parametrize(
    ("remaps", "apart", "expected"),
    [
        (True, True, {"pages_remapped": 3}),  # from the disk cache, into the mbuf, into the file cache
        (False, True, {"pages_remapped": 2, "pages_copied": 1}),
        (True, False, {"pages_remapped": 3, "pages_copied": 1, "cow_faults": 1}),
        (False, False, {"pages_remapped": 2, "pages_copied": 2, "cow_faults": 1}),
    ],
)
def test_nfs__a_page_that_the_server_sends_is_remapped(remaps: bool, apart: bool, expected: dict[str, int]) -> None:
    machine = two_vms(vm__nfs=True, guest__bcopy_remaps=remaps, guest__mbuf_links_apart=apart)
    oracle = replay([read(0, asid=3)], machine, with_files(), "disco")
    assert nonzero(oracle, *DISK_EVENTS, "nfs_requests", "pages_copied", "cow_faults") == expected | {
        "nfs_requests": 1,
        "disk_reads": 1,
        "disk_read_pages": 1,
        "disk_reads_done": 1,
        "disk_pages_done": 1,
    }
    assert (oracle.pmap[0, 0] == oracle.pmap[1, 0]) == (remaps and apart)
    assert all(key.cpu == key.vm == 1 for key in oracle.counts)


def test_nfs__a_page_that_a_client_wrote_goes_to_the_server() -> None:
    machine = two_vms(vm__nfs=True, guest__buffer_cache_percent=1)  # 2 pages of the client's 256
    records = [read(0), write(0, asid=3), read(1, asid=3), read(2, asid=3)]
    oracle = replay(records, machine, with_files(), "disco")
    assert totals(oracle, "buffer_evictions", "nfs_requests", "disk_writes") == {
        "buffer_evictions": 1,
        "nfs_requests": 3,
        "disk_writes": 0,
    }
    assert oracle.pmap[0, 0] == (1, 0)  # the frame in which the client wrote


def test_splashos__the_monitor_stands_in_for_the_fault() -> None:
    records = [
        event(Kind.ENTER, arg=Service.DEMAND_ZERO),
        (0, 1, Kind.FETCH, KSEG0_START, 4, 60),
        event(Kind.ZERO_PAGE, USER, PAGE, 40),
        event(Kind.EXIT, arg=Service.DEMAND_ZERO),
        load(USER),
    ]
    oracle = replay(records, tables(), system="splashos", window=100)
    kept = ("monitor_faults", "zero_page_calls", "tlb_misses", "kernel_tlb_refills", "pages_mapped", "instructions")
    assert {key: number for key, number in oracle.counts.items() if key.event in (*kept, "service_entries")} == {
        (0, 0, 0, 0, "user", "monitor_faults", 0): 1,
        (0, 0, 0, 0, "kernel:demand_zero", "pages_mapped", 0): 1,
        (0, 0, 0, 0, "kernel:demand_zero", "zero_page_calls", 0): 1,
        (1, 0, 0, 0, "user", "tlb_misses", 0): 1,
        (1, 0, 0, 0, "user", "kernel_tlb_refills", 0): 1,
    }


def test_crash__the_memory_of_the_dead_vm_is_used_last() -> None:
    records = [load(USER), load(USER, 1, 3), load(USER + PAGE), load(USER + PAGE, 1, 3), read(0, asid=3)]
    oracle = replay(records, two_vms(), with_files(), "disco", crash=(1, 3))
    assert totals(oracle, "load_rows", "file_reads", "pages_mapped") == {
        "load_rows": 3,
        "file_reads": 0,
        "pages_mapped": 5,  # and a page of page table in each VM
    }
    assert {guest_page[0] for guest_page in oracle.pmap} == {0}
    assert oracle.frames.pools.reclaimed == [[], [0, 1]]
    natively = replay(records, tables(cpu__count=2), with_files(), crash=(0, 3))
    assert totals(natively, "load_rows", "file_reads") == {"load_rows": 3, "file_reads": 0}


def test_memory__an_unused_page_of_the_disk_cache_is_given_up_first() -> None:
    machine = tables(memory__page_kib=256, monitor__free_page_hint=True, guest__buffer_cache_percent=25)
    far = [Segment(1, USER + (n << 18), USER + (n << 18) + PAGE, "anonymous") for n in range(1, 4)]
    trace = meta(*far, files=(File(1, "/f", 1 << 20),))
    reads = [event(Kind.FILE_READ, page << 18, PAGE, 1) for page in (0, 1)]
    oracle = replay([*reads, load(far[0].start)], machine, trace, "disco")
    assert (
        oracle.footprint["machine"] | {"disk_cache": 1, "buffer": 1, "user": 1, "data": 1}
        == oracle.footprint["machine"]
    )
    full = replay([*reads, load(far[0].start), load(far[1].start)], machine, trace, "disco")
    assert full.footprint["machine"]["disk_cache"] == 0
    with pytest.raises(MemoryError, match=r"row 5: VM 0 is out of memory"):
        replay([*reads, *(load(segment.start) for segment in far), load(USER)], machine, trace, "disco")


DISK_EVENTS = (
    "disk_reads",
    "disk_read_pages",
    "disk_reads_done",
    "disk_pages_done",
    "disk_pages_shared",
    "pages_remapped",
)
