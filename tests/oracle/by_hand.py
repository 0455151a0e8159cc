"""Small machines, traces and questions for tests whose numbers are counted by hand; what must hold after any row."""

from typing import Any

from discotrace.tracegen.schema import (
    KSEG0_START,
    KSEG2_START,
    File,
    Kind,
    Process,
    Segment,
    TraceMeta,
    rows_from_records,
)
from tests.oracle.caches import EXCLUSIVE, MODIFIED, Caches, Line
from tests.oracle.laws import check_laws, totals_of
from tests.oracle.machine import Oracle
from tests.oracle.memory import Frame

Record = tuple[int, int, int, int, int, int]
Tables = dict[str, dict[str, Any]]

USER = 0x40_0000
PAGE = 4096


def tables(**changes: Any) -> Tables:
    """A small machine; ``table__key=value`` changes one key. One L1D set of two lines of 512 bytes."""
    machine: Tables = {
        "cpu": {"count": 1, "per_node": 1, "nodes": 0},
        "memory": {"mib_per_node": 1, "page_kib": 4},
        "tlb": {"entries": 4, "pages_per_entry": 2, "wired": 0, "asid_bits": 8},
        "l1i": {"size_kib": 1, "ways": 2, "line_b": 512},
        "l1d": {"size_kib": 1, "ways": 2, "line_b": 512},
        "l2": {"size_kib": 16, "ways": 32, "line_b": 512, "inclusive": True},
        "vm": {"count": 1, "nfs": False},
        "placement": {"native": "round-robin", "policy": "first-touch"},
        "migration": {
            "trigger": 2,
            "sharing": 1,
            "writes": 1,
            "moves": 1,
            "reset_instructions": 1 << 30,
            "origin_difference": 1,
            "origin_bounces": 1,
        },
        "guest": {
            "refill_instructions": 10,
            "refill_registers": 3,
            "buffer_cache_percent": 50,
            "bcopy_remaps": True,
            "mbuf_links_apart": True,
        },
        "disks": {"persistent": []},
        "monitor": {
            "software_tlb_entries": 16,
            "software_tlb_ways": 16,
            "refill_instructions": 7,
            "kernel_page_kib": 4,
            "patch_registers": False,
            "zero_page_hint": False,
            "free_page_hint": False,
            "idle_hint": False,
        },
    }
    for name, value in changes.items():
        table, key = name.split("__")
        machine[table][key] = value
    return machine


def meta(*more: Segment, cpus: int = 1, files: tuple[File, ...] = ()) -> TraceMeta:
    """Processes 1, 2, 3, each an instance, with 16 private pages each, 16 pages of KSEG0 and of KSEG2."""
    segments = [Segment(asid, USER, USER + 16 * PAGE, "anonymous") for asid in (1, 2, 3)]
    kernel = [Segment(0, start, start + 16 * PAGE, "anonymous") for start in (KSEG0_START, KSEG2_START)]
    processes = [Process(asid, f"p{asid}", 0, asid) for asid in (1, 2, 3)]
    return TraceMeta(cpus, processes, [*segments, *kernel, *more], list(files))


def load(vaddr: int, vcpu: int = 0, asid: int = 1) -> Record:
    """A load of four bytes."""
    return (vcpu, asid, Kind.LOAD, vaddr, 4, 0)


def store(vaddr: int, vcpu: int = 0, asid: int = 1) -> Record:
    """A store of four bytes."""
    return (vcpu, asid, Kind.STORE, vaddr, 4, 0)


def event(kind: Kind, vaddr: int = 0, size: int = 0, arg: int = 0, vcpu: int = 0, asid: int = 1) -> Record:
    """Any other row."""
    return (vcpu, asid, kind, vaddr, size, arg)


def replay(
    records: list[Record],
    machine: Tables,
    trace: TraceMeta | None = None,
    system: str = "native",
    window: int = 10**9,
    crash: tuple[int, int] | None = None,
) -> Oracle:
    """The oracle after these rows, its laws checked."""
    trace = trace or meta(cpus=8)
    oracle = Oracle(trace, machine, system, window, crash)
    rows = rows_from_records(records)
    oracle.run(rows)
    check_laws(rows, machine, system, oracle.counts, oracle.page_misses, trace, crash)
    check_state(oracle)
    return oracle


def totals(oracle: Oracle, *events: str) -> dict[str, int]:
    """These events over everything."""
    return {name: totals_of(oracle.counts)[name] for name in events}


def check_state(oracle: Oracle) -> None:
    """Asserts what must hold between the structures after any row."""
    _check_frames(oracle)
    for tlb in oracle.tlbs.hardware:
        tags = [entry.tag for entry in tlb.entries if entry]
        assert len(tags) == len(set(tags))
    for cpu in range(oracle.layout.cpus):
        _check_first_level(oracle.caches, cpu)
        for ways in oracle.caches.l2[cpu].sets:
            assert len(ways) <= oracle.caches.l2[cpu].ways
            for line, state in ways.items():
                others = [l2.state(line) for other, l2 in enumerate(oracle.caches.l2) if other != cpu]
                assert state not in (EXCLUSIVE, MODIFIED) or not any(others)


def _check_frames(oracle: Oracle) -> None:
    """Every frame ever taken is used, a replica or free, and one of them only; what is mapped is in use."""
    frames, pools = oracle.frames, oracle.frames.pools
    free = [
        Frame(node, i) for lists in (pools.freed, pools.reclaimed) for node, taken in enumerate(lists) for i in taken
    ]
    used = set(frames.memmap) | set(frames.disk_cache.values()) | set(frames.logs.values())
    replicas = [copy for copies in oracle.replicas.values() for copy in copies]
    everything = [*used, *replicas, *free]
    assert len(everything) == len(set(everything)) == sum(pools.fresh)
    assert frames.sealed | set(oracle.replicas) <= used
    assert set(frames.without_user) == set(frames.disk_cache.values()) - set(frames.memmap) - set(frames.logs.values())
    assert {guest_page for users in frames.memmap.values() for guest_page in users} == frames.pmap.keys()
    for guest in oracle.guests:
        assert guest.in_use <= frames.pmap.keys()
        assert len(guest.in_use) <= guest.guest_pages
    assert sum(oracle.footprint["machine"].values()) == len(used) + len(replicas)


def _check_first_level(caches: Caches, cpu: int) -> None:
    """With inclusion L2 holds every L1 line, Modified if dirty. A line is at one virtual index only."""
    line_b = caches.l2[cpu].line_b
    for l1 in (caches.l1i[cpu], caches.l1d[cpu]):
        lines = [line for ways in l1.sets for line in ways]
        assert len(lines) == len(set(lines))
        for ways in l1.sets:
            assert len(ways) <= l1.ways
            for line, is_dirty in ways.items() if caches.inclusive else ():
                state = caches.l2[cpu].state(Line(line.frame, line.number * l1.line_b // line_b))
                assert state == MODIFIED if is_dirty else state is not None
