"""The native placements."""

from discotrace.replay.machine import NATIVE_PLACEMENTS
from discotrace.replay.placement import PLACEMENTS, first_touch, random, round_robin, splitmix64

PUBLISHED = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # SplitMix64 with seed 0


def test_there_is_one_for_every_name_that_a_configuration_may_have() -> None:
    assert sorted(PLACEMENTS) == sorted(NATIVE_PLACEMENTS)


def test_round_robin__deals_out_whoever_asks() -> None:
    assert [round_robin(k, 2, 3) for k in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_first_touch__is_local_whatever_came_before() -> None:
    assert [first_touch(k, node, 4) for k in (0, 5) for node in range(4)] == [0, 1, 2, 3] * 2


def test_splitmix64__is_the_published_generator() -> None:
    assert [splitmix64(k) for k in range(3)] == PUBLISHED


def test_random__is_the_generator_modulo_the_nodes() -> None:
    assert [random(k, 0, 5) for k in range(3)] == [number % 5 for number in PUBLISHED]


def test_random__depends_on_no_cpu() -> None:
    assert {random(7, node, 8) for node in range(8)} == {random(7, 0, 8)}


def test_random__uses_all_nodes_alike() -> None:
    """Over 6000 frames on 3 nodes the standard deviation is 37."""
    drawn = [random(k, 0, 3) for k in range(6000)]
    assert all(1850 < drawn.count(node) < 2150 for node in range(3))
