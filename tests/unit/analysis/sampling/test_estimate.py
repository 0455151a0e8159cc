"""Estimates from intervals, against loops over them."""

import math
import random

import numpy as np
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.sampling.choice import Choice
from discotrace.analysis.sampling.estimate import Estimate, covers, estimates, figures_of, interval_of
from discotrace.analysis.sampling.student import t_quantile
from discotrace.analysis.site import Site
from discotrace.replay.counts import DiskEvent
from tests.unit.analysis.frames import UNFITTED, Row, counts_frame

INTERVALS = 6
CHOICE = Choice(tuple(range(10, 10 + 20 * INTERVALS, 20)), windows=240.0, seed=1, design_effect=0.5)
NO_DISKS = np.zeros((1, len(DiskEvent)), np.int64)


def rows(seed: int) -> list[Row]:
    """User and kernel instructions, and misses at two nodes, of each chosen window."""
    draw, found = random.Random(seed), []
    for first in CHOICE.firsts:
        slow = draw.randrange(1, 4)
        for window in CHOICE.interval_windows(first):
            found += [
                (window, 0, "user", "instructions", draw.randrange(1000, 2000) * 400),
                (window, 0, "kernel:open", "instructions", slow * draw.randrange(100, 200) * 400),
                (window, 0, "user", "l2_load_local", draw.randrange(100, 200)),
                (window, 0, "user", "l2_load_remote", slow * draw.randrange(10, 90)),
            ]
    return found


def estimated(of: list[Row], disks: np.ndarray = NO_DISKS, *changes: str) -> Estimate:
    flash = load("flash", [*UNFITTED, *changes])
    site = Site(flash.machine.for_trace(1), jobs=1)
    return estimates({"native": counts_frame(*of)}, CHOICE, site, flash.prices, {"native": disks})[0]


def naive(of: list[Row], leave_out: int | None) -> dict[str, float]:
    """Figures from sums by hand, without one interval."""
    lengths = {"instructions": 2.5, "l2_load_local": 300.0, "l2_load_remote": 900.0}
    kept = [row for row in of if (row[0] - CHOICE.firsts[0]) // 20 != leave_out]
    scale = CHOICE.windows / (len({row[0] for row in kept}))
    ns = {
        part: sum(n * lengths[event] for _, _, at, event, n in kept if at == part) for part in ("user", "kernel:open")
    }
    total = sum(ns.values())
    misses = {event: sum(row[4] for row in kept if row[3] == event) for event in lengths}
    return {
        "time_ms": total * scale / 1e6,
        "kernel_percent": 100 * ns["kernel:open"] / total,
        "remote_miss_ratio": misses["l2_load_remote"] / (misses["l2_load_remote"] + misses["l2_load_local"]),
    }


def test_figures_and_their_spread_are_those_of_loops() -> None:
    of = rows(1)
    found = estimated(of)
    whole = figures_of(found.outcome, found.outcome)
    for figure, expected in naive(of, None).items():
        assert whole[figure] == pytest.approx(expected)
        without = [naive(of, interval)[figure] for interval in range(INTERVALS)]
        mean = sum(without) / INTERVALS
        error = math.sqrt((INTERVALS - 1) / INTERVALS * sum((one - mean) ** 2 for one in without))
        assert found.half_widths[figure] == pytest.approx(t_quantile(0.975, INTERVALS - 1) * error)


def test_equal_intervals_leave_no_doubt() -> None:
    of: list[Row] = [
        (window, 0, "user", "instructions", 400_000)
        for first in CHOICE.firsts
        for window in CHOICE.interval_windows(first)
    ]
    found = estimated(of)
    assert found.outcome.time_ms == pytest.approx(CHOICE.windows)
    assert found.half_widths["time_ms"] == pytest.approx(0, abs=1e-9)


def test_disks_are_known_though_no_interval_asks_them() -> None:
    asked = np.zeros((3, len(DiskEvent)), np.int64)
    asked[2, DiskEvent.DISK_REQUESTS], asked[2, DiskEvent.DISK_PAGES] = 50, 70
    prices = "disks.request_ms=10", "disks.page_ms=1"
    busy, found = estimated(rows(2), NO_DISKS, *prices), estimated(rows(2), asked, *prices)
    assert found.outcome.time_ms == pytest.approx(busy.outcome.time_ms + 50 * 10 + 70)
    assert found.half_widths["time_ms"] == pytest.approx(busy.half_widths["time_ms"], rel=1e-6)


def test_the_truth_is_covered_or_not() -> None:
    found = estimated(rows(3))
    low, high = interval_of(found.half_widths["time_ms"], found.outcome.time_ms)
    assert covers(found, "time_ms", (low + high) / 2, found.outcome)
    assert not covers(found, "time_ms", high * 1.001, found.outcome)


def test_an_interval_does_not_reach_below_nothing() -> None:
    assert interval_of(3.0, 2.0) == (0.0, 5.0)
