"""The naive twin against cases small enough to count by hand, and against the sums that must close."""

from collections import Counter

import pytest
from hypothesis import given, settings

from discotrace.replay.machine import Machine
from discotrace.tracegen.schema import KSEG0_START, KSEG2_START, File, Kind, Privileged, Segment, Service, slice_rows
from tests.oracle.by_hand import PAGE, USER, Record, check_state, event, load, meta, replay, store, tables, totals
from tests.oracle.laws import check_laws
from tests.oracle.machine import Oracle
from tests.oracle.memory import Frame, Page
from tests.oracle.tlb import SoftwareTlb, Tag, Tlb
from tests.property.traces import Case, cases, small_memory_cases


def test_the_machine_of_these_tests_is_a_machine() -> None:
    assert Machine.from_tables(tables()).to_tables() == tables()


def test_tlb__an_entry_serves_a_pair_of_pages_once_both_are_mapped() -> None:
    oracle = replay([load(USER), load(USER + PAGE), load(USER), load(USER + PAGE)], tables())
    assert totals(oracle, "tlb_misses", "tlb_invalid", "tlb_hits") == {
        "tlb_misses": 1,  # neither page is mapped; afterwards the second is invalid
        "tlb_invalid": 1,
        "tlb_hits": 2,
    }
    refill = {key.event: number for key, number in oracle.counts.items() if "utlb" in key.context}
    assert refill == {
        "guest_refills": 2,
        "instructions": 20,
        "page_table_loads": 2,
        "pages_mapped": 3,  # two pages and their page of page table
        "frames_allocated": 3,
        "l1d_load_misses": 1,
        "l1d_load_hits": 1,
        "l2_load_local": 1,
    }


@pytest.mark.parametrize("system", ["native", "disco"])
def test_resident__only_pages_that_were_missing_count_and_nothing_else(system: str) -> None:
    files = (File(1, "/f", 4 * PAGE),)
    found = [event(Kind.RESIDENT, 0, 2 * PAGE, 1), event(Kind.RESIDENT, USER + 100, PAGE, 0)]
    oracle = replay([*found, event(Kind.RESIDENT, 0, 3 * PAGE, 1)], tables(), meta(files=files), system)
    assert oracle.counts == {(0, 0, 0, 0, "user", "resident_pages", 0): 5}
    assert len(oracle.mappings) == 2


def test_tlb__random_counts_down_with_instructions_from_the_top_to_wired_and_wraps() -> None:
    tlb = Tlb(entries=4, pages_per_entry=2, wired=1, asid_bits=8)
    assert [tlb.random(retired) for retired in range(5)] == [3, 2, 1, 3, 2]


def test_tlb__refill_replaces_the_entry_that_random_names() -> None:
    machine = tables(tlb__entries=2, guest__refill_instructions=1)
    pages = [USER, USER + 2 * PAGE, USER + 4 * PAGE]  # three groups into entries 0, 1 and 0 again
    oracle = replay([*map(load, pages), load(pages[1]), load(pages[0])], machine)
    assert totals(oracle, "tlb_misses", "tlb_hits") == {"tlb_misses": 4, "tlb_hits": 1}


def test_tlb__a_wired_entry_outlives_every_refill() -> None:
    machine = tables(tlb__entries=2, tlb__wired=1)
    wired = event(Kind.PRIVILEGED, KSEG2_START, 1, Privileged.WIRED)
    others = [load(USER + group * 2 * PAGE) for group in range(8)]
    oracle = replay([wired, *others, load(KSEG2_START)], machine)
    assert totals(oracle, "tlb_misses", "tlb_hits", "privileged") == {"tlb_misses": 8, "tlb_hits": 1, "privileged": 1}
    emptied = event(Kind.PRIVILEGED, 0, 1, Privileged.WIRED)
    assert totals(replay([wired, emptied, load(KSEG2_START)], machine), "tlb_misses") == {"tlb_misses": 1}


def test_tlb__the_process_after_the_last_asid_flushes() -> None:
    def switch(before: int, asid: int) -> Record:
        return event(Kind.SWITCH, arg=before, asid=asid)

    records = [load(USER, asid=1), switch(1, 2), load(USER, asid=2), switch(2, 1), load(USER, asid=1)]
    machine = tables(tlb__asid_bits=1, guest__refill_instructions=1)
    assert totals(replay(records, machine), "tlb_flushes", "tlb_hits") == {"tlb_flushes": 0, "tlb_hits": 1}
    records += [switch(1, 3), load(USER, asid=3), switch(3, 1), load(USER, asid=1)]
    assert totals(replay(records, machine), "tlb_flushes", "tlb_hits") == {"tlb_flushes": 1, "tlb_hits": 1}


def test_software_tlb__keeps_what_a_change_of_virtual_cpu_flushed() -> None:
    records = [load(USER), event(Kind.IDLE, size=5, vcpu=1, asid=0), load(USER)]
    oracle = replay(records, tables(), system="disco")
    assert totals(oracle, *DISCO_EVENTS) == {
        "vcpu_switches": 2,
        "tlb_flushes": 2,
        "tlb_misses": 3,  # the page twice, its page of page table once
        "guest_refills": 1,
        "kernel_tlb_refills": 1,
        "software_tlb_hits": 1,
        "tlb_writes_emulated": 1,
        "privileged_emulated": 3,  # the registers of the handler
    }
    assert oracle.retired == [10 + 3 * 7]
    without = replay(records, tables(monitor__software_tlb_entries=0), system="disco")
    assert totals(without, "software_tlb_hits", "guest_refills") == {"software_tlb_hits": 0, "guest_refills": 2}


def test_software_tlb__replaces_the_least_recent_and_ignores_invalid_pages() -> None:
    software_tlb, frame = SoftwareTlb(entries=2, ways=2, pages_per_entry=2), Frame(0, 0)
    for group in (0, 1):
        software_tlb.write(Tag(1, group), (frame, None))
    memory_pages = [Page(1, vpn) for vpn in range(6)]
    assert software_tlb.look_up(memory_pages[1]) is None
    assert software_tlb.look_up(memory_pages[0]) == (frame, None)
    software_tlb.write(Tag(1, 2), (frame, frame))
    assert software_tlb.look_up(memory_pages[2]) is None
    assert software_tlb.look_up(memory_pages[0]) == (frame, None)


def test_software_tlb__serves_kernel_segment_pages_only_under_the_monitor() -> None:
    records = [load(KSEG0_START)]
    assert totals(replay(records, tables()), "tlb_misses", "pages_mapped") == {"tlb_misses": 0, "pages_mapped": 1}
    oracle = replay(records, tables(), system="disco")
    assert totals(oracle, "tlb_misses", "kernel_tlb_refills", "guest_refills") == {
        "tlb_misses": 1,
        "kernel_tlb_refills": 1,
        "guest_refills": 0,
    }
    assert {key.context for key in oracle.counts} == {"user", "any"}


def test_caches__the_least_recent_line_leaves() -> None:
    a, b, c = (KSEG0_START + 512 * line for line in range(3))
    oracle = replay([*map(load, (a, b, a, c, a, b))], tables())
    assert totals(oracle, "l1d_load_hits", "l1d_load_misses", "l2_load_hits", "l2_load_local") == {
        "l1d_load_hits": 2,
        "l1d_load_misses": 4,
        "l2_load_hits": 1,
        "l2_load_local": 3,
    }
    assert oracle.page_misses == {(0, 0): {0: 3}}


def test_caches__a_line_that_leaves_an_inclusive_l2_takes_its_dirty_l1_line_along() -> None:
    machine = tables(l2__size_kib=1, l2__ways=2)
    a, b, c = (KSEG0_START + 512 * line for line in range(3))
    fetch: Record = (0, 1, Kind.FETCH, c, 4, 1)
    oracle = replay([store(a), load(b), fetch], machine)
    assert totals(oracle, "writebacks_local", "l1d_writebacks") == {"writebacks_local": 1, "l1d_writebacks": 1}
    machine["l2"]["inclusive"] = False
    oracle = replay([store(a), load(b), fetch, load(c), load(b)], machine)
    assert totals(oracle, "writebacks_local", "l1d_writebacks") == {"writebacks_local": 2, "l1d_writebacks": 1}


def test_caches__a_page_seen_at_two_colours_stays_at_one() -> None:
    shared = [
        Segment(0, start, start + PAGE, "shared", 1) for start in (KSEG0_START + 0x10_0000, KSEG0_START + 0x20_1000)
    ]
    machine = tables(l1d__size_kib=8, l1d__ways=1)
    records = [store(shared[0].start), load(shared[1].start), load(shared[0].start)]
    oracle = replay(records, machine, meta(*shared))
    assert totals(oracle, "alias_evictions", "l1d_writebacks", "l2_load_hits", "frames_allocated") == {
        "alias_evictions": 2,
        "l1d_writebacks": 1,
        "l2_load_hits": 2,
        "frames_allocated": 1,
    }


def test_caches__an_access_across_lines_counts_once_per_line() -> None:
    records: list[Record] = [(0, 1, Kind.LOAD, KSEG0_START + 510, 4, 0), (0, 1, Kind.FETCH, KSEG0_START, PAGE + 1, 9)]
    oracle = replay(records, tables())
    assert totals(oracle, "l1d_load_misses", "l1i_misses", "instructions", "fetch_rows") == {
        "l1d_load_misses": 2,
        "l1i_misses": 9,
        "instructions": 9,
        "fetch_rows": 1,
    }


def test_directory__a_store_to_a_shared_line_upgrades_it() -> None:
    machine = tables(cpu__count=2, cpu__per_node=2)
    a = KSEG0_START
    oracle = replay([load(a), load(a, 1), store(a), load(a, 1)], machine)
    assert totals(oracle, "l2_load_local", "upgrades_local", "invalidations", "l2_load_dirty_local") == {
        "l2_load_local": 2,
        "upgrades_local": 1,
        "invalidations": 1,
        "l2_load_dirty_local": 1,
    }
    only_holder = replay([load(a), store(a)], machine)
    assert totals(only_holder, "upgrades_local", "l1d_store_hits") == {"upgrades_local": 0, "l1d_store_hits": 1}


def test_directory__a_third_node_is_served_by_the_owner() -> None:
    machine = tables(cpu__count=3, placement__native="first-touch")
    a = KSEG0_START
    oracle = replay([load(a), store(a, 1), load(a, 2), store(a, 1)], machine)
    assert oracle.page_misses == {(0, 0): {0: 1, 1: 1, 2: 1}}
    assert {(key.cpu, key.event): n for key, n in oracle.counts.items() if key.event in NODE_EVENTS} == {
        (0, "l2_load_local"): 1,
        (1, "l2_store_remote"): 1,
        (1, "invalidations"): 2,  # CPU 0 at the first store, CPU 2 at the second
        (2, "l2_load_dirty_remote"): 1,
        (1, "upgrades_remote"): 1,
    }


def test_placement__round_robin_deals_frames_out_and_passes_full_nodes() -> None:
    machine = tables(cpu__count=2, memory__page_kib=1024)
    far = [Segment(0, KSEG0_START + (n << 20), KSEG0_START + (n << 20) + PAGE, "anonymous") for n in (1, 2, 3)]
    oracle = replay([load(s.start) for s in far[:2]], machine, meta(*far))
    assert list(oracle.mappings.values()) == [(0, 0), (1, 0)]
    machine["placement"]["native"] = "first-touch"
    oracle = replay([load(s.start) for s in far[:2]], machine, meta(*far))
    assert list(oracle.mappings.values()) == [(0, 0), (1, 0)]
    with pytest.raises(MemoryError, match="row 2"):
        replay([load(s.start) for s in far], machine, meta(*far))


def test_unmap__frees_private_frames_last_first_and_leaves_the_entry_invalid() -> None:
    start = USER + 32 * PAGE
    segments = [Segment(1, start, start + 2 * PAGE, "anonymous", by_event=True) for _ in range(2)]
    trace = meta(*segments)
    numbers = (len(trace.segments) - 2, len(trace.segments) - 1)
    first = [event(Kind.MAP, start, arg=numbers[0]), load(start), load(start + PAGE)]
    then = [event(Kind.UNMAP, start, arg=numbers[0]), event(Kind.MAP, start, arg=numbers[1]), load(start)]
    oracle = replay(first + then, tables(), trace)
    assert totals(oracle, "tlb_misses", "tlb_invalid", "frames_allocated") == {
        "tlb_misses": 1,
        "tlb_invalid": 2,
        "frames_allocated": 4,
    }
    assert oracle.mappings[Page(1, start // PAGE)] == (0, 2)  # 1 was the page table's


@pytest.mark.parametrize(("hint", "calls", "instructions"), [(True, 1, 0), (False, 0, 77)])
def test_zero_page__is_cleared_by_the_monitor_too_unless_hinted(hint: bool, calls: int, instructions: int) -> None:
    records = [
        event(Kind.ENTER, arg=Service.DEMAND_ZERO),
        event(Kind.ZERO_PAGE, USER, PAGE, 77),
        event(Kind.EXIT, arg=Service.DEMAND_ZERO),
    ]
    oracle = replay(records, tables(monitor__zero_page_hint=hint), system="disco")
    assert totals(oracle, "zero_page_calls", "instructions", "tlb_misses") == {
        "zero_page_calls": calls,
        "instructions": instructions,
        "tlb_misses": 0,
    }
    by_monitor = Counter[str]()
    for key, number in oracle.counts.items():
        if key.context == "monitor:demand_zero":
            by_monitor[key.event] += number
    assert by_monitor["l1d_store_misses"] == 8


def test_windows__a_row_belongs_to_the_window_of_the_instructions_before_it() -> None:
    fetches: list[Record] = [(0, 1, Kind.FETCH, KSEG0_START, 4, 60)] * 3
    oracle = replay(fetches, tables(), window=100)
    assert {key.window: n for key, n in oracle.counts.items() if key.event == "instructions"} == {0: 120, 1: 60}


def test_errors__a_reference_where_no_segment_holds_names_its_row() -> None:
    with pytest.raises(ValueError, match=r"row 1: no segment of asid 1 holds at 0x10"):
        replay([load(USER), load(0x10)], tables())


@settings(max_examples=40, deadline=None)
@given(cases(max_steps=150))
def test_laws__hold_on_random_traces_and_machines_in_any_batches(case: Case) -> None:
    oracle = Oracle(case.meta, case.tables, case.system, case.window, case.crash)
    oracle.run(case.rows)
    check_laws(case.rows, case.tables, case.system, oracle.counts, oracle.page_misses, case.meta, case.crash)
    check_state(oracle)
    in_batches = Oracle(case.meta, case.tables, case.system, case.window, case.crash)
    rows = len(case.rows.kind)
    in_batches.run(slice_rows(case.rows, 0, rows // 3))
    in_batches.run(slice_rows(case.rows, rows // 3, rows))
    assert in_batches.counts == oracle.counts
    assert in_batches.page_misses == oracle.page_misses


@settings(max_examples=40, deadline=None)
@given(small_memory_cases(max_steps=150))
def test_laws__hold_where_memory_is_short_unless_it_runs_out(case: Case) -> None:
    oracle = Oracle(case.meta, case.tables, case.system, case.window, case.crash)
    try:
        oracle.run(case.rows)
    except MemoryError:
        return
    check_laws(case.rows, case.tables, case.system, oracle.counts, oracle.page_misses, case.meta, case.crash)
    check_state(oracle)


DISCO_EVENTS = (
    "vcpu_switches",
    "tlb_flushes",
    "tlb_misses",
    "guest_refills",
    "kernel_tlb_refills",
    "software_tlb_hits",
    "tlb_writes_emulated",
    "privileged_emulated",
)
NODE_EVENTS = (
    *(f"l2_{kind}_{server}" for kind in ("load", "store") for server in ("local", "remote", "dirty_remote")),
    "invalidations",
    "upgrades_remote",
)
