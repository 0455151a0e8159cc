"""SPLASHOS: a library OS without virtual memory. Page faults are the monitor's, ticks and switches do not happen."""

import pytest

from discotrace.replay.counts import MONITOR, USER, Event
from discotrace.tracegen.schema import Kind, Privileged, Service
from tests.unit.replay.driving import (
    AT,
    KSEG0_START,
    PAGE,
    disco,
    event,
    fetch,
    file_read,
    load,
    splashos,
    store,
    trace,
    trace_with_file,
)

FAULTS = (Service.DEMAND_ZERO, Service.QUICK_FAULT, Service.COPY_ON_WRITE, Service.PAGE_IN)
LEFT_OUT = (*FAULTS, Service.TICK, Service.SWITCH)
L1D_LINE = 32


def inside(service: Service, *rows: tuple[int, int, int, int, int, int]) -> list[tuple[int, int, int, int, int, int]]:
    """Rows within a service."""
    return [event(Kind.ENTER, arg=service), *rows, event(Kind.EXIT, arg=service)]


def test_refills_are_the_monitors_own() -> None:
    run = splashos(trace())
    run.feed(load(), load(KSEG0_START))
    assert run.count(Event.KERNEL_TLB_REFILLS, context=USER) == 2
    never = (Event.GUEST_REFILLS, Event.PAGE_TABLE_LOADS, Event.TLB_WRITES_EMULATED, Event.PRIVILEGED_PATCHED)
    assert set(run.counts(*never).values()) == {0}


def test_there_are_no_page_tables() -> None:
    run = splashos(trace())
    run.feed(load())
    assert run.count(Event.PAGES_MAPPED) == run.frames_in_use == 1


def test_privileged_rows_do_nothing() -> None:
    run = splashos(trace())
    run.feed(*(event(Kind.PRIVILEGED, size=9, arg=kind) for kind in Privileged))
    events = (Event.PRIVILEGED, Event.PRIVILEGED_EMULATED, Event.PRIVILEGED_PATCHED, Event.WIRED_WRITES_EMULATED)
    assert set(run.counts(*events).values()) == {0}


@pytest.mark.parametrize("service", LEFT_OUT)
def test_faults_are_the_monitors_and_other_services_without_a_place_vanish(service: Service) -> None:
    run = splashos(trace())
    run.feed(*inside(service, load(KSEG0_START), fetch(100, KSEG0_START), event(Kind.LOCK), event(Kind.IDLE, size=5)))
    assert run.count(Event.MONITOR_FAULTS, context=USER) == (service in FAULTS)
    never = (Event.SERVICE_ENTRIES, Event.LOAD_ROWS, Event.INSTRUCTIONS, Event.LOCK_ACQUIRES, Event.IDLE_INSTRUCTIONS)
    assert set(run.counts(*never).values()) == {0}


@pytest.mark.parametrize("service", sorted(set(Service) - set(LEFT_OUT) - {Service.UTLB_MISS}))
def test_other_services_run_in_the_library(service: Service) -> None:
    run = splashos(trace())
    run.feed(*inside(service, load(KSEG0_START)))
    assert run.count(Event.SERVICE_ENTRIES, context=service) == run.count(Event.LOAD_ROWS, context=service) == 1
    assert run.count(Event.MONITOR_FAULTS) == 0


def test_a_fault_inside_a_service_counts_there() -> None:
    run = splashos(trace())
    run.feed(*inside(Service.READ, *inside(Service.QUICK_FAULT, load()), load()))
    assert run.count(Event.MONITOR_FAULTS, context=Service.READ) == 1
    assert run.counts(Event.LOAD_ROWS, Event.SERVICE_ENTRIES) == {Event.LOAD_ROWS: 1, Event.SERVICE_ENTRIES: 1}


def test_only_the_outermost_fault_counts() -> None:
    run = splashos(trace())
    run.feed(*inside(Service.PAGE_IN, *inside(Service.QUICK_FAULT), *inside(Service.READ, load()), load()), load())
    assert run.counts(Event.MONITOR_FAULTS, Event.LOAD_ROWS) == {Event.MONITOR_FAULTS: 1, Event.LOAD_ROWS: 1}


def test_a_fault_inside_a_tick_is_no_fault() -> None:
    run = splashos(trace())
    run.feed(*inside(Service.TICK, *inside(Service.QUICK_FAULT, load())))
    assert run.count(Event.MONITOR_FAULTS) == 0


def test_files_are_read_inside_faults_too() -> None:
    run = splashos(trace_with_file(processes=1))
    run.feed(*inside(Service.PAGE_IN, file_read(0, 2)))
    assert run.counts(Event.FILE_READS, Event.DISK_READ_PAGES) == {Event.FILE_READS: 1, Event.DISK_READ_PAGES: 2}


@pytest.mark.parametrize("hint", [True, False])
def test_a_page_cleared_in_a_fault_is_cleared_by_the_monitor_alone(hint: bool) -> None:
    run = splashos(trace(), monitor__zero_page_hint=hint)
    run.feed(*inside(Service.DEMAND_ZERO, event(Kind.ZERO_PAGE, AT, PAGE, 500)))
    context = Service.DEMAND_ZERO
    assert run.count(Event.ZERO_PAGE_CALLS) == run.count(Event.ZERO_PAGE_CALLS, context=context) == 1
    stores = (Event.L1D_STORE_HITS, Event.L1D_STORE_MISSES)
    assert sum(run.count(one, context=MONITOR + context) for one in stores) == PAGE // L1D_LINE
    assert run.count(Event.INSTRUCTIONS) == 0


def test_rows_that_are_left_out_advance_the_time_of_the_trace() -> None:
    """Heat is forgotten after 100 instructions of each of two CPUs, whoever executes them."""
    for instructions, hot in ((199, 1), (200, 0)):
        run = splashos(trace(), migration__trigger=2, migration__sharing=2, migration__reset_instructions=100)
        run.feed(load(), load(vcpu=1), *inside(Service.TICK, fetch(instructions, KSEG0_START)), load(AT + 128, vcpu=1))
        assert run.count(Event.HOT_PAGES) == hot


def test_virtual_cpus_change_at_rows_that_are_left_out() -> None:
    run = splashos(trace(2), cpu__count=1)
    run.feed(load(vcpu=0), event(Kind.ENTER, arg=Service.TICK, vcpu=1), load(vcpu=1), load(vcpu=0))
    assert run.count(Event.VCPU_SWITCHES) == 2


def test_stores_of_programs_are_those_of_disco() -> None:
    rows = [store(AT + page * PAGE) for page in range(5)]
    run, under_disco = splashos(trace()), disco(trace())
    for one in (run, under_disco):
        one.feed(*rows)
    assert run.count(Event.L1D_STORE_MISSES) == under_disco.count(Event.L1D_STORE_MISSES) == 5
