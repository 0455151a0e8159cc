"""What holds for any trace on any machine, whatever the numbers are.

That hits and misses close (``tests/oracle/laws.py``) and that batches do not matter is checked in
``test_engine_equals_oracle.py``, on the same random traces.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from discotrace.analysis.run import replay_systems
from discotrace.replay.engine import Replay
from discotrace.replay.machine import Machine
from discotrace.replay.system import System
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import Kind, Rows
from discotrace.tracegen.writer import write_trace
from tests.oracle.memory import PAGE_TABLE_KEYS, is_unmapped_region
from tests.property.engine import Key, as_dict, new_system, replay
from tests.property.traces import Case, Tables, cases, with_memory_for

EXAMPLES = settings().max_examples * 2 // 5  # each example replays several times
TRANSLATED = (Kind.FETCH, Kind.LOAD, Kind.STORE)


def counted(case: Case, tables: Tables, window: int | None = None) -> dict[Key, int]:
    """Counts of the case on another machine, or in other windows."""
    run = replay(case.meta, case.rows, Machine.from_tables(tables), case.system, window or case.window)
    return as_dict(run.finish())


def summed(counts: dict[Key, int], *places: int) -> Counter[tuple[object, ...]]:
    """Counts added up over everything but the named places of the key."""
    sums: Counter[tuple[object, ...]] = Counter()
    for key, number in counts.items():
        sums[tuple(key[place] for place in places)] += number
    return sums


# Threads


@given(cases())
@settings(max_examples=EXAMPLES)
def test_systems_side_by_side_count_what_each_counts_alone(case: Case) -> None:
    """Twice, in threads over one decode of a file, against one after the other over rows in memory."""
    machine = Machine.from_tables(case.tables)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        write_trace(path, case.meta, case.rows)
        with TraceReader(path) as reader:
            runs = [
                replay_systems(reader, machine, systems, case.window, lambda rows: None, batch_rows=64).counts
                for systems in (["native", "disco"], ["disco", "native"])
            ]
    for name in ("native", "disco"):
        alone = replay(case.meta, case.rows, machine, name, case.window).finish().table()
        assert all(run[name].equals(alone) for run in runs)


# Placement


@given(cases())
@settings(max_examples=EXAMPLES)
def test_with_one_node_placement_does_not_matter(case: Case) -> None:
    """All frames come from the one node in the order of their allocation, and both layouts number them alike."""
    one_node = case.tables | {"cpu": case.tables["cpu"] | {"per_node": 64}}
    one_node = with_memory_for(case.meta, case.rows, one_node)
    first, second = (
        counted(case, one_node | {"placement": {"native": policy, "disco": policy}})
        for policy in ("round-robin", "first-touch")
    )
    assert first == second
    assert not any("remote" in event for *_, event in first)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_first_touch_leaves_a_cpu_that_is_alone_nothing_remote(case: Case) -> None:
    """If all virtual CPUs run on one CPU, its node has every page, as long as the memory suffices."""
    cpu = {"count": 1, "per_node": 1, "nodes": 4}
    placement = {"native": "first-touch", "disco": "first-touch"}
    enough = with_memory_for(case.meta, case.rows, case.tables | {"cpu": cpu | {"nodes": 1}})
    counts = counted(case, enough | {"cpu": cpu, "placement": placement})
    assert not any("remote" in event for *_, event in counts)


# Windows and CPUs


@given(cases(), st.sampled_from([1, 13, 1000, 1 << 40]))
@settings(max_examples=EXAMPLES)
def test_the_sum_over_windows_does_not_depend_on_their_length(case: Case, window: int) -> None:
    assert summed(counted(case, case.tables), 1, 3, 4) == summed(counted(case, case.tables, window), 1, 3, 4)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_a_cpu_counts_the_rows_of_its_virtual_cpus_and_no_others(case: Case) -> None:
    by_cpu = summed(counted(case, case.tables), 1, 4)
    expected: Counter[tuple[object, ...]] = Counter()
    names = {Kind.FETCH: "fetch_rows", Kind.LOAD: "load_rows", Kind.STORE: "store_rows", Kind.LOCK: "lock_acquires"}
    for vcpu, kind in zip(case.rows.vcpu.tolist(), case.rows.kind.tolist(), strict=True):
        if kind in names:
            expected[vcpu % case.tables["cpu"]["count"], names[Kind(kind)]] += 1
    assert {key: number for key, number in by_cpu.items() if key[1] in names.values()} == dict(expected)


# Memory


class Ledger:
    """Stands between the engine and a system and notes who has which frame."""

    def __init__(self, system: System) -> None:
        self._allocate, self._free = system.allocate, system.free
        self.taken: set[int] = set()
        self.allocated = 0
        self.freed = 0
        system.allocate = self.allocate  # type: ignore[method-assign]
        system.free = self.free  # type: ignore[method-assign]

    def allocate(self, cpu: int) -> int:
        slot = self._allocate(cpu)
        assert slot not in self.taken, "a frame has two owners"
        self.taken.add(slot)
        self.allocated += 1
        return slot

    def free(self, slot: int) -> None:
        assert slot in self.taken, "a frame is freed that nobody has"
        self.taken.remove(slot)
        self.freed += 1
        self._free(slot)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_frames_are_conserved_and_have_one_owner(case: Case) -> None:
    machine = Machine.from_tables(case.tables)
    run = Replay(case.meta, machine, new_system(case.system, machine, case.meta.cpus), case.window)
    ledger = Ledger(run.system)
    run.feed(case.rows)
    memory = run.system.memory
    assert ledger.allocated - ledger.freed == memory.in_use == len(ledger.taken)
    assert ledger.allocated == summed(as_dict(run.finish()), 4)["frames_allocated",]
    frames = [memory.frames[slot] for slot in ledger.taken]
    assert len({(frame.node, frame.index) for frame in frames}) == len({frame.mfn for frame in frames}) == len(frames)


# The TLB that never has to forget


def pages_translated(case: Case, tables: Tables) -> Iterator[tuple[int, int, int]]:
    """(CPU, key, vpn) of each TLB access that a row asks for."""
    page_bytes = tables["memory"]["page_kib"] * 1024
    for vcpu, asid, kind, vaddr, size, _ in zip(*(column.tolist() for column in case.rows), strict=True):
        if kind in TRANSLATED and (case.system == "disco" or not is_unmapped_region(vaddr)):
            key = 0 if vaddr >> 63 else asid
            for vpn in range(vaddr // page_bytes, (vaddr + size - 1) // page_bytes + 1):
                yield vcpu % tables["cpu"]["count"], key, vpn


def with_short_runs(rows: Rows) -> Rows:
    """Each run of instructions is one instruction, so that a few thousand TLB entries are more than retire."""
    return rows._replace(arg=np.where(rows.kind == Kind.FETCH, 1, rows.arg).astype(np.uint32))


def with_boundless_tlb(case: Case) -> Tables:
    """The machine with a TLB that forgets nothing.

    Random counts down with the instructions, and here at least one is retired between two writes and there are more
    entries than instructions: no entry is chosen twice. Enough hardware ASIDs, a CPU for each virtual CPU: no flush.
    Without wired entries nobody else writes.
    """
    cpu = case.tables["cpu"] | {"count": case.meta.cpus}
    accesses = sum(1 for _ in pages_translated(case, case.tables | {"cpu": cpu}))
    tlb = case.tables["tlb"] | {"entries": 3 * accesses + int(case.rows.arg.sum()) + 1, "wired": 0, "asid_bits": 8}
    monitor = case.tables["monitor"] | {"software_tlb_entries": 0, "refill_instructions": 1}
    changed = {
        "cpu": cpu,
        "tlb": tlb,
        "monitor": monitor,
        "guest": {"refill_instructions": 1, "refill_registers": 0},
        "l2": case.tables["l2"] | {"inclusive": True},
    }
    return with_memory_for(case.meta, case.rows, case.tables | changed)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_with_a_boundless_tlb_misses_are_cold(case: Case) -> None:
    """Each CPU misses once for each group of pages that it touches; under the monitor once more for each group of
    pages of page table that the guest's handlers touch, which the handlers do for all pages but those of the
    relocated kernel, because there is no software TLB here.

    An entry may be there with a page invalid that was mapped after the entry was written, or unmapped since. Without
    UNMAP this happens at most once to each page, so that refills are at most as many as pages.
    """
    case = case._replace(rows=with_short_runs(case.rows))
    tables = with_boundless_tlb(case)
    page_bytes, per_entry = tables["memory"]["page_kib"] * 1024, tables["tlb"]["pages_per_entry"]
    pages = set(pages_translated(case, tables))
    if case.system == "disco":
        groups = {(cpu, key, vpn // per_entry) for cpu, key, vpn in pages if not is_unmapped_region(vpn * page_bytes)}
        pages |= {(cpu, key + PAGE_TABLE_KEYS, group * per_entry // (page_bytes // 4)) for cpu, key, group in groups}
    counts = summed(counted(case, tables), 1, 4)
    missed = Counter({cpu: number for (cpu, event), number in counts.items() if event == "tlb_misses"})
    assert missed == Counter(cpu for cpu, _, _ in {(cpu, key, vpn // per_entry) for cpu, key, vpn in pages})
    assert not any(event == "tlb_flushes" for _, event in counts)
    if Kind.UNMAP not in case.rows.kind:
        refills = missed + Counter({cpu: number for (cpu, event), number in counts.items() if event == "tlb_invalid"})
        assert refills <= Counter(cpu for cpu, _, _ in pages)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_a_boundless_software_tlb_asks_the_guest_once_for_each_page(case: Case) -> None:
    """However small the hardware's TLB is: what the guest has told the monitor once, the monitor knows."""
    assume(Kind.UNMAP not in case.rows.kind)
    tables = case.tables | {
        "monitor": case.tables["monitor"] | {"software_tlb_entries": 4096, "software_tlb_ways": 4096}
    }
    disco = case._replace(system="disco")
    page_bytes = tables["memory"]["page_kib"] * 1024
    of_guest = {
        (vcpu, key, vpn)
        for vcpu, key, vpn in pages_translated(disco, tables | {"cpu": tables["cpu"] | {"count": case.meta.cpus}})
        if not is_unmapped_region(vpn * page_bytes)
    }
    assert summed(counted(disco, tables), 4)["guest_refills",] <= len(of_guest)
