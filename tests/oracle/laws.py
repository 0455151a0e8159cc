"""Sums that must close for any replay of any trace, whoever did the counting.

``check_laws`` takes the counts as the oracle keeps them, so that it can be put to another engine's counts too.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from discotrace.tracegen.schema import Kind, Privileged, Rows, TraceMeta
from tests.oracle.counters import MOVING_POLICIES
from tests.oracle.executed import Row, executed_rows
from tests.oracle.memory import is_unmapped_region
from tests.oracle.now import Key
from tests.oracle.services import FAULTS, LEFT_OUT

Tables = Mapping[str, Mapping[str, Any]]
Counts = Mapping[Key, int]
PageMisses = Mapping[tuple[int, int], Mapping[int, int]]

SERVERS = ("local", "remote", "dirty_local", "dirty_remote")
HOT_LEFT = ("hot_left_written", "hot_left_capped", "hot_left_full", "hot_left_pinned", "hot_left_other")
MONITOR_EVENTS = (
    "software_tlb_hits",
    "kernel_tlb_refills",
    "tlb_writes_emulated",
    "wired_writes_emulated",
    "privileged_emulated",
    "privileged_patched",
    "zero_page_calls",
    "free_page_calls",
    "idle_spins",
    "monitor_faults",
    "disk_pages_shared",
    "disk_pages_logged",
    "nfs_requests",
    "pages_remapped",
    "pages_copied",
    "cow_faults",
    "hot_pages",
    "migrations",
    "replications",
    "collapses",
    "shootdowns",
    "tlbs_shot_down",
    *HOT_LEFT,
)
HANDLER_EVENTS = ("guest_refills", "page_table_loads", "tlb_writes_emulated")


def totals_of(counts: Counts) -> Counter[str]:
    """Every event summed over everything else."""
    totals: Counter[str] = Counter()
    for key, number in counts.items():
        totals[key.event] += number
    return totals


def check_laws(
    rows: Rows,
    tables: Tables,
    system: str,
    counts: Counts,
    page_misses: PageMisses,
    meta: TraceMeta | None = None,
    crash: tuple[int, int] | None = None,
) -> None:
    """Asserts every law; ``rows`` is the whole trace, ``counts``, ``page_misses`` and ``crash`` as in ``Oracle``.

    ``meta`` says which VM a row belongs to: without it there must be no crash, and laws of single VMs are left out.
    """
    totals = totals_of(counts)
    executed = executed_rows(rows, tables, system, meta, crash)
    assert all(number > 0 for number in counts.values())
    _check_systems(totals, tables, system)
    _check_caches(totals)
    _check_accesses(executed, tables, system, totals)
    _check_rows(executed, tables, system, totals)
    _check_files(executed, tables, system, totals)
    _check_hot_pages(tables, totals)
    _check_seats(counts)
    if meta is not None:
        _check_vms(executed, counts)
    assert sum(sum(by_cpu.values()) for by_cpu in page_misses.values()) == _l2_misses(totals, "fetch", "load", "store")


def _check_systems(totals: Counter[str], tables: Tables, system: str) -> None:
    """Every refill has one author, and what a system does not have does not happen."""
    refills = totals["guest_refills"] + totals["software_tlb_hits"] + totals["kernel_tlb_refills"]
    assert totals["tlb_misses"] + totals["tlb_invalid"] == refills
    assert totals["page_table_loads"] == totals["guest_refills"]
    absent: list[str] = []
    if system == "native":
        absent += MONITOR_EVENTS
    else:
        assert totals["tlb_writes_emulated"] == totals["guest_refills"]
        absent += ["privileged"]
    if system == "splashos":
        absent += [*HANDLER_EVENTS, "wired_writes_emulated", "privileged_emulated", "privileged_patched"]
    else:
        absent += ["monitor_faults"]
    if tables["monitor"]["software_tlb_entries"] == 0:
        absent += ["software_tlb_hits"]
    assert not any(totals[event] for event in absent), {event: totals[event] for event in absent}


def _l2_misses(totals: Counter[str], *kinds: str) -> int:
    return sum(totals[f"l2_{kind}_{server}"] for kind in kinds for server in SERVERS)


def _check_caches(totals: Counter[str]) -> None:
    """What misses in the first level accesses the second."""
    for first, kind in (("l1i", "fetch"), ("l1d_load", "load"), ("l1d_store", "store")):
        assert totals[f"{first}_misses"] == totals[f"l2_{kind}_hits"] + _l2_misses(totals, kind)


def _clears(row: Row, tables: Tables, system: str) -> tuple[bool, bool]:
    """Whether the guest and whether the monitor makes the stores of a ZERO_PAGE."""
    if system == "native":
        return True, False
    return not (row.is_left_out or tables["monitor"]["zero_page_hint"]), True


def _check_accesses(executed: list[Row], tables: Tables, system: str, totals: Counter[str]) -> None:
    """Hits and misses of each structure add up to the accesses that the rows ask for.

    A store that meets a read-only frame translates its page twice.
    """
    page_bytes = tables["memory"]["page_kib"] * 1024
    wanted: Counter[str] = Counter(l1d_load=totals["page_table_loads"])
    wanted["tlb"] = totals["guest_refills"] if system == "disco" else 0  # the page table pages
    for row in executed:
        if row.kind == Kind.ZERO_PAGE:
            wanted["l1d_store"] += sum(_clears(row, tables, system)) * _pieces(row, tables["l1d"]["line_b"])
        elif row.kind in REFERENCES and not row.is_left_out:
            structure = REFERENCES[row.kind]
            wanted[structure] += _pieces(row, tables["l1i" if row.kind == Kind.FETCH else "l1d"]["line_b"])
            if system != "native" or not is_unmapped_region(row.vaddr):
                wanted["tlb"] += _pieces(row, page_bytes)
    for structure in REFERENCES.values():
        assert totals[f"{structure}_hits"] + totals[f"{structure}_misses"] == wanted[structure], structure
    accesses = totals["tlb_hits"] + totals["tlb_misses"] + totals["tlb_invalid"]
    assert wanted["tlb"] <= accesses <= wanted["tlb"] + totals["cow_faults"] + totals["collapses"]


def _pieces(row: Row, piece_bytes: int) -> int:
    return (row.vaddr + row.size - 1) // piece_bytes - row.vaddr // piece_bytes + 1


def _check_rows(executed: list[Row], tables: Tables, system: str, totals: Counter[str]) -> None:
    """Events that the rows alone decide."""
    numbers: Counter[str] = Counter()
    for row in executed:
        if row.is_left_out and row.kind not in (*FILE_BYTES, Kind.PROCESS_EXIT, Kind.ZERO_PAGE):
            continue
        numbers[ROW_EVENTS.get(row.kind, "other")] += 1
        if row.kind == Kind.FILE_WRITE and row.vaddr == 0:
            numbers["files_created"] += 1
        if row.kind in FILE_BYTES:
            numbers[FILE_BYTES[row.kind]] += row.size
        elif row.kind == Kind.IDLE:
            numbers["idle"] += row.size
        elif row.kind == Kind.FETCH:
            numbers["instructions"] += row.arg
        elif row.kind == Kind.ZERO_PAGE:
            by_guest, _ = _clears(row, tables, system)
            numbers["instructions"] += row.arg if by_guest else 0
            numbers["zero_page_calls"] += 0 if by_guest else 1
        elif row.kind == Kind.ENTER:
            is_ours = system == "splashos" and row.arg in LEFT_OUT
            numbers["service_entries"] += not is_ours
            numbers["monitor_faults"] += is_ours and row.arg in FAULTS
    for event in (*ROW_EVENTS.values(), *FILE_BYTES.values(), *OTHER_ROW_EVENTS):
        assert totals[event] == numbers[event], event
    handlers = totals["guest_refills"] * tables["guest"]["refill_instructions"]
    assert totals["instructions"] == numbers["instructions"] + handlers
    spins = system != "native" and not tables["monitor"]["idle_hint"]
    assert totals["idle_spins"] == (numbers["idle"] if spins else 0)
    assert totals["idle_instructions"] == (0 if spins else numbers["idle"])
    calls = system != "native" and tables["monitor"]["free_page_hint"]
    assert totals["free_page_calls"] == (totals["free_pages"] if calls else 0)
    _check_privileged(executed, tables, system, totals)


def _check_privileged(executed: list[Row], tables: Tables, system: str, totals: Counter[str]) -> None:
    given: Counter[int] = Counter()
    for row in executed:
        if row.kind == Kind.PRIVILEGED:
            given[row.arg] += row.size
    if system == "native":
        assert totals["privileged"] == given.total()
    elif system == "disco":
        assert totals["wired_writes_emulated"] == given.pop(Privileged.WIRED, 0)
        in_handlers = totals["guest_refills"] * tables["guest"]["refill_registers"]
        assert totals["privileged_emulated"] + totals["privileged_patched"] == given.total() + in_handlers


def _check_files(executed: list[Row], tables: Tables, system: str, totals: Counter[str]) -> None:
    """Every page that is requested is found somewhere, and every new frame has a reason."""
    page_bytes = tables["memory"]["page_kib"] * 1024
    pages: Counter[int] = Counter()
    for row in executed:
        if row.kind in (Kind.FILE_READ, Kind.FILE_WRITE):
            pages[row.kind] += _pieces(row, page_bytes)
    resident = sum(_pieces(row, page_bytes) for row in executed if row.kind == Kind.RESIDENT)
    assert totals["resident_pages"] <= resident
    assert totals["disk_read_pages"] == totals["disk_pages_shared"] + totals["disk_pages_done"]
    assert totals["disk_reads"] <= totals["disk_read_pages"]
    assert totals["disk_reads_done"] <= totals["disk_pages_done"]
    assert bool(totals["disk_reads_done"]) == bool(totals["disk_pages_done"])
    assert totals["buffer_hits"] <= pages.total()
    assert totals["disk_writes"] <= totals["buffer_evictions"]
    if system != "native" and not tables["disks"]["persistent"]:
        assert totals["disk_pages_logged"] == totals["disk_writes"]
    assert totals["disk_pages_logged"] <= totals["disk_writes"]
    if tables["vm"]["count"] == 1 or not tables["vm"]["nfs"]:
        assert totals["nfs_requests"] == 0
        assert totals["pages_remapped"] <= totals["disk_read_pages"]
    assert totals["cow_faults"] <= totals["pages_copied"]
    reasons = totals["pages_mapped"] + totals["disk_pages_done"] + totals["pages_copied"] + pages[Kind.FILE_WRITE]
    assert totals["frames_allocated"] <= reasons


def _check_seats(counts: Counts) -> None:
    """On each CPU and for each VM: what nodes and disks are asked for has a cause, and only they are places."""
    seats: dict[tuple[int, int, int], Counter[str]] = {}
    for key, number in counts.items():
        seats.setdefault((key.window, key.cpu, key.vm), Counter())[key.event] += number
        assert (key.context == "any") == (key.event in PLACED_EVENTS)
        assert key.event in PLACED_EVENTS or key.at == 0
        assert 0 <= key.lock <= 7
        assert key.lock == 0 or key.context != "any"
        assert key.lock > 0 or key.event not in ("lock_acquires", "lock_releases")
    for seat in seats.values():
        upgrades = seat["upgrades_local"] + seat["upgrades_remote"]
        assert seat["memory_requests"] == _l2_misses(seat, "fetch", "load", "store") + upgrades
        assert seat["memory_writebacks"] == seat["writebacks_local"] + seat["writebacks_remote"]
        assert seat["disk_requests"] == seat["disk_reads_done"] + seat["disk_writes"]
        assert seat["disk_pages"] == seat["disk_pages_done"] + seat["disk_writes"]
        assert seat["files_created"] <= seat["file_writes"]


def _check_hot_pages(tables: Tables, totals: Counter[str]) -> None:
    """Every hot page migrates, is replicated to one node or several, or is left for one reason."""
    replicated = totals["hot_pages"] - totals["migrations"] - sum(totals[event] for event in HOT_LEFT)
    assert 0 <= replicated <= totals["replications"]
    assert bool(replicated) == bool(totals["replications"])
    assert totals["collapses"] <= totals["replications"]
    others = max(1, tables["cpu"]["count"]) - 1
    assert totals["shootdowns"] <= totals["tlbs_shot_down"] <= totals["shootdowns"] * others
    if tables["placement"]["policy"] not in MOVING_POLICIES or tables["migration"]["trigger"] == 0:
        assert totals["hot_pages"] == 0
    if tables["placement"]["policy"] == "origin":
        assert totals["replications"] == 0


def _check_vms(executed: list[Row], counts: Counts) -> None:
    """The references of a row are counted for its VM, on the CPU of its virtual CPU."""
    wanted = Counter(
        (row.cpu, row.vm, ROW_EVENTS[row.kind]) for row in executed if row.kind in REFERENCES and not row.is_left_out
    )
    given: Counter[tuple[int, int, str]] = Counter()
    for key, number in counts.items():
        if key.event in ("fetch_rows", "load_rows", "store_rows"):
            given[key.cpu, key.vm, key.event] += number
    assert given == wanted


PLACED_EVENTS = ("memory_requests", "memory_writebacks", "disk_requests", "disk_pages", "files_created")
REFERENCES = {Kind.FETCH: "l1i", Kind.LOAD: "l1d_load", Kind.STORE: "l1d_store"}
OTHER_ROW_EVENTS = ("files_created", "zero_page_calls", "monitor_faults", "service_entries")
FILE_BYTES = {Kind.FILE_READ: "file_read_bytes", Kind.FILE_WRITE: "file_write_bytes"}
ROW_EVENTS = {
    Kind.FETCH: "fetch_rows",
    Kind.LOAD: "load_rows",
    Kind.STORE: "store_rows",
    Kind.LOCK: "lock_acquires",
    Kind.UNLOCK: "lock_releases",
    Kind.BARRIER: "barriers",
    Kind.SWITCH: "switches",
    Kind.FREE_PAGE: "free_pages",
    Kind.FILE_READ: "file_reads",
    Kind.FILE_WRITE: "file_writes",
    Kind.PROCESS_EXIT: "process_exits",
}
