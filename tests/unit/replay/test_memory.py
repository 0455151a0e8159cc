"""Machine memory: placement, layout, reuse."""

from collections.abc import Callable

import pytest

from discotrace.replay.machine import Machine
from discotrace.replay.memory import Frame, MachineMemory, contiguous, interleaved
from discotrace.tracegen.errors import ConfigError
from tests.machines import machine

Layout = Callable[[Machine, int, int], int]

FRAMES = 4  # of a node


def memory(policy: str, layout: Layout = contiguous, nodes: int = 3, per_node: int = 1) -> MachineMemory:
    """Four frames of 256 KiB to a node."""
    size = {"memory__mib_per_node": 1, "memory__page_kib": 256}
    return MachineMemory(machine(cpu__count=nodes * per_node, cpu__per_node=per_node, **size), policy, layout)


def nodes_of(memory: MachineMemory, cpus: list[int]) -> list[int]:
    """Nodes of the frames that these CPUs get one after the other."""
    return [memory.frames[memory.allocate(cpu)].node for cpu in cpus]


def test_round_robin__deals_out_whoever_asks() -> None:
    assert nodes_of(memory("round-robin"), [0, 0, 0, 2, 2]) == [0, 1, 2, 0, 1]


def test_round_robin__goes_on_after_a_free() -> None:
    deck = memory("round-robin")
    slot = deck.allocate(0)
    deck.free(slot)
    assert nodes_of(deck, [0, 0, 0]) == [1, 2, 0]


def test_first_touch__is_local() -> None:
    assert nodes_of(memory("first-touch"), [2, 0, 1, 2]) == [2, 0, 1, 2]


def test_first_touch__cpus_of_a_node_share_it() -> None:
    assert nodes_of(memory("first-touch", nodes=2, per_node=2), [0, 1, 2, 3]) == [0, 0, 1, 1]


def test_full__the_next_node_helps_out() -> None:
    assert nodes_of(memory("first-touch"), [2] * (FRAMES + 1)) == [2] * FRAMES + [0]


def test_full__the_search_wraps_around() -> None:
    full = memory("first-touch")
    nodes_of(full, [2] * FRAMES + [0] * FRAMES)
    assert nodes_of(full, [2]) == [1]


def test_full__everything_taken_is_an_error() -> None:
    full = memory("round-robin")
    nodes_of(full, [0] * 3 * FRAMES)
    with pytest.raises(ConfigError, match="out of memory: all 3 nodes of 1 MiB are full"):
        full.allocate(0)


def test_full__one_frame_freed_is_found_wherever_it_is() -> None:
    full = memory("round-robin")
    slots = [full.allocate(0) for _ in range(3 * FRAMES)]
    full.free(slots[5])
    assert full.allocate(0) == slots[5]


def test_reuse__last_freed_first() -> None:
    used = memory("first-touch")
    slots = [used.allocate(1) for _ in range(3)]
    used.free(slots[0])
    used.free(slots[2])
    assert [used.allocate(1) for _ in range(3)] == [slots[2], slots[0], 3]


def test_reuse__a_freed_frame_serves_its_own_node() -> None:
    used = memory("first-touch")
    slot = used.allocate(1)
    used.free(slot)
    assert used.frames[used.allocate(2)].node == 2
    assert used.allocate(1) == slot


def test_in_use__is_what_was_allocated_and_not_freed() -> None:
    used = memory("round-robin")
    slots = [used.allocate(0) for _ in range(5)]
    used.free(slots[1])
    used.free(slots[4])
    assert used.in_use == 3


def test_layout__interleaved_goes_round_the_nodes() -> None:
    used = memory("round-robin", interleaved)
    assert [used.frames[used.allocate(0)].mfn for _ in range(6)] == [0, 1, 2, 3, 4, 5]


def test_layout__contiguous_fills_node_after_node() -> None:
    used = memory("round-robin")
    frames = [used.frames[used.allocate(0)] for _ in range(4)]
    assert frames == [Frame(0, 0, 0), Frame(1, 0, FRAMES), Frame(2, 0, 2 * FRAMES), Frame(0, 1, 1)]


def test_layout__no_two_frames_have_one_number() -> None:
    for layout in (interleaved, contiguous):
        used = memory("first-touch", layout)
        numbers = [used.frames[used.allocate(1)].mfn for _ in range(3 * FRAMES)]
        assert sorted(numbers) == list(range(3 * FRAMES))


def test_layout__with_one_node_both_are_the_same() -> None:
    one = machine(cpu__count=1)
    assert [interleaved(one, 0, i) for i in range(FRAMES)] == [contiguous(one, 0, i) for i in range(FRAMES)]
