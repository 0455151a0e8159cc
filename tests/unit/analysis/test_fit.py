"""Fitting prices: from made-up figures that known prices give, the prices come out."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from discotrace.analysis.fit import fit
from discotrace.analysis.fit_file import FittedStep
from discotrace.analysis.fit_targets import SERVICE_PARTS, Figures, Step, Target, error_of, steps
from discotrace.tracegen.errors import ConfigError

CYCLE_US = 1 / 400
NATIVE_US = {
    "demand_zero": 14.0,
    "quick_fault": 4.0,
    "open": 40.0,
    "utlb_miss": 0.05,
    "write": 9.0,
    "read": 22.0,
    "execve": 500.0,
}
TLB_WRITE_CYCLES = 95.0  # not fitted
KNOWN = {
    "monitor.software_tlb_hit_cycles": 18.0,
    "monitor.wired_write_cycles": 600.0,
    "monitor.privileged_cycles": 330.0,
    "monitor.zero_page_cycles": 450.0,
    "monitor.kernel_software_tlb_hit_cycles": 120.0,
    "monitor.kernel_tlb_refill_cycles": 260.0,
    "disks.create_requests": 1.5,
    "memory.controller_ns": 140.0,
    "memory.port_ns": 60.0,
    "locks.handoff_ns": 2500.0,
}
# Counted per entry of each service: misses that the second-level TLB answers, emulated writes of the TLB and of wired
# entries, privileged instructions, calls for a cleared page, misses of the kernel answered and not.
EVENTS = {
    "demand_zero": (0.0, 0.0, 1.8, 2.0, 1.0, 6.0, 2.5),
    "quick_fault": (0.0, 0.0, 2.0, 2.0, 0.0, 1.5, 0.2),
    "open": (0.0, 0.0, 2.0, 1.0, 0.0, 2.7, 1.9),
    "utlb_miss": (0.8, 0.2, 0.0, 0.0, 0.0, 0.0, 0.02),
    "write": (0.0, 0.0, 2.0, 1.0, 0.2, 3.1, 1.4),
    "read": (0.0, 0.0, 2.0, 1.0, 0.0, 0.4, 0.6),
    "execve": (0.0, 0.0, 2.0, 1.0, 0.0, 6.5, 6.3),
}


def pricing(prices: Mapping[str, float]) -> Figures:
    """Made-up figures: linear in the monitor's prices, curved in those of waiting, which hang together."""
    figures = {}
    for service, events in EVENTS.items():
        hits, writes, wired, privileged, calls, kernel_hits, kernel_misses = events
        hit = prices["monitor.software_tlb_hit_cycles"]
        cycles = {
            "kernel": 400 * 0.9 * NATIVE_US[service],
            "tlb_write": hits * hit + writes * TLB_WRITE_CYCLES + wired * prices["monitor.wired_write_cycles"],
            "privileged": privileged * prices["monitor.privileged_cycles"],
            "monitor_call": calls * (3000 + prices["monitor.zero_page_cycles"]),
            "kernel_tlb": kernel_hits * prices["monitor.kernel_software_tlb_hit_cycles"]
            + kernel_misses * prices["monitor.kernel_tlb_refill_cycles"],
        }
        figures["table2", "pmake", service, "irix_us"] = NATIVE_US[service]
        for part, value in cycles.items():
            figures["table2", "pmake", service, part] = 100 * value * CYCLE_US / NATIVE_US[service]
    figures["figure5", "pmake", "irix", "idle"] = 12 + 6 * prices["disks.create_requests"]
    waiting = 0.001 * prices["locks.handoff_ns"]
    for workload, load in (("engineering", 1.0), ("raytrace", 1.7)):
        use = load * prices["memory.controller_ns"] / 1000
        figures["figure8", workload, "irix", "idle"] = 2.0
        figures["figure8", workload, "irix", "local_stall"] = 5 * (1 + use**2) - 0.1 * waiting
        figures["figure8", workload, "irix", "remote_stall"] = (
            30 * (1 + use**2) + load * 0.05 * prices["memory.port_ns"] - 0.2 * waiting
        )
    figures["figure7", "pmake", "irix", "idle"] = 20.0
    figures["figure7", "pmake", "irix", "sync"] = 4 + waiting**1.5 + 0.01 * prices["memory.controller_ns"]
    return figures


def aimed_at(prices: Mapping[str, float]) -> list[Step]:
    """The steps, with the figures that these prices give for the published ones."""
    figures = pricing(prices)
    return [replace(s, targets=[replace(one, published=one.ours(figures)) for one in s.targets]) for s in steps()]


def prices_of(found: list[FittedStep]) -> dict[str, float]:
    return {key: value for step in found for key, value in step.prices.items()}


def test_known_prices_come_out_again() -> None:
    found = fit(aimed_at(KNOWN), pricing)
    assert prices_of(found) == pytest.approx(KNOWN, rel=0.01)
    assert all(step.error < 0.01 for step in found)
    assert not any(step.at_limit for step in found)


def test_a_price_that_cannot_be_lower_than_another_is_not() -> None:
    found = fit(aimed_at(KNOWN | {"monitor.kernel_tlb_refill_cycles": 20.0}), pricing)
    prices = prices_of(found)
    assert prices["monitor.kernel_tlb_refill_cycles"] == prices["monitor.kernel_software_tlb_hit_cycles"]
    assert found[0].at_limit == ["monitor.kernel_tlb_refill_cycles"]


def test_a_request_does_not_keep_memory_busy_for_longer_than_it_takes() -> None:
    found = fit(aimed_at(KNOWN | {"memory.controller_ns": 500.0}), pricing)[2]
    assert found.prices["memory.controller_ns"] == 300
    assert "memory.controller_ns" in found.at_limit


def test_the_published_table_leaves_residuals_that_add_up() -> None:
    """The parts of a service less the printed ones make up what its slowdown is off, and all of them the error."""
    monitor = steps()[0]
    found = fit(steps(), pricing)[0]
    figures = pricing(KNOWN | prices_of(fit(steps(), pricing)))
    for service in EVENTS:
        mine = [one for one in found.residuals if one.name.split()[0] == service]
        assert [one.name.split()[1] for one in mine] == list(SERVICE_PARTS)
        printed = sum(one.published for one in monitor.targets if one.name.split()[0] == service)
        whole = sum(one.ours(figures) for one in monitor.targets if one.name.split()[0] == service)
        assert sum(one.ours - one.published for one in mine) == pytest.approx(whole - printed)
    squares = [
        one.weight * (left.ours - left.published) ** 2
        for one, left in zip(monitor.targets, found.residuals, strict=True)
    ]
    assert found.error**2 * sum(one.weight for one in monitor.targets) == pytest.approx(sum(squares))


def test_no_price_near_the_found_ones_is_better() -> None:
    found = prices_of(fit(steps(), pricing))
    monitor = steps()[0]
    least = error_of(monitor.targets, pricing(found))
    for key in monitor.starts:
        if key not in monitor.at_least and key not in monitor.at_least.values():
            for factor in (0.95, 1.05):
                assert error_of(monitor.targets, pricing(found | {key: factor * found[key] + 1e-9})) >= least


def test_a_price_that_nothing_depends_on_is_an_error() -> None:
    targets = [Target("x", "%", 1.0, lambda figures: 2.0)]
    step = Step("locks", "figure7", "nothing", {"locks.handoff_ns": 1.0}, {}, targets)
    with pytest.raises(ConfigError, match=r"^locks\.handoff_ns cannot be fitted: nothing in the traces depends on it"):
        fit([step], lambda prices: {})


def test_steps_that_change_each_other_are_repeated_until_they_settle() -> None:
    """Each of two prices aims at a figure that the other changes too."""

    def figures(prices: Mapping[str, float]) -> Figures:
        a, b = prices["memory.port_ns"], prices["locks.handoff_ns"]
        return {("f", "w", "c", "a"): a + 0.3 * b, ("f", "w", "c", "b"): b + 0.3 * a}

    def step(key: str, quantity: str, aim: float) -> Step:
        target = Target(quantity, "%", aim, lambda ours: ours["f", "w", "c", quantity])
        return Step(quantity, "f", "made up", {key: 1.0}, {}, [target])

    found = prices_of(fit([step("memory.port_ns", "a", 10.0), step("locks.handoff_ns", "b", 20.0)], figures))
    exact = np.linalg.solve([[1, 0.3], [0.3, 1]], [10.0, 20.0])
    assert list(found.values()) == pytest.approx(exact, rel=0.005)
