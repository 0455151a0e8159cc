"""The replays behind the points of a sweep."""

from pathlib import Path
from typing import Any

import pytest

from discotrace.analysis.sweep.plan import Plan, key_of
from discotrace.tracegen.errors import ConfigError, TraceError
from tests.unit.analysis.sweep.sweeping import plan_of, small_trace


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_trace(tmp_path_factory.mktemp("traces"))


def replays_of(plan: Plan) -> list[int | None]:
    found: list[int | None] = plan.points["replay"].to_list()
    return found


def test_prices_cause_no_replay(trace: str) -> None:
    plan = plan_of(trace, set={"memory.remote_ns": "300:1800:100", "cpu.clock_mhz": [200, 400]})
    assert (plan.points.height, len(plan.replays)) == (64, 2)
    assert plan.prices == ["memory.remote_ns", "cpu.clock_mhz"]
    assert {one.system for one in plan.replays} == {"native", "disco"}


def test_structure_does(trace: str) -> None:
    plan = plan_of(trace, set={"tlb.entries": [16, 32], "l2.size_kib": [256, 512, 1024]})
    assert (plan.points.height, len(plan.replays)) == (12, 12)
    assert plan.prices == []


def test_no_replay_is_made_twice_for_keys_that_do_not_matter(trace: str) -> None:
    plan = plan_of(trace, set={"vm.count": [1, 2], "placement.policy": ["first-touch", "random"]})
    assert (plan.points.height, len(plan.replays)) == (8, 5)
    assert replays_of(plan) == [0, 1, 0, 2, 0, 3, 0, 4]


def test_points_of_one_combination_of_structure_are_a_cell(trace: str) -> None:
    plan = plan_of(trace, set={"memory.remote_ns": [300, 600], "tlb.entries": [16, 32]})
    assert plan.points["cell"].to_list() == [0, 0, 1, 1, 0, 0, 1, 1]


def test_impossible_points_are_left_out_with_the_reason(trace: str) -> None:
    plan = plan_of(trace, set={"l2.size_kib": [256, 300, 512], "vm.count": [1, 100]})
    assert len(plan.replays) == 4
    assert plan.skipped.height == 8
    assert set(plan.skipped["why"]) == {
        "l2: 300 KiB in 2 ways of 128 B lines gives 1200 sets, expected a power of two",
        "vm.count is 100, at most 64 are modelled",
    }


def test_what_is_impossible_only_with_the_cpus_of_the_trace_is_found(trace: str) -> None:
    plan = plan_of(trace, set={"l2.inclusive": [True, False]})
    assert "needs cpu.count = 1, not 2" in plan.skipped["why"][0]


def test_fixed_keys_are_those_of_all_replays(trace: str) -> None:
    plan = plan_of(trace, set={"tlb.entries": 16, "cpu.clock_mhz": 200, "l2.size_kib": [256, 512]})
    assert {one.configuration.machine.tlb.entries for one in plan.replays} == {16}
    assert {one.configuration.prices.cpu.clock_mhz for one in plan.replays} == {200}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"systems": ["xen"]}, "unknown system 'xen'"),
        ({"machine": "cray"}, "machine 'cray' is neither a preset"),
        ({"set": {"memory.remote_ns": [300, -1]}}, "memory.remote_ns is -1"),
        ({"set": {"memory.remote_ns": ["300", "fast"]}}, "memory.remote_ns is 'fast'"),
        ({"set": {"cpu.clock_mhz": "0:400"}, "lhs": 2}, "cpu.clock_mhz is 0"),
        ({"set": {"l2.size_kib": [300, 700]}}, "every point is impossible; the first: l2: 300 KiB"),
        ({"set": {"placement.policy": ["disco", "disko"]}, "systems": ["disco"], "where": "vm.count == 2"}, "no point"),
    ],
)
def test_what_is_wrong_with_the_whole_sweep_ends_it(trace: str, tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(trace, **tree)


def test_an_unknown_policy_is_found_before_any_replay(trace: str) -> None:
    plan = plan_of(trace, set={"placement.policy": ["disco", "disko"]}, systems=["disco"])
    assert "did you mean disco?" in plan.skipped["why"][0]


def test_a_trace_that_is_none_ends_it(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="there is no such file"):
        plan_of(str(tmp_path / "none.parquet"))


def test_a_replay_is_named_by_what_decides_it(trace: str, tmp_path: Path) -> None:
    plan = plan_of(trace, set={"tlb.entries": [16, 32]}, systems=["native"])
    first, second = plan.replays
    assert first.key != second.key
    machine = first.configuration.machine
    assert key_of(first.trace, "native", machine, plan.spec.window, None) == first.key
    assert key_of(first.trace, "native", machine, 77, None) != first.key
    assert key_of(first.trace, "disco", machine, plan.spec.window, None) != first.key
    other = plan_of(small_trace(tmp_path, 41), set={"tlb.entries": [16, 32]}, systems=["native"])
    assert other.replays[0].key != first.key


def test_the_name_of_a_copy_of_the_trace_does_not_matter_its_content_does(trace: str, tmp_path: Path) -> None:
    copy = tmp_path / "t.parquet"
    copy.write_bytes(Path(trace).read_bytes())
    assert plan_of(str(copy)).replays[0].key == plan_of(trace).replays[0].key


def test_another_content_of_a_policy_file_is_another_replay(trace: str, tmp_path: Path) -> None:
    text = (
        "from discotrace.monitor.placement.base import Policy\n"
        "class Mine(Policy):\n    def place(self, allocated, cpu_node):\n        return 0\n"
    )
    keys = []
    for name, content in (("a.py", text), ("b.py", text + "# other\n")):
        path = tmp_path / name
        path.write_text(content)
        plan = plan_of(trace, systems=["disco"], set={"placement.policy": [str(path)]})
        keys.append(plan.replays[0].key)
    assert keys[0] != keys[1]
