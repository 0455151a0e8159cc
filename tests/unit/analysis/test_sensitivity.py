"""How much figures depend on parameters."""

import pytest

from discotrace.analysis.sensitivity import Figures, Key, Trial, price_trials, sensitivities, strongest

BAR: Key = ("figure5", "pmake", "disco", "total")
OTHER: Key = ("figure5", "radix", "disco", "total")
PARTS = {"cpu.cycles_per_instruction": 60.0, "memory.local_ns": 30.0, "monitor.tlb_write_cycles": 10.0}


def ours(trial: Trial | None) -> Figures:
    """A bar that is a sum of parts, each proportional to its price, and one that depends on nothing."""
    factors = {trial.parameter: trial.factor} if trial else {}
    return {
        BAR: sum(part * factors.get(key, 1.0) for key, part in PARTS.items()),
        OTHER: 7.0,
        (*OTHER[:3], "sync"): 0.0,
    }


def test_a_linear_part_changes_the_whole_by_its_share() -> None:
    found = sensitivities(ours, [Trial(key) for key in PARTS], ["memory.local_ns"])
    assert {one.parameter: one.change for one in found} == pytest.approx(
        {key: part / 10 for key, part in PARTS.items()}
    )
    assert {one.key for one in found} == {BAR}
    assert [one.parameter for one in found if one.is_unverified] == ["memory.local_ns"]
    assert sum(one.change for one in found) == pytest.approx(10)


def test_of_some_figures_alone() -> None:
    assert sensitivities(ours, [Trial("memory.local_ns")], [], [OTHER]) == []
    assert len(sensitivities(ours, [Trial("memory.local_ns")], [], [BAR])) == 1


def test_the_strongest_of_each_figure_come_first() -> None:
    found = strongest(sensitivities(ours, [Trial(key) for key in reversed(PARTS)], []), 2)
    assert [one.parameter for one in found] == ["cpu.cycles_per_instruction", "memory.local_ns"]


def test_prices_of_0_cannot_be_raised() -> None:
    trials = price_trials({"memory": {"local_ns": 300.0, "remote_ns": 0.0}})
    assert trials == [Trial("memory.local_ns", 1.1)]
