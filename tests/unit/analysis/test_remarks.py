"""Remarks under results: what is unverified, what the trace could not fill."""

from dataclasses import replace
from typing import Any

import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import Outcome, outcome
from discotrace.analysis.remarks import busy_memory, empty_machines, remarks, unverified_thresholds
from discotrace.analysis.site import Site
from tests.unit.analysis.frames import Row, counts_frame

FLASH = load("flash")


def of(system: str, *rows: Row) -> Outcome:
    return outcome(system, counts_frame(*rows), Site(FLASH.machine.for_trace(1)), FLASH.prices)


def about(*changes: str, instances: int = 1) -> dict[str, Any]:
    return {"configuration": load("flash", changes).to_tables(), "instances": instances}


@pytest.mark.parametrize("event", ["hot_pages", "migrations", "replications"])
def test_thresholds_are_unverified_when_something_was_decided_by_them(event: str) -> None:
    [line] = remarks(about(), [of("native"), of("disco", (0, 0, "user", event, 1))])
    assert line.startswith("unverified: ")


def test_thresholds_that_decided_nothing_are_not_mentioned() -> None:
    assert remarks(about(), [of("native"), of("disco")]) == []


@pytest.mark.parametrize(
    ("policy", "parts"),
    [
        ("disco", ["Verghese", "trigger 128, sharing 32, writes 1, moves 1, reset_instructions 20000000"]),
        ("origin", ["SGI", "trigger 128, origin_difference 64, origin_bounces 2"]),
    ],
)
def test_each_policy_names_its_own_thresholds(policy: str, parts: list[str]) -> None:
    [line] = unverified_thresholds(load("flash", [f"placement.policy={policy}"]).to_tables())
    assert all(part in line for part in parts)


@pytest.mark.parametrize("policy", ["first-touch", "./mine.py"])
def test_other_policies_have_none_of_ours(policy: str) -> None:
    tables = load("flash").to_tables()
    assert unverified_thresholds(tables | {"placement": {"policy": policy}}) == []


@pytest.mark.parametrize(
    ("instances", "vms", "line"),
    [
        (1, 1, None),
        (4, 4, None),
        (8, 4, None),
        (0, 1, None),
        (3, 4, "the trace has 3 instances of its workload: 1 of 4 virtual machines has no process"),
        (1, 4, "the trace has 1 instance of its workload: 3 of 4 virtual machines have no process"),
        (0, 2, "the trace has 0 instances of its workload: 2 of 2 virtual machines have no process"),
    ],
)
def test_virtual_machines_without_processes(instances: int, vms: int, line: str | None) -> None:
    assert empty_machines({"vm": {"count": vms}}, instances) == ([line] if line else [])


def test_natively_nothing_is_empty() -> None:
    assert remarks(about("vm.count=2"), [of("native")]) == []
    assert len(remarks(about("vm.count=2"), [of("native"), of("splashos")])) == 1


OFF = ["memory.controller_ns=0", "memory.port_ns=0", "locks.handoff_ns=0", "disks.request_ms=0", "disks.page_ms=0"]
WAITED_FOR = {"memory_requests": "waiting for memory", "lock_acquires": "kernel locks", "disk_requests": "disks"}


@pytest.mark.parametrize("event", list(WAITED_FOR))
def test_waiting_that_has_no_price_is_said_to_be_left_out(event: str) -> None:
    [line] = remarks(about(*OFF), [of("native", (0, 0, "user", event, 1))])
    assert line.startswith("left out")
    assert WAITED_FOR[event] in line
    assert remarks(about(*OFF), [of("native")]) == []


def test_a_number_of_jobs_that_the_trace_does_not_say_is_a_guess() -> None:
    disks = [of("native", (0, 0, "user", "disk_requests", 1))]
    [line] = remarks(about(), disks)
    assert line.startswith("a guess")
    assert remarks(about() | {"jobs": 2}, disks) == []
    [line] = remarks(about("disks.jobs_per_cpu=0"), disks)
    assert line.startswith("left out")


def test_memory_that_is_very_busy_makes_the_answer_less_certain() -> None:
    one = of("native")
    assert busy_memory([one, replace(one, memory_busy_ratio=0.6)]) == []
    [line] = busy_memory([one, replace(one, memory_busy_ratio=0.74)])
    assert "74 %" in line
