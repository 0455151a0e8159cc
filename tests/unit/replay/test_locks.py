"""Counts by the lock that is held."""

import pytest

from discotrace.replay.counts import Event
from discotrace.replay.engine import RowFault
from discotrace.tracegen.schema import Kind, Service
from tests.unit.replay.driving import AT, PAGE, Record, disco, event, fetch, load, native, splashos, trace

MEMLOCK, RUNQ, OF_A_FILE = 1, 2, 23
OTHERS = 7


def lock(number: int, vcpu: int = 0, asid: int = 1) -> Record:
    return event(Kind.LOCK, arg=number, vcpu=vcpu, asid=asid)


def unlock(number: int, vcpu: int = 0, asid: int = 1) -> Record:
    return event(Kind.UNLOCK, arg=number, vcpu=vcpu, asid=asid)


def test_the_lock_taken_last_and_still_held_counts() -> None:
    run = native(trace())
    run.feed(fetch(1), lock(MEMLOCK), fetch(10), lock(RUNQ), fetch(100), unlock(RUNQ), fetch(1000), unlock(MEMLOCK))
    run.feed(fetch(10000))
    found = [run.count(Event.INSTRUCTIONS, lock=number, context=0) for number in range(8)]
    assert found == [10001, 1010, 100, 0, 0, 0, 0, 0]


def test_locks_are_released_in_any_order() -> None:
    run = native(trace())
    run.feed(lock(MEMLOCK), lock(RUNQ), unlock(MEMLOCK), fetch(10), unlock(RUNQ), fetch(100))
    assert [run.count(Event.INSTRUCTIONS, lock=number, context=0) for number in range(3)] == [100, 0, 10]


@pytest.mark.parametrize(("number", "counted"), [(0, OTHERS), (1, 1), (6, 6), (7, OTHERS), (OF_A_FILE, OTHERS)])
def test_locks_of_other_numbers_than_1_to_6_count_together(number: int, counted: int) -> None:
    run = native(trace())
    run.feed(lock(number), load(), unlock(number))
    assert run.count(Event.LOAD_ROWS, lock=counted) == run.count(Event.LOAD_ROWS) == 1


def test_a_lock_of_the_others_is_told_from_the_rest_of_them() -> None:
    run = native(trace())
    run.feed(lock(MEMLOCK), lock(16), lock(17), unlock(16), unlock(17), load())
    assert run.count(Event.LOAD_ROWS, lock=MEMLOCK) == 1


def test_taking_and_releasing_count_under_the_lock_concerned() -> None:
    run = native(trace())
    run.feed(lock(MEMLOCK), lock(RUNQ), unlock(MEMLOCK), unlock(RUNQ))
    for event_ in (Event.LOCK_ACQUIRES, Event.LOCK_RELEASES):
        assert [run.count(event_, lock=number) for number in range(3)] == [0, 1, 1]


def test_each_virtual_cpu_holds_its_own_locks() -> None:
    run = native(trace())
    run.feed(lock(MEMLOCK), load(vcpu=1), load(), lock(RUNQ, vcpu=1), load(vcpu=1))
    assert run.count(Event.LOAD_ROWS, lock=0, cpu=1) == run.count(Event.LOAD_ROWS, lock=MEMLOCK, cpu=0) == 1
    assert run.count(Event.LOAD_ROWS, lock=RUNQ, cpu=1) == 1


def test_a_virtual_cpu_of_the_trace_holds_its_locks_in_every_vm() -> None:
    """It takes a lock in one VM and goes on in another, where it has run before, on another CPU."""
    run = disco(trace(2, 2), vm__count=2)
    run.feed(load(asid=2), load(asid=1), lock(MEMLOCK, asid=1), load(asid=2))
    assert run.count(Event.LOAD_ROWS, vm=1, lock=0) == run.count(Event.LOAD_ROWS, vm=1, lock=MEMLOCK) == 1


def test_a_change_of_virtual_cpu_counts_under_the_lock_of_the_new_one() -> None:
    run = native(trace(cpus=2), cpu__count=1)
    run.feed(lock(MEMLOCK), load(vcpu=1), load())
    assert run.count(Event.VCPU_SWITCHES, lock=0) == run.count(Event.VCPU_SWITCHES, lock=MEMLOCK) == 1


def test_what_python_does_for_a_row_counts_under_its_lock() -> None:
    run = native(trace())
    run.feed(lock(MEMLOCK), load(), event(Kind.RESIDENT, AT + PAGE, PAGE))
    assert run.count(Event.PAGES_MAPPED, lock=0) == 0 < run.count(Event.PAGES_MAPPED, lock=MEMLOCK)
    assert run.count(Event.RESIDENT_PAGES, lock=MEMLOCK) == 1


def test_sixteen_locks_can_be_held() -> None:
    run = native(trace())
    run.feed(*(lock(number) for number in range(1, 17)))
    with pytest.raises(RowFault) as fault:
        run.feed(lock(17))
    assert fault.value.row == 16
    assert "lock 17 is released by who does not hold it, or taken while 16 others are held" in fault.value.message


def test_a_lock_that_is_not_held_cannot_be_released() -> None:
    run = native(trace())
    run.feed(lock(MEMLOCK), unlock(MEMLOCK))
    with pytest.raises(RowFault) as fault:
        run.feed(load(), unlock(MEMLOCK))
    assert fault.value.row == 3


def test_what_splashos_leaves_out_keeps_locks_without_a_count() -> None:
    run = splashos(trace())
    tick = int(Service.TICK)
    run.feed(event(Kind.ENTER, arg=tick), lock(MEMLOCK), event(Kind.EXIT, arg=tick), load(), unlock(MEMLOCK))
    assert run.count(Event.LOCK_ACQUIRES) == 0
    assert run.count(Event.LOAD_ROWS, lock=MEMLOCK) == run.count(Event.LOCK_RELEASES) == 1


def test_a_dead_vm_keeps_locks_without_a_count() -> None:
    run = disco(trace(2, 2), vm__count=2)
    run.feed(load(asid=2))
    run.system.crash(0)
    run.feed(lock(MEMLOCK, asid=1), load(asid=2), unlock(MEMLOCK, asid=1), load(asid=2))
    assert run.count(Event.LOCK_ACQUIRES) == run.count(Event.LOCK_RELEASES) == 0
    assert run.count(Event.LOAD_ROWS, lock=MEMLOCK) == 1
    assert run.count(Event.LOAD_ROWS, lock=0) == 2
