"""Machine memory: layout, spilling to the nearest node, reuse."""

from collections.abc import Callable

import numpy as np
import pytest

from discotrace.replay.machine import Machine
from discotrace.replay.memory import Frame, MachineMemory, contiguous, interleaved
from tests.machines import machine

Layout = Callable[[Machine, int, int], int]

FRAMES = 4  # of a node


def memory(nodes: int = 3, layout: Layout = contiguous) -> MachineMemory:
    """Four frames of 256 KiB to a node."""
    return MachineMemory(machine(cpu__count=nodes, memory__mib_per_node=1, memory__page_kib=256), layout)


def allocate(memory: MachineMemory, nodes: list[int]) -> list[int]:
    """Slots of frames that are wanted on these nodes one after the other."""
    slots = [memory.allocate(node) for node in nodes]
    assert None not in slots
    return [slot for slot in slots if slot is not None]


def nodes_of(memory: MachineMemory, wanted: list[int]) -> list[int]:
    """Nodes of the frames that come when these nodes are wanted."""
    return [memory.frames[slot].node for slot in allocate(memory, wanted)]


def test_allocate__on_the_wanted_node() -> None:
    assert nodes_of(memory(), [2, 0, 1, 2]) == [2, 0, 1, 2]


def test_allocate__slots_are_dense() -> None:
    assert allocate(memory(), [2, 0, 1, 2]) == [0, 1, 2, 3]


def test_full__the_nearest_node_helps_out_and_of_two_the_lower() -> None:
    order = [2, 1, 3, 0, 4]
    assert nodes_of(memory(5), [2] * 5 * FRAMES) == [node for node in order for _ in range(FRAMES)]


def test_full__the_nearest_is_no_ring() -> None:
    assert nodes_of(memory(4), [3] * (FRAMES + 1)) == [3] * FRAMES + [2]
    assert nodes_of(memory(4), [0] * (2 * FRAMES + 1)) == [0] * FRAMES + [1] * FRAMES + [2]


def test_full__everything_taken_gives_none() -> None:
    full = memory()
    allocate(full, [0] * 3 * FRAMES)
    assert full.allocate(0) is None


def test_full__one_frame_freed_is_found_wherever_it_is() -> None:
    full = memory()
    slots = allocate(full, [0] * 3 * FRAMES)
    full.free(slots[5])
    assert full.allocate(0) == slots[5]


def test_allocate_on__this_node_or_none() -> None:
    one = memory()
    assert [one.allocate_on(1) for _ in range(FRAMES + 1)] == [0, 1, 2, 3, None]


def test_reuse__last_freed_first_then_fresh_ones() -> None:
    used = memory()
    slots = allocate(used, [1] * 3)
    used.free(slots[0])
    used.free(slots[2])
    assert allocate(used, [1] * 3) == [slots[2], slots[0], 3]


def test_reuse__a_freed_frame_serves_its_own_node() -> None:
    used = memory()
    (slot,) = allocate(used, [1])
    used.free(slot)
    assert nodes_of(used, [2]) == [2]
    assert used.allocate(1) == slot


def test_reclaimed__frames_come_last_and_the_last_of_them_first() -> None:
    used = memory()
    slots = allocate(used, [1] * 3)
    used.reclaim(slots[0])
    used.reclaim(slots[1])
    used.free(slots[2])
    assert allocate(used, [1] * 4) == [slots[2], 3, slots[1], slots[0]]


def test_reclaimed__frames_come_before_another_node() -> None:
    used = memory()
    slots = allocate(used, [1] * FRAMES)
    used.reclaim(slots[0])
    assert nodes_of(used, [1, 1]) == [1, 0]


def test_in_use__is_what_was_allocated_and_not_given_back() -> None:
    used = memory()
    slots = allocate(used, [0, 1, 2, 0, 1])
    used.free(slots[1])
    used.reclaim(slots[4])
    assert used.in_use == 3
    allocate(used, [0])
    assert used.in_use == 4


def test_layout__interleaved_goes_round_the_nodes() -> None:
    used = memory(layout=interleaved)
    assert [used.frames[slot].mfn for slot in allocate(used, [0, 1, 2, 0, 1, 2])] == [0, 1, 2, 3, 4, 5]


def test_layout__contiguous_fills_node_after_node() -> None:
    used = memory()
    frames = [used.frames[slot] for slot in allocate(used, [0, 1, 2, 0])]
    assert frames == [Frame(0, 0, 0), Frame(1, 0, FRAMES), Frame(2, 0, 2 * FRAMES), Frame(0, 1, 1)]


@pytest.mark.parametrize("layout", [interleaved, contiguous])
def test_layout__no_two_frames_have_one_number(layout: Layout) -> None:
    used = memory(layout=layout)
    numbers = [used.frames[slot].mfn for slot in allocate(used, [1] * 3 * FRAMES)]
    assert sorted(numbers) == list(range(3 * FRAMES))


def test_layout__with_one_node_both_are_the_same() -> None:
    one = machine(cpu__count=1)
    assert [interleaved(one, 0, i) for i in range(FRAMES)] == [contiguous(one, 0, i) for i in range(FRAMES)]


def test_keep__a_frame_that_was_in_use_has_its_slot_before_a_page_gets_it() -> None:
    used = memory()
    used.begin_in_use([2, 1, 0], [np.zeros(0, np.int64)] * 3)
    used.keep([(0, 1), (1, 0), (0, 1)])
    assert [(frame.node, frame.index) for frame in used.frames] == [(0, 1), (1, 0)]
    used.next_is(1, 0)
    assert used.given() == 1
    used.next_is(1, 0)
    assert used.given() is None  # another page has it
    assert used.frames[allocate(used, [0])[0]] == Frame(0, 2, 2)  # those kept are not free


def test_begin_in_use__the_frame_freed_last_is_used_first() -> None:
    used = memory()
    used.begin_in_use([3, 0, 0], [np.array([2, 0]), *[np.zeros(0, np.int64)] * 2])
    assert [used.frames[slot].index for slot in allocate(used, [0] * 3)] == [0, 2, 3]
