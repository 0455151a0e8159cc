"""Sums that must close for any replay of any trace, whoever did the counting.

``check_laws`` takes the counts as the oracle keeps them, so that it can be put to another engine's counts too.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from discotrace.tracegen.schema import Kind, Privileged, Rows
from tests.oracle.memory import is_unmapped_region

Tables = Mapping[str, Mapping[str, Any]]
Counts = Mapping[tuple[int, int, int, str, str], int]
PageMisses = Mapping[tuple[int, int], Mapping[int, int]]

SERVERS = ("local", "remote", "dirty_local", "dirty_remote")
MONITOR_EVENTS = (
    "software_tlb_hits",
    "kernel_tlb_refills",
    "tlb_writes_emulated",
    "wired_writes_emulated",
    "privileged_emulated",
    "privileged_patched",
    "zero_page_calls",
)


def totals_of(counts: Counts) -> Counter[str]:
    """Every event summed over windows, CPUs and contexts."""
    totals: Counter[str] = Counter()
    for (_, _, _, _, event), number in counts.items():
        totals[event] += number
    return totals


def check_laws(rows: Rows, tables: Tables, system: str, counts: Counts, page_misses: PageMisses) -> None:
    """Asserts every law; ``rows`` is the whole trace, ``counts`` and ``page_misses`` as in ``Oracle``."""
    totals = totals_of(counts)
    assert all(number > 0 for number in counts.values())
    _check_refills(totals, system)
    _check_caches(totals)
    _check_accesses(rows, tables, system, totals)
    _check_rows(rows, tables, system, totals)
    assert sum(sum(by_cpu.values()) for by_cpu in page_misses.values()) == _l2_misses(totals, "fetch", "load", "store")
    assert totals["frames_allocated"] <= totals["pages_mapped"]


def _check_refills(totals: Counter[str], system: str) -> None:
    refills = totals["guest_refills"] + totals["software_tlb_hits"] + totals["kernel_tlb_refills"]
    assert totals["tlb_misses"] + totals["tlb_invalid"] == refills
    assert totals["page_table_loads"] == totals["guest_refills"]
    if system == "native":
        assert not any(totals[event] for event in MONITOR_EVENTS)
    else:
        assert totals["tlb_writes_emulated"] == totals["guest_refills"]
        assert totals["privileged"] == 0


def _l2_misses(totals: Counter[str], *kinds: str) -> int:
    return sum(totals[f"l2_{kind}_{server}"] for kind in kinds for server in SERVERS)


def _check_caches(totals: Counter[str]) -> None:
    """What misses in the first level accesses the second."""
    for first, kind in (("l1i", "fetch"), ("l1d_load", "load"), ("l1d_store", "store")):
        assert totals[f"{first}_misses"] == totals[f"l2_{kind}_hits"] + _l2_misses(totals, kind)


def _check_accesses(rows: Rows, tables: Tables, system: str, totals: Counter[str]) -> None:
    """Hits and misses of each structure add up to the accesses that the rows ask for."""
    page_bytes = tables["memory"]["page_kib"] * 1024
    clears = 2 if system == "disco" and not tables["monitor"]["zero_page_hint"] else 1
    wanted: Counter[str] = Counter(l1d_load=totals["page_table_loads"])
    wanted["tlb"] = totals["guest_refills"] if system == "disco" else 0  # the page table pages
    for kind, vaddr, size in zip(rows.kind.tolist(), rows.vaddr.tolist(), rows.size.tolist(), strict=True):
        if kind == Kind.FETCH:
            wanted["l1i"] += _pieces(vaddr, size, tables["l1i"]["line_b"])
        elif kind == Kind.LOAD:
            wanted["l1d_load"] += _pieces(vaddr, size, tables["l1d"]["line_b"])
        elif kind in (Kind.STORE, Kind.ZERO_PAGE):
            times = 1 if kind == Kind.STORE else clears
            wanted["l1d_store"] += times * _pieces(vaddr, size, tables["l1d"]["line_b"])
        if kind <= Kind.STORE and (system == "disco" or not is_unmapped_region(vaddr)):
            wanted["tlb"] += _pieces(vaddr, size, page_bytes)
    for structure in ("l1i", "l1d_load", "l1d_store"):
        assert totals[f"{structure}_hits"] + totals[f"{structure}_misses"] == wanted[structure], structure
    assert totals["tlb_hits"] + totals["tlb_misses"] + totals["tlb_invalid"] == wanted["tlb"]


def _pieces(vaddr: int, size: int, piece_bytes: int) -> int:
    return (vaddr + size - 1) // piece_bytes - vaddr // piece_bytes + 1


def _check_rows(rows: Rows, tables: Tables, system: str, totals: Counter[str]) -> None:
    """Events that the rows alone decide."""
    kinds = Counter(rows.kind.tolist())
    for event, kind in ROW_EVENTS.items():
        assert totals[event] == kinds[kind], event
    sums: Counter[tuple[int, str]] = Counter()
    for kind, size, arg in zip(rows.kind.tolist(), rows.size.tolist(), rows.arg.tolist(), strict=True):
        sums[kind, "size"] += size
        sums[kind, "arg"] += arg
    assert totals["idle_instructions"] == sums[Kind.IDLE, "size"]
    assert totals["file_read_bytes"] == sums[Kind.FILE_READ, "size"]
    assert totals["file_write_bytes"] == sums[Kind.FILE_WRITE, "size"]
    handlers = totals["guest_refills"] * tables["guest"]["refill_instructions"]
    by_hint = system == "disco" and tables["monitor"]["zero_page_hint"]
    cleared = 0 if by_hint else sums[Kind.ZERO_PAGE, "arg"]
    assert totals["instructions"] == sums[Kind.FETCH, "arg"] + cleared + handlers
    assert totals["zero_page_calls"] == (kinds[Kind.ZERO_PAGE] if by_hint else 0)
    _check_privileged(rows, tables, system, totals)


def _check_privileged(rows: Rows, tables: Tables, system: str, totals: Counter[str]) -> None:
    given: Counter[int] = Counter()
    for kind, size, arg in zip(rows.kind.tolist(), rows.size.tolist(), rows.arg.tolist(), strict=True):
        if kind == Kind.PRIVILEGED:
            given[arg] += size
    if system == "native":
        assert totals["privileged"] == given.total()
        return
    assert totals["wired_writes_emulated"] == given.pop(Privileged.WIRED, 0)
    in_handlers = totals["guest_refills"] * tables["guest"]["refill_registers"]
    assert totals["privileged_emulated"] + totals["privileged_patched"] == given.total() + in_handlers


ROW_EVENTS = {
    "fetch_rows": Kind.FETCH,
    "load_rows": Kind.LOAD,
    "store_rows": Kind.STORE,
    "service_entries": Kind.ENTER,
    "lock_acquires": Kind.LOCK,
    "lock_releases": Kind.UNLOCK,
    "barriers": Kind.BARRIER,
    "switches": Kind.SWITCH,
    "free_pages": Kind.FREE_PAGE,
    "file_reads": Kind.FILE_READ,
    "file_writes": Kind.FILE_WRITE,
    "process_exits": Kind.PROCESS_EXIT,
}
