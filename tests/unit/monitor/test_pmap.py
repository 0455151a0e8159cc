"""The pmap: guest-physical pages and the frames behind them."""

from discotrace.monitor.pmap import Pmap
from discotrace.replay.memory import MachineMemory, contiguous
from tests.machines import machine


def pmap() -> Pmap:
    return Pmap(MachineMemory(machine(cpu__count=2), "first-touch", contiguous))


def test_guest_pages_are_numbered_as_they_are_needed() -> None:
    one = pmap()
    slots = [one.allocate(cpu) for cpu in (1, 0, 1)]
    assert one.pages == dict(enumerate(slots))


def test_the_frame_is_local_to_the_cpu_that_touches() -> None:
    memory = MachineMemory(machine(cpu__count=2), "first-touch", contiguous)
    one = Pmap(memory)
    assert [memory.frames[one.allocate(cpu)].node for cpu in (1, 0, 1)] == [1, 0, 1]


def test_a_freed_page_has_no_frame() -> None:
    one = pmap()
    slots = [one.allocate(0) for _ in range(3)]
    one.free(slots[1])
    assert one.pages == {0: slots[0], 2: slots[2]}


def test_the_guest_page_freed_last_is_used_first() -> None:
    one = pmap()
    slots = [one.allocate(0) for _ in range(3)]
    one.free(slots[0])
    one.free(slots[2])
    one.allocate(0)
    assert sorted(one.pages) == [1, 2]


def test_a_freed_page_can_come_back_on_another_node() -> None:
    memory = MachineMemory(machine(cpu__count=2), "first-touch", contiguous)
    one = Pmap(memory)
    one.free(one.allocate(0))
    slot = one.allocate(1)
    assert one.pages == {0: slot}
    assert memory.frames[slot].node == 1


def test_no_two_pages_have_one_frame() -> None:
    one = pmap()
    held = []
    for step in range(60):
        held.append(one.allocate(step % 2))
        if step % 3 == 0:
            one.free(held.pop(step % len(held)))
    assert sorted(one.pages.values()) == sorted(held)
