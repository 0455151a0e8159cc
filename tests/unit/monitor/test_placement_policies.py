"""What the policies that come with discotrace decide, at the edges of their thresholds."""

import pytest

from discotrace.monitor.placement.base import Decision, HotPage, Migrate, Policy, Reason, Replicate, Stay
from discotrace.monitor.placement.registry import find_policy, shipped_policies
from discotrace.replay.placement import PLACEMENTS
from tests.machines import machine

THRESHOLDS = {
    "trigger": 10,
    "sharing": 4,
    "writes": 2,
    "moves": 3,
    "origin_difference": 5,
    "origin_bounces": 2,
}
CPUS = 4


def policy(name: str, per_node: int = 1, **thresholds: int) -> Policy:
    """A policy for four CPUs."""
    values = {f"migration__{key}": value for key, value in (THRESHOLDS | thresholds).items()}
    return find_policy(name)(machine(cpu__count=CPUS, cpu__per_node=per_node, placement__policy=name, **values))


def page(
    misses: list[int],
    *,
    cpu: int = 0,
    home: int = 1,
    copies: tuple[int, ...] = (),
    writes: tuple[int, ...] = (0,) * CPUS,
    moves: int = 0,
    per_node: int = 1,
) -> HotPage:
    """A page that lives on node 1 and that CPU 0 made hot."""
    return HotPage(cpu, home, copies, misses, writes, moves, per_node)


def outcome(decision: Decision) -> Decision:
    """The decision without its text."""
    if isinstance(decision, Stay):
        return Stay(decision.reason)
    return Migrate(decision.node) if isinstance(decision, Migrate) else Replicate(decision.nodes)


WRITTEN, CAPPED, OTHER = Stay(Reason.WRITTEN), Stay(Reason.CAPPED), Stay(Reason.OTHER)


@pytest.mark.parametrize("name", ["first-touch", "round-robin", "random"])
def test_fixed__places_as_the_native_system_does(name: str) -> None:
    questions = [(allocated, node) for allocated in range(9) for node in range(CPUS)]
    assert [policy(name).place(*question) for question in questions] == [
        PLACEMENTS[name](*question, CPUS) for question in questions
    ]


@pytest.mark.parametrize("name", ["first-touch", "round-robin", "random"])
def test_fixed__no_page_is_hot(name: str) -> None:
    assert policy(name).hot_trigger == 0
    assert outcome(policy(name).decide(page([99, 0, 0, 0]))) == OTHER


@pytest.mark.parametrize("name", ["round-robin", "random"])
def test_fixed__nodes_without_cpus_give_memory_too(name: str) -> None:
    more = find_policy(name)(machine(cpu__count=1, cpu__nodes=3))
    assert {more.place(allocated, 0) for allocated in range(30)} == {0, 1, 2}


@pytest.mark.parametrize("name", ["disco", "origin"])
def test_moving__places_where_the_page_is_touched(name: str) -> None:
    assert [policy(name).place(7, node) for node in range(CPUS)] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["disco", "origin"])
@pytest.mark.parametrize("trigger", [0, 10])
def test_moving__a_page_is_hot_at_the_trigger(name: str, trigger: int) -> None:
    assert policy(name, trigger=trigger).hot_trigger == trigger


@pytest.mark.parametrize("name", shipped_policies())
def test_every_policy__decides_the_same_again(name: str) -> None:
    pages = [page([9, 0, misses, 0], moves=moves) for misses in range(8) for moves in range(5)]
    one, other = policy(name), policy(name)
    assert [one.decide(hot) for hot in pages] == [one.decide(hot) for hot in pages]
    assert [one.place(k, 0) for k in range(9)] == [other.place(k, 0) for k in range(9)]


def test_disco__a_page_that_one_node_uses_migrates_to_it() -> None:
    assert outcome(policy("disco").decide(page([10, 0, 0, 0]))) == Migrate(0)


def test_disco__a_cpu_below_the_sharing_threshold_does_not_share() -> None:
    assert outcome(policy("disco").decide(page([10, 0, 3, 0]))) == Migrate(0)


def test_disco__a_cpu_at_the_sharing_threshold_shares() -> None:
    assert outcome(policy("disco").decide(page([10, 0, 4, 0]))) == Replicate((0, 2))


def test_disco__a_cpu_of_the_home_shares_too() -> None:
    assert outcome(policy("disco").decide(page([10, 4, 0, 0]))) == Replicate((0, 1))


def test_disco__cpus_of_one_node_do_not_share() -> None:
    assert outcome(policy("disco", per_node=2).decide(page([10, 9, 3, 3], per_node=2))) == Migrate(0)


def test_disco__misses_of_a_node_are_not_added_up() -> None:
    """Each CPU of the other node stays below the threshold, both together do not."""
    decided = policy("disco", per_node=2).decide(page([10, 0, 3, 3], per_node=2))
    assert outcome(decided) == Migrate(0)


def test_disco__two_cpus_of_a_node_share_once() -> None:
    decided = policy("disco", per_node=2).decide(page([10, 9, 4, 5], home=0, per_node=2))
    assert outcome(decided) == Replicate((0, 1))


def test_disco__a_shared_page_goes_to_all_that_use_it_and_no_other() -> None:
    assert outcome(policy("disco").decide(page([4, 3, 10, 4], cpu=2))) == Replicate((0, 2, 3))


def test_disco__the_hot_cpus_node_gets_a_copy_whatever_it_missed() -> None:
    assert outcome(policy("disco").decide(page([0, 0, 4, 0]))) == Replicate((0, 2))


@pytest.mark.parametrize(("writes", "expected"), [((1, 0, 0, 0), Replicate((0, 2))), ((1, 0, 0, 1), WRITTEN)])
def test_disco__writes_of_all_cpus_together_stop_replication(writes: tuple[int, ...], expected: Decision) -> None:
    assert outcome(policy("disco").decide(page([10, 0, 4, 0], writes=writes))) == expected


def test_disco__a_written_page_of_one_node_migrates_all_the_same() -> None:
    assert outcome(policy("disco").decide(page([10, 0, 0, 0], writes=(50, 0, 0, 0)))) == Migrate(0)


@pytest.mark.parametrize(("moves", "expected"), [(2, Migrate(0)), (3, CAPPED), (4, CAPPED)])
def test_disco__a_page_moves_a_number_of_times(moves: int, expected: Decision) -> None:
    assert outcome(policy("disco").decide(page([10, 0, 0, 0], moves=moves))) == expected


def test_disco__a_limit_of_no_moves_forbids_migration() -> None:
    assert outcome(policy("disco", moves=0).decide(page([10, 0, 0, 0]))) == CAPPED


def test_disco__moves_do_not_stop_replication() -> None:
    assert outcome(policy("disco").decide(page([10, 0, 4, 0], moves=99))) == Replicate((0, 2))


def test_disco__a_replicated_page_gets_one_more_copy() -> None:
    assert outcome(policy("disco").decide(page([10, 0, 0, 0], copies=(2,)))) == Replicate((0,))


def test_disco__a_replicated_page_gets_it_capped_and_written_too() -> None:
    """Neither matters where nothing migrates and nobody shares."""
    hot = page([10, 0, 0, 0], copies=(2,), moves=99, writes=(9, 0, 0, 0))
    assert outcome(policy("disco").decide(hot)) == Replicate((0,))


def test_disco__a_replicated_page_that_is_shared_and_written_stays() -> None:
    hot = page([10, 0, 4, 0], copies=(2,), writes=(0, 2, 0, 0))
    assert outcome(policy("disco").decide(hot)) == WRITTEN


@pytest.mark.parametrize(("misses", "expected"), [(10, OTHER), (11, Migrate(0)), (12, Migrate(0))])
def test_origin__the_difference_to_the_home_decides(misses: int, expected: Decision) -> None:
    assert outcome(policy("origin").decide(page([misses, 6, 0, 0]))) == expected


def test_origin__other_nodes_do_not_matter() -> None:
    assert outcome(policy("origin").decide(page([11, 6, 99, 99]))) == Migrate(0)


@pytest.mark.parametrize(("second", "expected"), [(4, OTHER), (5, Migrate(0))])
def test_origin__cpus_of_a_node_are_added_up(second: int, expected: Decision) -> None:
    hot = page([10, second, 6, 4], per_node=2)
    assert outcome(policy("origin", per_node=2).decide(hot)) == expected


def test_origin__equal_counts_keep_the_page() -> None:
    assert outcome(policy("origin", origin_difference=1).decide(page([10, 10, 0, 0]))) == OTHER


@pytest.mark.parametrize(("moves", "expected"), [(1, Migrate(0)), (2, CAPPED)])
def test_origin__a_page_that_bounces_is_left(moves: int, expected: Decision) -> None:
    assert outcome(policy("origin").decide(page([20, 0, 0, 0], moves=moves))) == expected


def test_origin__the_difference_is_asked_before_the_bounces() -> None:
    assert outcome(policy("origin").decide(page([10, 9, 0, 0], moves=99))) == OTHER


def test_origin__writes_do_not_matter() -> None:
    assert outcome(policy("origin").decide(page([20, 0, 0, 0], writes=(9, 9, 9, 9)))) == Migrate(0)


@pytest.mark.parametrize("name", ["disco", "origin"])
def test_moving__every_decision_says_why(name: str) -> None:
    pages = [
        page([misses, 0, others, 0], moves=moves, writes=(written, 0, 0, 0), copies=copies)
        for misses in (4, 10)
        for others in (0, 4)
        for moves in (0, 9)
        for written in (0, 9)
        for copies in ((), (3,))
    ]
    assert all(policy(name).decide(hot).why for hot in pages)
