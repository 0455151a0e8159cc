"""Counts times prices: what each event costs and to which part of the time it belongs, without waiting."""

import subprocess
import sys

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discotrace.analysis.configuration import load
from discotrace.analysis.ledger import ledger
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import CONTEXTS, FREE, IDLE_PART, KEYS, PARTS, Floats, price_list, tariffs, unit_ns
from discotrace.analysis.site import Site
from discotrace.analysis.waiting import Timing, timing
from discotrace.replay.counts import CONTEXT_NAMES, EVENT_NAMES
from tests.unit.analysis.frames import UNFITTED, Row, counts_frame

PRICES = load("flash", UNFITTED).prices


def site(cpus: int, *changes: str) -> Site:
    return Site(load("flash", changes).machine.for_trace(cpus))


def timed(counts: pl.DataFrame, cpus: int, system: str = "disco", prices: Prices = PRICES) -> Timing:
    return timing(ledger(system, counts, site(cpus)), prices)


UNPAID = {  # nothing to pay for: what they cause is counted and paid for elsewhere
    *("fetch_rows", "load_rows", "store_rows", "tlb_hits", "tlb_misses", "tlb_invalid", "guest_refills"),
    *("page_table_loads", "tlb_flushes", "l1i_hits", "l1i_misses", "l1d_load_hits", "l1d_load_misses"),
    *("l1d_store_hits", "l1d_store_misses", "l1d_writebacks", "alias_evictions", "invalidations"),
    *("writebacks_local", "writebacks_remote", "privileged", "pages_mapped", "frames_allocated"),
    *("switches", "service_entries", "lock_acquires", "lock_releases", "barriers", "idle_instructions", "free_pages"),
    *("file_reads", "file_read_bytes", "file_writes", "file_write_bytes", "process_exits"),
    *("buffer_hits", "buffer_evictions", "disk_read_pages", "disk_pages_shared", "disk_reads_done"),
    *("disk_pages_done", "disk_pages_logged", "hot_pages", "shootdowns", "tlbs_shot_down", "resident_pages"),
}
OF_NODES_AND_DISKS = {"memory_requests", "memory_writebacks", "disk_requests", "disk_pages", "files_created"}


def cost(context: str, event: str, count: int = 1, system: str = "disco") -> dict[str, float]:
    """Parts of the time that an event costs, in ns, without the idle one."""
    parts = timed(counts_frame((0, 0, context, event, count)), 1, system).parts_ns()
    return {part: ns for part, ns in parts.items() if ns}


def test_every_event_has_a_price_or_is_known_to_be_free() -> None:
    priced_events = {tariff.event.name.lower() for tariff in tariffs("disco")} | {"idle_spins"}
    assert priced_events | UNPAID | OF_NODES_AND_DISKS == set(EVENT_NAMES)
    assert not priced_events & (UNPAID | OF_NODES_AND_DISKS)


def test_natively_nothing_of_the_monitor_is_paid() -> None:
    assert not any(tariff.monitor_part for tariff in tariffs("native"))


def test_no_event_is_paid_for_twice() -> None:
    events = [tariff.event for tariff in tariffs("disco")]
    assert len(set(events)) == len(events)


def test_every_part_has_its_events() -> None:
    listed = price_list("disco")
    assert {PARTS[part] for part in listed.part[listed.key != FREE]} == set(PARTS)


def test_a_context_that_is_any_pays_for_nothing() -> None:
    assert (price_list("disco").key[CONTEXTS.index("any")] == FREE).all()


def test_units_are_in_ns() -> None:
    units = dict(zip(KEYS, unit_ns(PRICES), strict=True))
    assert units["cpu.cycles_per_instruction"] == 2.5
    assert units["l2.hit_ns"] == 50
    assert units["monitor.tlb_write_cycles"] == 150
    assert units["monitor.migration_us"] == 67_000


@pytest.mark.parametrize(
    ("context", "event", "expected"),
    [
        ("user", "instructions", {"user": 2.5}),
        ("kernel:open", "instructions", {"kernel": 2.5}),
        ("kernel:utlb_miss", "instructions", {"kernel": 2.5}),
        ("user", "l2_load_hits", {"user_stall": 50}),
        ("user", "l2_fetch_local", {"user_stall": 300}),
        ("kernel:read", "l2_store_remote", {"kernel_stall": 900}),
        ("user", "l2_load_dirty_local", {"user_stall": 300}),
        ("user", "l2_load_dirty_remote", {"user_stall": 1200}),
        ("user", "upgrades_local", {"user_stall": 300}),
        ("user", "upgrades_remote", {"user_stall": 900}),
        ("monitor:open", "l2_store_remote", {"monitor_calls": 900}),
        ("kernel:utlb_miss", "software_tlb_hits", {"monitor_tlb": 17 * 2.5}),
        ("kernel:open", "software_tlb_hits", {"monitor_kernel_tlb": 40 * 2.5}),
        ("user", "software_tlb_hits", {"monitor_tlb": 17 * 2.5}),
        ("kernel:utlb_miss", "kernel_tlb_refills", {"monitor_kernel_tlb": 80 * 2.5}),
        ("kernel:utlb_miss", "tlb_writes_emulated", {"monitor_tlb_writes": 60 * 2.5}),
        ("kernel:open", "wired_writes_emulated", {"monitor_tlb_writes": 560 * 2.5}),
        ("kernel:open", "privileged_emulated", {"monitor_privileged": 300 * 2.5}),
        ("kernel:open", "privileged_patched", {"monitor_privileged": 2.5}),
        ("kernel:demand_zero", "zero_page_calls", {"monitor_calls": 700 * 2.5}),
        ("user", "vcpu_switches", {"monitor_vcpu_switches": 1000 * 2.5}),
        ("kernel:demand_zero", "free_page_calls", {"monitor_calls": 320 * 2.5}),
        ("user", "monitor_faults", {"monitor_faults": 480 * 2.5}),
        ("user", "cow_faults", {"monitor_faults": 18_600}),
        ("user", "migrations", {"monitor_placement": 67_000}),
        ("kernel:open", "replications", {"monitor_placement": 57_000}),
        ("kernel:open", "collapses", {"monitor_placement": 18_600}),
        ("user", "hot_left_written", {}),
        ("kernel:read", "disk_reads", {"monitor_io": 320 * 2.5}),
        ("kernel:write", "disk_writes", {"monitor_io": 320 * 2.5}),
        ("kernel:read", "pages_copied", {"monitor_io": 38_400}),
        ("kernel:read", "pages_remapped", {"monitor_io": 3000}),
        ("kernel:read", "nfs_requests", {"monitor_io": 100_000}),
        ("idle", "idle_instructions", {}),
        ("idle", "idle_spins", {}),
        ("user", "tlb_misses", {}),
    ],
)
def test_what_an_event_costs(context: str, event: str, expected: dict[str, float]) -> None:
    """On the flash preset: a cycle is 2.5 ns."""
    assert cost(context, event) == pytest.approx(expected)


@pytest.mark.parametrize("event", ["vcpu_switches", "disk_reads", "disk_writes"])
def test_what_the_os_does_itself_costs_nothing_natively(event: str) -> None:
    assert cost("user", event, system="native") == {}


@pytest.mark.parametrize("why", ["written", "capped", "full", "pinned", "other"])
def test_a_hot_page_that_is_left_alone_costs_what_the_price_says(why: str) -> None:
    prices = load("flash", ["monitor.hot_left_us=2"]).prices
    time = timed(counts_frame((0, 0, "user", f"hot_left_{why}", 3)), 1, prices=prices)
    assert time.parts_ns()["monitor_placement"] == 6000


def test_an_idle_loop_costs_time_where_virtual_machines_share_the_cpu() -> None:
    """CPU 0 runs VM 0 and VM 1, CPU 1 runs VM 1 alone."""
    counts = pl.concat(
        [
            counts_frame((0, 0, "idle", "idle_spins", 100)),
            counts_frame((0, 0, "user", "instructions", 1), (0, 1, "idle", "idle_spins", 100), vm=1),
        ]
    )
    shared = Site(load("flash", ["vm.count=2", "cpu.count=2"]).machine)
    one = ledger("disco", counts, shared)
    assert [PARTS[part] for part in one.part] == ["idle_loop", "user"]
    assert timing(one, PRICES).parts_ns()["idle_loop"] == 125


def test_counts_multiply() -> None:
    assert cost("user", "l2_load_hits", 1000) == {"user_stall": 50_000}


contexts = st.sampled_from([name for number, name in enumerate(CONTEXT_NAMES) if number % 32 in (0, 1, 4, 31)])
events = st.sampled_from([name for name in EVENT_NAMES if name not in OF_NODES_AND_DISKS])
rows = st.tuples(st.integers(0, 2), st.integers(0, 1), contexts, events, st.integers(1, 10**6))
tables = st.lists(rows, max_size=20, unique_by=lambda row: row[:4])


@given(tables, tables)
@settings(max_examples=40)
def test_the_price_of_the_sum_is_the_sum_of_the_prices(one: list[Row], other: list[Row]) -> None:
    """Counts of the same place add up; so do the times of each context and part."""

    def by_context_and_part(*rows: Row) -> Floats:
        of = ledger("disco", counts_frame(*rows), site(2))
        account = of.account((of.context, len(CONTEXTS)), (of.part, len(PARTS)))
        return account.unhindered_ns(unit_ns(PRICES)[None])[0]

    separate = by_context_and_part(*one) + by_context_and_part(*other)
    assert by_context_and_part(*one, *other) == pytest.approx(separate)


@given(tables)
@settings(max_examples=40)
def test_parts_and_idle_add_up_to_the_time(one: list[Row]) -> None:
    time = timed(counts_frame(*one), 2)
    parts = time.parts_ns()
    assert sum(parts.values()) == pytest.approx(time.total_ns)
    assert parts[IDLE_PART] >= -1e-9 * time.total_ns


def test_the_time_does_not_depend_on_the_number_of_threads() -> None:
    """To the last digit: 60,000 counters, enough for Polars to divide the work."""
    script = """
import polars as pl
from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import outcome
from discotrace.analysis.site import Site
from discotrace.replay.counts import CONTEXT_NAMES, EVENT_NAMES
n = pl.arange(0, 60000, eager=True)
names = pl.DataFrame({"context": [CONTEXT_NAMES[i * 7 % 20] for i in range(60000)],
                      "event": [EVENT_NAMES[i * 13 % 43] for i in range(60000)]})
work = names.with_columns(window=n // 100, cpu=n % 8, vm=n * 0, lock=n % 5, at=n * 0, count=n * 7919 % 99991 + 1)
names = names[:4800].with_columns(event=pl.Series(["memory_requests", "lock_acquires", "disk_requests"] * 1600))
waits = names.with_columns(window=n[:4800] // 8, cpu=n[:4800] % 8, vm=n[:4800] * 0, lock=n[:4800] % 5,
                           at=n[:4800] % 7, count=n[:4800] * 7919 % 997 + 1)
configuration = load("flash", ["cpu.clock_mhz=333", "l2.hit_ns=51.3"])
print(outcome("disco", pl.concat([work, waits]), Site(configuration.machine.for_trace(8)), configuration.prices))
"""
    printed = {
        subprocess.run(
            [
                sys.executable,
                "-c",
                f"import os; os.environ['POLARS_MAX_THREADS'] = '{threads}'\n"
                f"os.environ['OPENBLAS_NUM_THREADS'] = '{threads}'\n{script}",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 3)
    }
    assert len(printed) == 1


def test_instructions_are_paid_by_the_cycles_that_they_take() -> None:
    slow = load("flash", ["cpu.cycles_per_instruction=2"]).prices
    time = timed(counts_frame((0, 0, "user", "instructions", 1)), 1, "native", slow)
    assert time.parts_ns()["user"] == 5
