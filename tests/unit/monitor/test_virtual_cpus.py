"""Virtual CPUs: which share a CPU, what a change between them costs, what they keep."""

from discotrace.replay.counts import Event
from tests.unit.replay.driving import AT, KSEG0_START, PAGE, disco, load, native, trace

SECOND = {"vcpu": 1, "asid": 2}
TLB = (Event.TLB_MISSES, Event.SOFTWARE_TLB_HITS, Event.GUEST_REFILLS)


def test_change__two_vms_on_one_cpu_empty_its_tlb_each_time() -> None:
    run = disco(trace(1, 2), vm__count=2, cpu__count=1)
    run.feed(*[load(asid=1), load(asid=2)] * 3)
    assert run.counts(Event.VCPU_SWITCHES, Event.TLB_FLUSHES, Event.TLB_HITS) == {
        Event.VCPU_SWITCHES: 5,
        Event.TLB_FLUSHES: 5,
        Event.TLB_HITS: 0,
    }


def test_change__software_tlbs_are_kept() -> None:
    run = disco(trace(1, 2), vm__count=2, cpu__count=1)
    run.feed(load(asid=1), load(asid=2))
    before = run.counts(*TLB)
    run.feed(load(asid=1), load(asid=2))
    assert run.count(Event.TLB_MISSES) == before[Event.TLB_MISSES] + 2
    assert run.count(Event.SOFTWARE_TLB_HITS) == before[Event.SOFTWARE_TLB_HITS] + 2
    assert run.count(Event.GUEST_REFILLS) == before[Event.GUEST_REFILLS]


def test_change__two_virtual_cpus_of_one_vm_are_told_apart_too() -> None:
    run = disco(trace(2), cpu__count=1)
    run.feed(load(vcpu=0), load(vcpu=1), load(vcpu=1), load(vcpu=0))
    assert run.counts(Event.VCPU_SWITCHES, Event.TLB_FLUSHES) == {Event.VCPU_SWITCHES: 2, Event.TLB_FLUSHES: 2}


def test_change__counts_for_the_one_that_comes() -> None:
    run = disco(trace(1, 2), vm__count=2, cpu__count=1)
    run.feed(load(asid=1), load(asid=2))
    assert [run.count(Event.VCPU_SWITCHES, vm=vm) for vm in (0, 1)] == [0, 1]


def test_change__the_first_on_a_cpu_replaces_nobody() -> None:
    run = disco(trace(2, 2), vm__count=2)
    run.feed(load(), load(**SECOND), load(), load(**SECOND))
    assert run.count(Event.VCPU_SWITCHES) == 0


def test_change__natively_nothing_is_flushed() -> None:
    run = native(trace(2), cpu__count=1)
    run.feed(load(vcpu=0), load(vcpu=1), load(vcpu=0))
    assert run.counts(Event.VCPU_SWITCHES, Event.TLB_FLUSHES) == {Event.VCPU_SWITCHES: 2, Event.TLB_FLUSHES: 0}
    assert run.count(Event.TLB_HITS) == 2


def test_kernels__of_two_vms_have_pages_of_their_own() -> None:
    run = disco(trace(2, 2), vm__count=2)
    run.feed(load(KSEG0_START), load(KSEG0_START, **SECOND))
    assert run.slot(KSEG0_START, vm=0) != run.slot(KSEG0_START, vm=1)
    assert [run.node(KSEG0_START, vm=vm) for vm in (0, 1)] == [0, 1]


def test_rows_of_no_process__belong_to_the_vm_of_the_row_before() -> None:
    run = disco(trace(1, 2), vm__count=2, cpu__count=2)
    run.feed(load(asid=1), load(KSEG0_START, asid=0), load(asid=2), load(KSEG0_START, asid=0))
    assert [run.count(Event.LOAD_ROWS, vm=vm) for vm in (0, 1)] == [2, 2]
    assert [run.count(Event.LOAD_ROWS, cpu=cpu) for cpu in (0, 1)] == [2, 2]


def test_rows_of_no_process__the_first_go_by_virtual_cpu() -> None:
    run = disco(trace(2, 2), vm__count=2)
    run.feed(load(KSEG0_START, 0, 0), load(KSEG0_START, 1, 0))
    assert [run.count(Event.LOAD_ROWS, vm=vm) for vm in (0, 1)] == [1, 1]


def test_memory__two_vms_have_half_of_it_each() -> None:
    run = disco(trace(2, 2), vm__count=2)
    assert [table.size for table in run.system.pmaps] == [256, 256]
    run.feed(load(AT + PAGE))
    assert [len(table.pages) for table in run.system.pmaps] == [2, 0]
