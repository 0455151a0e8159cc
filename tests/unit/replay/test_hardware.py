"""The hardware as Python sees it: frames that become known, copies near a CPU, counters, shootdowns."""

import pytest

from discotrace.replay.hardware import Hardware
from discotrace.replay.native import NativeSystem
from tests.machines import machine
from tests.unit.replay.driving import AT, PAGE, Driven, lines, load, native, trace

VPN = AT // PAGE


def run_of(cpus: int = 3, **changes: int) -> Driven[NativeSystem]:
    return native(trace(cpus), **changes)


def hardware(cpus: int, per_node: int) -> Hardware:
    meta = trace(cpus)
    return NativeSystem(meta, machine(cpu__per_node=per_node).for_trace(cpus)).hardware


@pytest.mark.parametrize(
    ("cpus", "per_node", "nodes", "expected"),
    [(4, 1, [0, 2], 0b101), (4, 2, [1], 0b1100), (5, 2, [2], 0b10000), (64, 64, [0], (1 << 64) - 1), (4, 1, [], 0)],
)
def test_cpus_of_nodes__those_that_there_are(cpus: int, per_node: int, nodes: list[int], expected: int) -> None:
    assert hardware(cpus, per_node).cpus_of_nodes(nodes) == expected


def test_shoot_down__says_who_held_a_page_and_takes_it_from_those_that_are_named() -> None:
    run = run_of()
    run.feed(load(vcpu=0), load(vcpu=2))
    assert run.system.hardware.shoot_down([(1, VPN)], cpus=0b001) == 0b101
    assert run.system.hardware.shoot_down([(1, VPN)]) == 0b100
    assert run.system.hardware.shoot_down([(1, VPN)]) == 0


def test_shoot_down__several_pages_at_once() -> None:
    run = run_of()
    run.feed(load(vcpu=0), load(AT + 9 * PAGE, vcpu=1))
    assert run.system.hardware.shoot_down([(1, VPN), (1, VPN + 9)]) == 0b011


def test_misses_and_heat__count_alike_until_heat_is_cleared() -> None:
    run = run_of()
    run.feed(*lines(4, vcpu=1))
    of_page = run.system.hardware
    assert of_page.misses(run.slot()).tolist() == of_page.heat(run.slot()).tolist() == [0, 4, 0]
    of_page.clear_heat(run.slot())
    assert (of_page.misses(run.slot()).tolist(), of_page.heat(run.slot()).tolist()) == ([0, 4, 0], [0, 0, 0])


def test_clear_all_heat__of_every_frame() -> None:
    run = run_of()
    run.feed(load(), load(AT + PAGE, vcpu=1))
    run.system.hardware.clear_all_heat()
    assert not run.system.hardware.frames.heat.any()
    assert run.system.hardware.frames.misses.any()


def test_drop_lines__the_next_access_misses() -> None:
    run = run_of()
    run.feed(load(), load())
    run.system.hardware.drop_lines(run.slot())
    run.feed(load())
    assert run.system.hardware.misses(run.slot()).tolist() == [2, 0, 0]


def test_take_hot__empties_the_list() -> None:
    hot = run_of().system.hardware
    hot.know_frames([])
    hot.frames.hot[:5] = (2, 7, 1, 9, 0)
    assert hot.take_hot() == [(7, 1), (9, 0)]
    assert hot.take_hot() == []
