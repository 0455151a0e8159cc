"""The answer of one system, from counts that can be added up by hand."""

import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import Outcome, ServiceTime, counted, outcome, outcome_of
from discotrace.analysis.site import Site
from discotrace.replay.counts import EVENT_NAMES
from tests.unit.analysis.frames import UNFITTED, Row, counts_frame

FLASH = load("flash", UNFITTED)  # 400 MHz


def of(*rows: Row, system: str = "disco", cpus: int = 1) -> Outcome:
    return outcome(system, counts_frame(*rows), Site(FLASH.machine.for_trace(cpus)), FLASH.prices)


def test_times_are_in_milliseconds() -> None:
    one = of((0, 0, "user", "instructions", 400_000))
    assert one.time_ms == 1
    assert one.parts_ms["user"] == 1


def test_overheads_are_percents_of_the_time() -> None:
    one = of(
        (0, 0, "user", "instructions", 50),
        (0, 0, "kernel:open", "instructions", 30),
        (0, 0, "kernel:open", "privileged_patched", 20),
    )
    assert one.kernel_percent == pytest.approx(30)
    assert one.monitor_percent == pytest.approx(20)


def test_stalls_of_the_kernel_are_overhead_too() -> None:
    one = of((0, 0, "user", "l2_load_local", 1), (0, 0, "kernel:open", "l2_load_remote", 1))
    assert one.kernel_percent == pytest.approx(75)


def test_remote_misses_are_those_that_another_node_served() -> None:
    one = of(
        (0, 0, "user", "l2_load_local", 3),
        (0, 0, "user", "l2_fetch_remote", 2),
        (0, 0, "kernel:open", "l2_store_dirty_remote", 1),
        (0, 0, "user", "l2_load_dirty_local", 2),
        (0, 0, "user", "l2_load_hits", 100),
    )
    assert one.remote_miss_ratio == 3 / 8


def test_without_anything_every_figure_is_0() -> None:
    one = of()
    assert (one.time_ms, one.kernel_percent, one.monitor_percent, one.remote_miss_ratio) == (0, 0, 0, 0)
    assert not any(one.rates.values())
    assert not any(one.actions_per_second.values())
    assert one.services == []


def test_stalls_are_told_apart_by_who_served_them() -> None:
    one = of(
        (0, 0, "user", "l2_load_local", 2),
        (0, 0, "kernel:open", "upgrades_remote", 1),
        (0, 0, "kernel:open", "l2_load_dirty_remote", 1),
        (0, 0, "user", "l2_load_hits", 4),
        (0, 0, "monitor:open", "l2_store_local", 1),  # the monitor's: no stall of the guest
    )
    assert one.stalls_ms == pytest.approx({"second_level": 200e-6, "local": 600e-6, "remote": 2100e-6})


def test_totals_have_every_event() -> None:
    one = of((0, 0, "user", "load_rows", 2), (3, 1, "kernel:open", "load_rows", 5), cpus=2)
    assert list(one.totals) == EVENT_NAMES
    assert one.totals["load_rows"] == 7
    assert one.totals["barriers"] == 0


def test_rates__refills_of_invalid_pages_are_misses_too() -> None:
    one = of(
        (0, 0, "user", "instructions", 1000),
        (0, 0, "user", "tlb_hits", 90),
        (0, 0, "user", "tlb_misses", 8),
        (0, 0, "user", "tlb_invalid", 2),
        (0, 0, "kernel:utlb_miss", "guest_refills", 1),
        (0, 0, "kernel:utlb_miss", "software_tlb_hits", 7),
        (0, 0, "user", "kernel_tlb_refills", 2),
    )
    assert one.rates["tlb_misses_per_kilo_instruction"] == 10
    assert one.rates["tlb_miss_percent"] == 10
    assert one.rates["tlb_misses_to_guest_percent"] == 10
    assert one.rates["tlb_misses_to_software_tlb_percent"] == 70
    assert one.rates["tlb_misses_to_monitor_percent"] == 20


def test_rates__of_the_caches() -> None:
    one = of(
        (0, 0, "user", "instructions", 1000),
        (0, 0, "user", "l1i_hits", 75),
        (0, 0, "user", "l1i_misses", 25),
        (0, 0, "user", "l1d_load_hits", 40),
        (0, 0, "user", "l1d_store_hits", 40),
        (0, 0, "user", "l1d_load_misses", 15),
        (0, 0, "user", "l1d_store_misses", 5),
        (0, 0, "user", "l2_load_local", 9),
    )
    assert one.rates["l1i_miss_percent"] == 25
    assert one.rates["l1d_miss_percent"] == 20
    assert one.rates["l2_miss_percent"] == 20
    assert one.rates["l2_misses_per_kilo_instruction"] == 9


def test_actions__are_per_second_of_the_machine_and_of_each_cpu() -> None:
    """CPU 0 takes 4 ms for its instructions, CPU 1 twice 67 us: the execution time is 4 ms."""
    one = of(
        (0, 0, "user", "instructions", 1_600_000),
        (0, 1, "user", "migrations", 2),
        (0, 0, "user", "shootdowns", 1),
        (0, 0, "kernel:open", "shootdowns", 1),
        (0, 1, "user", "shootdowns", 2),
        cpus=3,
    )
    assert one.actions_per_second["migrations"] == pytest.approx(500)
    assert one.actions_per_second_by_cpu["migrations"] == pytest.approx([0, 500, 0])
    assert one.actions_per_second["shootdowns"] == pytest.approx(1000)
    assert one.actions_per_second_by_cpu["shootdowns"] == pytest.approx([500, 500, 0])
    assert one.actions_per_second["collapses"] == 0


def test_services__time_of_guest_and_monitor_per_entry() -> None:
    one = of(
        (0, 0, "kernel:demand_zero", "service_entries", 2),
        (0, 0, "kernel:demand_zero", "instructions", 800),
        (0, 0, "kernel:demand_zero", "zero_page_calls", 2),
        (0, 0, "monitor:demand_zero", "l2_store_local", 4),
    )
    assert one.services == [ServiceTime("demand_zero", 2, kernel_us=1.0, monitor_us=1.75 + 0.6)]


def test_services__the_refill_handler_is_entered_by_misses_of_its_own_kind() -> None:
    one = of(
        (0, 0, "kernel:utlb_miss", "guest_refills", 1),
        (0, 0, "kernel:utlb_miss", "software_tlb_hits", 3),
        (0, 0, "kernel:open", "software_tlb_hits", 5),
        (0, 0, "kernel:utlb_miss", "instructions", 1600),
    )
    assert [(service.service, service.entries, service.kernel_us) for service in one.services] == [("utlb_miss", 4, 1)]


def test_counts_that_are_arranged_once_are_priced_the_same() -> None:
    frame = counts_frame((0, 0, "user", "instructions", 100), (0, 0, "kernel:open", "l2_load_local", 7))
    site = Site(FLASH.machine.for_trace(1))
    arranged = counted("disco", frame, site)
    for prices in (FLASH.prices, load("flash", ["memory.local_ns=10"]).prices):
        assert outcome_of(arranged, prices) == outcome("disco", frame, site, prices)
