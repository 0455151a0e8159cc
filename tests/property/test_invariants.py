"""What holds for any trace on any machine, whatever the numbers are.

That hits and misses close (``tests/oracle/laws.py``) and that batches do not matter is checked in
``test_engine_equals_oracle.py``, on the same random traces.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from discotrace.analysis.run import replay_systems
from discotrace.monitor.disco import DiscoSystem
from discotrace.replay.crash import Crash
from discotrace.replay.engine import Replay
from discotrace.replay.machine import Machine
from discotrace.replay.system import System
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import Kind, Rows
from discotrace.tracegen.writer import write_trace
from tests.oracle.memory import PAGE_TABLE_KEYS, is_unmapped_region
from tests.oracle.now import Key
from tests.oracle.partition import Partition
from tests.property.engine import as_dict, new_system, replay
from tests.property.traces import Case, Tables, cases, with_memory_for

EXAMPLES = settings().max_examples * 2 // 5  # each example replays several times
TRANSLATED = (Kind.FETCH, Kind.LOAD, Kind.STORE)


def counted(case: Case, tables: Tables, window: int | None = None) -> dict[Key, int]:
    """Counts of the case on another machine, or in other windows."""
    machine = Machine.from_tables(tables)
    run = replay(case.meta, case.rows, machine, case.system, window or case.window, crash=case.crash)
    return as_dict(run.finish())


def changed(tables: Tables, **keys: Any) -> Tables:
    """Tables with some keys changed: ``table__key=value``."""
    result = {name: dict(table) for name, table in tables.items()}
    for name, value in keys.items():
        table, key = name.split("__")
        result[table][key] = value
    return result


def summed(counts: dict[Key, int], *names: str) -> Counter[tuple[object, ...]]:
    """Counts added up over everything but these parts of the key."""
    sums: Counter[tuple[object, ...]] = Counter()
    for key, number in counts.items():
        sums[tuple(getattr(key, name) for name in names)] += number
    return sums


# Threads


@given(cases())
@settings(max_examples=EXAMPLES)
def test_systems_side_by_side_count_what_each_counts_alone(case: Case) -> None:
    """Twice, in threads over one decode of a file, against one after the other over rows in memory."""
    machine = Machine.from_tables(case.tables)
    crash = None if case.system == "native" else case.crash
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        write_trace(path, case.meta, case.rows)
        with TraceReader(path) as reader:
            runs = [
                replay_systems(
                    reader, machine, systems, case.window, lambda rows: None, 64, Crash(*crash) if crash else None
                ).counts
                for systems in (["native", "disco", "splashos"], ["splashos", "disco", "native"])
            ]
    for name in ("native", "disco", "splashos"):
        alone = replay(case.meta, case.rows, machine, name, case.window, crash=crash).finish().table()
        assert all(run[name].equals(alone) for run in runs)


# Placement


@given(cases(), st.sampled_from(["round-robin", "random", "disco", "origin"]))
@settings(max_examples=EXAMPLES)
def test_with_one_node_placement_does_not_matter(case: Case, policy: str) -> None:
    """All frames come from the one node in the order of their allocation; no CPU is remote, so that no page is hot."""
    one_node = with_memory_for(case.meta, case.rows, changed(case.tables, cpu__per_node=64, cpu__nodes=0))
    first = counted(case, changed(one_node, placement__native="first-touch", placement__policy="first-touch"))
    second = counted(case, changed(one_node, placement__native="round-robin", placement__policy=policy))
    assert first == second
    assert not any("remote" in key.event for key in first)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_first_touch_leaves_a_cpu_that_is_alone_nothing_remote(case: Case) -> None:
    """If all virtual CPUs run on one CPU, its node has every page, as long as the memory suffices."""
    alone = changed(case.tables, cpu__count=1, cpu__per_node=1, cpu__nodes=1)
    alone = changed(alone, placement__native="first-touch", placement__policy="first-touch")
    counts = counted(case, changed(with_memory_for(case.meta, case.rows, alone), cpu__nodes=4))
    assert not any("remote" in key.event for key in counts)


@given(cases(), st.sampled_from([0, 1 << 30]), st.sampled_from(["disco", "origin"]))
@settings(max_examples=EXAMPLES)
def test_a_trigger_that_is_never_reached_is_no_migration(case: Case, trigger: int, policy: str) -> None:
    never = counted(case, changed(case.tables, placement__policy=policy, migration__trigger=trigger))
    assert never == counted(case, changed(case.tables, placement__policy="first-touch"))


# Windows and CPUs


@given(cases(), st.sampled_from([1, 13, 1000, 1 << 40]))
@settings(max_examples=EXAMPLES)
def test_the_sum_over_windows_does_not_depend_on_their_length(case: Case, window: int) -> None:
    rest = Key._fields[1:]
    assert summed(counted(case, case.tables), *rest) == summed(counted(case, case.tables, window), *rest)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_a_cpu_counts_the_rows_of_its_virtual_cpus_and_no_others(case: Case) -> None:
    """Where all rows are executed, which a dead virtual machine and SPLASHOS do not."""
    case = case._replace(crash=None, system="native" if case.system == "native" else "disco")
    by_seat = summed(counted(case, case.tables), "cpu", "vm", "event")
    vms = 1 if case.system == "native" else case.tables["vm"]["count"]
    parts = Partition(case.meta, case.tables["cpu"]["count"], vms)
    expected: Counter[tuple[object, ...]] = Counter()
    names = {Kind.FETCH: "fetch_rows", Kind.LOAD: "load_rows", Kind.STORE: "store_rows", Kind.LOCK: "lock_acquires"}
    for vcpu, asid, kind in zip(*(column.tolist() for column in case.rows[:3]), strict=True):
        vm = parts.vm_of_row(vcpu, asid)
        if kind in names:
            expected[parts.cpu(vm, vcpu), vm, names[Kind(kind)]] += 1
    assert {key: number for key, number in by_seat.items() if key[2] in names.values()} == dict(expected)


# Crash


def without_stacks(case: Case) -> Case:
    """The case without services and locks, which even a dead virtual machine has to heed."""
    keep = ~np.isin(case.rows.kind, (Kind.ENTER, Kind.EXIT, Kind.LOCK, Kind.UNLOCK))
    return case._replace(rows=Rows._make(column[keep] for column in case.rows), crash=None)


def last_change_of_kernel(case: Case) -> int:
    """The row after which the segments of the kernel stay as they are."""
    rows = zip(case.rows.kind.tolist(), case.rows.arg.tolist(), strict=True)
    maps = (Kind.MAP, Kind.UNMAP)
    changes = [row for row, (kind, arg) in enumerate(rows) if kind in maps and case.meta.segments[arg].asid == 0]
    return max(changes, default=-1) + 1


def silenced(case: Case, vms: int, dead: int, crash_row: int) -> Rows:
    """The rows without those of the dead virtual machine after its death."""
    parts = Partition(case.meta, case.tables["cpu"]["count"], vms)
    pairs = zip(case.rows.vcpu.tolist(), case.rows.asid.tolist(), strict=True)
    keep = np.array([parts.vm_of_row(*pair) != dead or n < crash_row for n, pair in enumerate(pairs)], bool)
    return Rows._make(column[keep] for column in case.rows)


@given(cases(), st.integers(0, 99), st.integers(0, 7), st.sampled_from(["disco", "splashos"]))
@settings(max_examples=EXAMPLES)
def test_a_crash_changes_nothing_for_the_others(case: Case, percent: int, dead: int, system: str) -> None:
    """They count what they count if the dead one has no more rows, as long as no node is full.

    A page that they share with it is not shot down on its CPUs any more, and not pinned by its large kernel pages.
    """
    case = without_stacks(case)._replace(system=system)
    vms = max(2, case.tables["vm"]["count"])
    dead = max(dead % vms, int(case.tables["vm"]["nfs"]))
    tables = with_memory_for(case.meta, case.rows, changed(case.tables, vm__count=vms, disks__persistent=[]))
    nodes = -(-tables["cpu"]["count"] // tables["cpu"]["per_node"])
    tables = changed(tables, memory__mib_per_node=tables["memory"]["mib_per_node"] * nodes, monitor__kernel_page_kib=4)
    row = max(len(case.rows.kind) * percent // 100, last_change_of_kernel(case))
    quiet = case._replace(rows=silenced(case, vms, dead, row))
    crashed, expected = counted(case._replace(crash=(dead, row)), tables), counted(quiet, tables)
    for event in ("shootdowns", "tlbs_shot_down"):
        for counts in (crashed, expected):
            for key in [key for key in counts if key.event == event]:
                del counts[key]
    assert crashed == expected


# Memory


class Ledger:
    """Stands between a system and its memory and notes which frames are out.

    ``allocated`` are all that were taken but those of RESIDENT rows.
    """

    def __init__(self, system: System) -> None:
        memory = system.memory
        self._allocate_on, self._free, self._reclaim = memory.allocate_on, memory.free, memory.reclaim
        self.taken: set[int] = set()
        self.allocated = 0
        self._make_resident = system.make_resident
        system.make_resident = self.make_resident  # type: ignore[method-assign]
        memory.allocate_on = self.allocate_on  # type: ignore[method-assign]
        memory.free = self.free  # type: ignore[method-assign]
        memory.reclaim = self.reclaim  # type: ignore[method-assign]

    def allocate_on(self, node: int) -> int | None:
        slot = self._allocate_on(node)
        if slot is not None:
            assert slot not in self.taken, "a frame has two owners"
            self.taken.add(slot)
            self.allocated += 1
        return slot

    def make_resident(self, asid: int, file: int, vaddr: int, size: int) -> None:
        before = self.allocated
        self._make_resident(asid, file, vaddr, size)
        self.allocated = before

    def free(self, slot: int) -> None:
        self.taken.remove(slot)
        self._free(slot)

    def reclaim(self, slot: int) -> None:
        self.taken.remove(slot)
        self._reclaim(slot)


def with_ledger(case: Case) -> tuple[Replay, Ledger]:
    system = new_system(case.system, case.meta, Machine.from_tables(case.tables))
    ledger = Ledger(system)
    run = Replay(case.meta, system, case.window, Crash(*case.crash) if case.crash else None)
    run.feed(case.rows)
    return run, ledger


@given(cases())
@settings(max_examples=EXAMPLES)
def test_frames_are_conserved_and_have_one_owner(case: Case) -> None:
    run, ledger = with_ledger(case)
    memory = run.system.memory
    assert memory.in_use == len(ledger.taken)
    totals = summed(as_dict(run.finish()), "event")
    moved = totals["replications",] + totals["migrations",]
    assert ledger.allocated == totals["frames_allocated",] + moved
    frames = [memory.frames[slot] for slot in ledger.taken]
    assert len({(frame.node, frame.index) for frame in frames}) == len({frame.mfn for frame in frames}) == len(frames)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_pmaps_and_memmap_say_the_same(case: Case) -> None:
    """Whose a frame is, why it is in use, and whether it may be written."""
    run, ledger = with_ledger(case._replace(system="disco", crash=None) if case.system == "native" else case)
    system = run.system
    assert isinstance(system, DiscoSystem)
    memmap = system.frames.memmap
    assert set(memmap.slots) == ledger.taken
    uses = {slot: memmap[slot] for slot in memmap.slots}
    users = {(page, slot) for slot, use in uses.items() for page in use.users}
    assert users == {((vm, gfn), slot) for vm, pmap in enumerate(system.pmaps) for gfn, slot in pmap.pages.items()}
    copies = {copy: slot for slot, use in uses.items() for copy in use.replicas.values()}
    assert copies == {slot: use.master for slot, use in uses.items() if use.master is not None}
    for slot, use in uses.items():
        assert use.is_needed
        is_fixed = use.is_sealed or bool(use.replicas) or use.master is not None
        assert bool(system.hardware.frames.read_only[slot]) == is_fixed


@given(cases())
@settings(max_examples=EXAMPLES)
def test_the_footprint_is_what_is_in_use(case: Case) -> None:
    case = case._replace(crash=None)
    run, ledger = with_ledger(case)
    footprints = run.footprints
    assert sum(footprints.end.machine.values()) == len(ledger.taken)
    assert sum(footprints.peak.machine.values()) >= len(ledger.taken)
    if isinstance(run.system, DiscoSystem):
        assert sum(footprints.end.virtual.values()) == sum(len(pmap.taken) for pmap in run.system.pmaps)


# The TLB that never has to forget


def plain(case: Case) -> Case:
    """One virtual machine with small pages that nothing moves, evicts or kills, under the traced kernel itself."""
    tables = changed(case.tables, vm__count=1, placement__policy="first-touch", monitor__kernel_page_kib=4)
    tables = changed(tables, cpu__count=case.meta.cpus, l2__inclusive=True, guest__buffer_cache_percent=100)
    tables = with_memory_for(case.meta, case.rows, tables)
    return case._replace(tables=tables, crash=None, system="native" if case.system == "native" else "disco")


def pages_translated(case: Case) -> Iterator[tuple[int, int, int]]:
    """(CPU, key, vpn) of each TLB access that a row of a plain case asks for."""
    page_bytes = case.tables["memory"]["page_kib"] * 1024
    for vcpu, asid, kind, vaddr, size, _ in zip(*(column.tolist() for column in case.rows), strict=True):
        if kind in TRANSLATED and (case.system == "disco" or not is_unmapped_region(vaddr)):
            key = 0 if vaddr >> 63 else asid
            for vpn in range(vaddr // page_bytes, (vaddr + size - 1) // page_bytes + 1):
                yield vcpu, key, vpn


def with_short_runs(rows: Rows) -> Rows:
    """Each run of instructions is one instruction, so that a few thousand TLB entries are more than retire."""
    return rows._replace(arg=np.where(rows.kind == Kind.FETCH, 1, rows.arg).astype(np.uint32))


def with_boundless_tlb(case: Case) -> Tables:
    """The machine with a TLB that forgets nothing.

    Random counts down with the instructions, and here at least one is retired between two writes and there are more
    entries than instructions: no entry is chosen twice. Enough hardware ASIDs, a CPU for each virtual CPU: no flush.
    Without wired entries nobody else writes. A store may be translated twice, because of a write fault.
    """
    accesses = sum(1 for _ in pages_translated(case))
    entries = 6 * accesses + int(case.rows.arg.sum()) + 1
    tables = changed(case.tables, tlb__entries=entries, tlb__wired=0, tlb__asid_bits=8)
    tables = changed(tables, monitor__software_tlb_entries=0, monitor__refill_instructions=1)
    return changed(tables, guest__refill_instructions=1, guest__refill_registers=0)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_with_a_boundless_tlb_misses_are_cold(case: Case) -> None:
    """Each CPU misses once for each group of pages that it touches; under the monitor once more for each group of
    pages of page table that the guest's handlers touch, which the handlers do for all pages but those of the
    relocated kernel, because there is no software TLB here.

    An entry may be there with a page invalid that was mapped after the entry was written, or unmapped or copied since.
    Otherwise this happens at most once to each page, so that refills are at most as many as pages.
    """
    case = plain(case._replace(rows=with_short_runs(case.rows)))
    tables = with_boundless_tlb(case)
    page_bytes, per_entry = tables["memory"]["page_kib"] * 1024, tables["tlb"]["pages_per_entry"]
    pages = set(pages_translated(case))
    if case.system == "disco":
        groups = {(cpu, key, vpn // per_entry) for cpu, key, vpn in pages if not is_unmapped_region(vpn * page_bytes)}
        pages |= {(cpu, key + PAGE_TABLE_KEYS, group * per_entry // (page_bytes // 4)) for cpu, key, group in groups}
    counts = summed(counted(case, tables), "cpu", "event")
    missed = Counter({cpu: number for (cpu, event), number in counts.items() if event == "tlb_misses"})
    assert missed == Counter(cpu for cpu, _, _ in {(cpu, key, vpn // per_entry) for cpu, key, vpn in pages})
    events = {event for _, event in counts}
    assert "tlb_flushes" not in events
    if Kind.UNMAP not in case.rows.kind and "cow_faults" not in events:
        refills = missed + Counter({cpu: number for (cpu, event), number in counts.items() if event == "tlb_invalid"})
        assert refills <= Counter(cpu for cpu, _, _ in pages)


@given(cases())
@settings(max_examples=EXAMPLES)
def test_a_boundless_software_tlb_asks_the_guest_once_for_each_page(case: Case) -> None:
    """However small the hardware's TLB is: what the guest has told the monitor once, the monitor knows."""
    assume(Kind.UNMAP not in case.rows.kind)
    disco = plain(case._replace(system="disco"))
    tables = changed(disco.tables, monitor__software_tlb_entries=4096, monitor__software_tlb_ways=4096)
    page_bytes = tables["memory"]["page_kib"] * 1024
    of_guest = {page for page in pages_translated(disco) if not is_unmapped_region(page[2] * page_bytes)}
    totals = summed(counted(disco, tables), "event")
    if not totals["cow_faults",]:
        assert totals["guest_refills",] <= len(of_guest)
