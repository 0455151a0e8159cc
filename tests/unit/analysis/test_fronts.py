"""Which replays share all that comes before the caches."""

from pathlib import Path
from typing import Any

import pytest

from discotrace.analysis.fronts import MOST, Run, fronts, may_share
from discotrace.analysis.run import replay_runs
from discotrace.monitor.history import KeptHistory
from discotrace.tracegen.reader import TraceReader
from tests.cli.running import sample_trace
from tests.machines import machine


def run(system: str = "native", **changes: Any) -> Run:
    return Run(f"{system} {changes}", system, machine(**{"cpu__count": 2} | changes))


def test_runs_that_differ_in_their_caches_alone_share_a_front() -> None:
    runs = [run(), run(l2__size_kib=512), run(l1d__size_kib=16, l1i__line_b=32)]
    assert fronts(runs) == [[0, 1, 2]]


@pytest.mark.parametrize(
    "changes",
    [
        {"tlb__entries": 128},
        {"cpu__per_node": 2},
        {"placement__native": "first-touch"},
        {"memory__mib_per_node": 64},
        {"guest__refill_instructions": 9},
    ],
)
def test_runs_that_differ_before_the_caches_do_not(changes: dict[str, Any]) -> None:
    assert fronts([run(), run(**changes), run(l2__size_kib=512)]) == [[0, 2], [1]]


def test_systems_do_not_share() -> None:
    runs = [run(), run("disco", placement__policy="first-touch"), run("splashos", placement__policy="first-touch")]
    assert fronts(runs) == [[0], [1], [2]]


def test_a_front_has_a_limited_number_of_hierarchies() -> None:
    runs = [run(l2__size_kib=1 << n % 8 + 6, l2__ways=1 << n // 8) for n in range(MOST + 3)]
    assert [len(front) for front in fronts(runs)] == [MOST, 3]


@pytest.mark.parametrize("policy", ["first-touch", "round-robin", "random"])
def test_a_policy_that_moves_no_page_lets_replays_share(policy: str) -> None:
    assert may_share(run("disco", placement__policy=policy))


@pytest.mark.parametrize("policy", ["disco", "origin"])
def test_a_policy_that_moves_pages_does_not(policy: str) -> None:
    assert not may_share(run("disco", placement__policy=policy))


@pytest.mark.parametrize("changes", [{"cpu__count": 1}, {"cpu__per_node": 2}, {"migration__trigger": 0}])
def test_unless_there_is_nowhere_to_move_to_or_it_is_never_asked(changes: dict[str, Any]) -> None:
    assert may_share(run("disco", **changes))


def test_nodes_that_give_memory_only_are_somewhere_to_move_from() -> None:
    assert not may_share(run("disco", cpu__count=1, cpu__nodes=2))


def test_a_policy_of_the_users_has_its_replays_to_itself(tmp_path: Path) -> None:
    """It may look at the caches of its machine."""
    path = tmp_path / "mine.py"
    path.write_text("raise SystemExit\n")
    assert not may_share(run("disco", cpu__count=1, placement__policy=str(path)))


def test_a_history_is_of_one_replay() -> None:
    with_history = Run("", "disco", machine(cpu__count=1), KeptHistory())
    assert not may_share(with_history)
    assert fronts([with_history, Run("", "disco", machine(cpu__count=1))]) == [[0], [1]]


def test_replays_behind_one_front_come_in_the_order_asked_for(tmp_path: Path) -> None:
    sizes = (512, 1024, 256)
    runs = [run(s, l2__size_kib=k, placement__policy="random") for k in sizes for s in ("native", "disco")]
    with TraceReader(sample_trace(tmp_path / "t.parquet")) as reader:
        together = replay_runs(reader, runs, 1000, lambda rows: None)
        alone = [replay_runs(reader, [one], 1000, lambda rows: None)[0] for one in runs]
    assert [one.run.label for one in together] == [one.label for one in runs]
    assert [one.counts for one in together] == [one.counts for one in alone]
