"""What parameters do: analysis of variance."""

import math
import random
from itertools import combinations
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discotrace.analysis.answers.effects import EXACT, FITTED, Effects, effects
from discotrace.analysis.answers.factors import Shares
from discotrace.analysis.answers.results import Results
from discotrace.tracegen.errors import CheckFailedError, ConfigError
from tests.unit.analysis.answers.making import grid, results_of


def only(results: Results, **options: Any) -> tuple[Effects, Shares]:
    (found,) = effects(results, **options)
    assert found.shares is not None
    return found, found.shares


def main_of(shares: Shares) -> dict[str, float]:
    return {one.name: one.share for one in shares.main}


def together_of(shares: Shares) -> dict[frozenset[str], float]:
    return {frozenset(one.names): one.share for one in shares.interactions}


def test_two_factors_by_hand() -> None:
    """Figures 1, 2; 3, 8: mean 3.5; rows -2, +2; columns -1.5, +1.5; together 1, -1, -1, 1. Squares 16 + 9 + 4 = 29."""
    rows = grid(tlb__entries=[16, 32], l2__size_kib=[256, 512])
    points = [row | {"time_ms": time} for row, time in zip(rows, (1.0, 2.0, 3.0, 8.0), strict=True)]
    found, shares = only(results_of(points))
    assert (found.method, found.points, found.mean) == (EXACT, 4, 3.5)
    assert found.deviation == pytest.approx(math.sqrt(29 / 4))
    assert main_of(shares) == pytest.approx({"tlb.entries": 16 / 29, "l2.size_kib": 9 / 29})
    assert together_of(shares) == pytest.approx({frozenset(["tlb.entries", "l2.size_kib"]): 4 / 29})
    assert shares.rest == pytest.approx(0)
    first = shares.main[0]
    assert [(level.value, level.mean) for level in first.levels] == [(16, 1.5), (32, 5.5)]
    assert (first.lowest.value, first.highest.value) == (16, 32)


def naive_share(points: list[dict[str, Any]], names: tuple[str, ...]) -> float:
    """Sum of squares of an interaction, by inclusion and exclusion of means, as a share."""
    mean = fmean(point["time_ms"] for point in points)

    def mean_where(point: dict[str, Any], fixed: tuple[str, ...]) -> float:
        return fmean(one["time_ms"] for one in points if all(one[name] == point[name] for name in fixed))

    total = sum((point["time_ms"] - mean) ** 2 for point in points)
    squares = 0.0
    for point in points:
        effect = sum(
            (-1) ** (len(names) - len(fixed)) * mean_where(point, fixed)
            for size in range(len(names) + 1)
            for fixed in combinations(names, size)
        )
        squares += effect**2
    return squares / total


@given(st.integers(2, 3), st.integers(2, 4), st.integers(0, 1 << 32))
def test_shares_of_a_full_grid_are_those_of_the_definition(entries: int, sizes: int, seed: int) -> None:
    draw = random.Random(seed)
    rows = grid(tlb__entries=range(entries), l2__size_kib=range(sizes), system=["native", "disco"])
    points = [row | {"time_ms": draw.uniform(1, 9)} for row in rows]
    draw.shuffle(points)
    found, shares = only(results_of(points))
    names = ("system", "tlb.entries", "l2.size_kib")
    assert found.method == EXACT
    assert main_of(shares) == pytest.approx({name: naive_share(points, (name,)) for name in names})
    pairs = [("system", "tlb.entries"), ("system", "l2.size_kib"), ("tlb.entries", "l2.size_kib")]
    assert together_of(shares) == pytest.approx({frozenset(pair): naive_share(points, pair) for pair in pairs})
    assert shares.rest == pytest.approx(naive_share(points, names), abs=1e-12)


def test_shares_come_largest_first() -> None:
    rows = grid(tlb__entries=[1, 2], l2__size_kib=[1, 2], l1d__ways=[1, 2])
    points = [row | {"time_ms": row["tlb.entries"] + 5.0 * row["l2.size_kib"] + 2 * row["l1d.ways"]} for row in rows]
    _, shares = only(results_of(points))
    assert list(main_of(shares)) == ["l2.size_kib", "l1d.ways", "tlb.entries"]
    assert list(main_of(shares).values()) == pytest.approx([25 / 30, 4 / 30, 1 / 30])


def test_with_by_each_system_is_looked_at_for_itself() -> None:
    rows = grid(system=["native", "disco"], tlb__entries=[16, 32], l2__size_kib=[1, 2])
    points = [
        row | {"time_ms": float(row["tlb.entries" if row["system"] == "disco" else "l2.size_kib"])} for row in rows
    ]
    found = effects(results_of(points), by="system")
    assert [one.group for one in found] == [{"system": "disco"}, {"system": "native"}]
    assert [main_of(one.shares)["tlb.entries"] for one in found if one.shares] == pytest.approx([1, 0])


def test_keys_that_go_together_are_one_parameter() -> None:
    rows = [
        {"l1i.size_kib": size, "l1d.size_kib": size // 2, "tlb.entries": entries, "time_ms": size + entries / 1}
        for size in (16, 32)
        for entries in (1, 2)
    ]
    found, shares = only(results_of(rows, zipped=[["l1i.size_kib", "l1d.size_kib"]]))
    assert found.method == EXACT
    assert list(main_of(shares)) == ["l1i.size_kib, l1d.size_kib", "tlb.entries"]
    assert [level.value for level in shares.main[0].levels] == [[16, 8], [32, 16]]


def test_a_figure_that_never_changes_has_no_shares() -> None:
    times = (0.3, 0.1 + 0.2, 0.3)  # but for rounding
    (found,) = effects(results_of([{"tlb.entries": place, "time_ms": time} for place, time in enumerate(times)]))
    assert (found.shares, found.deviation) == (None, pytest.approx(0))


def drawn(count: int, seed: int = 3) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "system": draw.choice(["native", "disco", "splashos"]),
            "memory.remote_ns": draw.uniform(300, 900),
            "cpu.mhz": draw.uniform(100, 400),
            "disks.count": draw.randint(1, 4),
        }
        for _ in range(count)
    ]


def test_drawn_points_of_a_sum_are_explained_whole() -> None:
    """Time is a sum over independent parameters, so that shares are their variances'; disks do nothing."""
    offset = {"native": 0.0, "disco": 100.0, "splashos": 50.0}
    points = [
        row | {"time_ms": offset[row["system"]] + row["memory.remote_ns"] + (row["cpu.mhz"] - 200) ** 2 / 100}
        for row in drawn(4000)
    ]
    found, shares = only(results_of(points))
    assert found.method == FITTED
    assert shares.rest == pytest.approx(0, abs=1e-9)
    variances = {"system": 5000 / 3, "memory.remote_ns": 600**2 / 12, "cpu.mhz": 0.0}
    squares = [(mhz - 200) ** 2 / 100 for mhz in range(100, 401)]
    variances["cpu.mhz"] = fmean(one**2 for one in squares) - fmean(squares) ** 2
    total = sum(variances.values())
    for name, variance in variances.items():
        assert main_of(shares)[name] == pytest.approx(variance / total, abs=0.04), name
    assert main_of(shares)["disks.count"] == pytest.approx(0, abs=1e-9)
    assert all(share == pytest.approx(0, abs=1e-9) for share in together_of(shares).values())
    by_system = {level.value: level.mean for one in shares.main if one.name == "system" for level in one.levels}
    assert by_system["disco"] - by_system["native"] == pytest.approx(100)


def test_a_product_is_an_interaction() -> None:
    points = [row | {"time_ms": (row["memory.remote_ns"] - 600) * (row["cpu.mhz"] - 250)} for row in drawn(2000)]
    _, shares = only(results_of(points))
    assert together_of(shares)[frozenset(["memory.remote_ns", "cpu.mhz"])] == pytest.approx(1, abs=0.02)
    assert max(main_of(shares).values()) < 0.02


def test_what_the_model_cannot_follow_is_left() -> None:
    draw = random.Random(5)
    _, shares = only(results_of([row | {"time_ms": draw.gauss(9, 1)} for row in drawn(4000)]))
    assert 0.98 < shares.rest < 1


def test_a_grid_with_a_hole_is_fitted_and_close_to_the_whole_grid() -> None:
    rows = grid(tlb__entries=[16, 32, 64], l2__size_kib=[256, 512, 1024], system=["native", "disco"])
    points = [
        row | {"time_ms": 3.0 * math.log2(row["tlb.entries"]) + 2 * math.log2(row["l2.size_kib"])} for row in rows
    ]
    _, whole = only(results_of(points))
    points[4] |= {"status": "impossible", "time_ms": None}
    found, shares = only(results_of(points))
    assert (found.method, found.points) == (FITTED, 17)
    assert main_of(shares) == pytest.approx(main_of(whole), abs=0.08)


def test_with_few_points_interactions_are_left_out_and_with_fewer_nothing_is_said() -> None:
    points = [row | {"time_ms": row["memory.remote_ns"]} for row in drawn(25)]
    _, shares = only(results_of(points))
    assert shares.interactions == []
    assert main_of(shares)["memory.remote_ns"] == pytest.approx(1, abs=0.35)
    assert shares.rest == pytest.approx(0, abs=1e-9)
    with pytest.raises(ConfigError, match="10 points are too few to tell 4 parameters apart, 18 are needed"):
        effects(results_of(points[:10]))


def test_many_levels_are_told_from_the_first_to_the_last() -> None:
    points = [row | {"time_ms": row["memory.remote_ns"]} for row in drawn(200)]
    _, shares = only(results_of(points))
    levels = shares.main[0].levels
    values = [row["memory.remote_ns"] for row in points]
    assert (len(levels), levels[0].value, levels[-1].value) == (10, min(values), max(values))
    assert levels[-1].mean - levels[0].mean == pytest.approx(max(values) - min(values))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"tlb.entries": 1, "time_ms": 1.0}], {}, "sweep: no parameter varies$"),
        (grid(system=["a", "b"], time_ms=[1.0]), {"by": "system"}, "no parameter varies at system=a"),
        (grid(tlb__entries=[1, 2], time_ms=[1.0]), {"of": "entries"}, "tlb.entries is a parameter"),
        (grid(tlb__entries=[1, 2], time_ms=[1.0]), {"of": "sped"}, "there is no column sped"),
        (grid(tlb__entries=[1, 2], time_ms=[1.0]), {"by": "sped"}, "there is no column sped"),
    ],
)
def test_what_cannot_be_answered_is_said(rows: list[dict[str, Any]], options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        effects(results_of(rows), **options)


def test_without_a_point_there_is_nothing_to_explain() -> None:
    failed = [{"tlb.entries": entries, "time_ms": 1.0, "status": "failed"} for entries in (1, 2)]
    with pytest.raises(CheckFailedError, match="no point is done that has time_ms"):
        effects(results_of(failed))
