"""Answers as text."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from discotrace.analysis.answers.best import best
from discotrace.analysis.answers.diff import diff
from discotrace.analysis.answers.effects import effects
from discotrace.analysis.answers.tables import (
    best_table,
    broken_lines,
    effects_table,
    extremes_of,
    levels_table,
    method_of,
    missing_lines,
)
from tests.unit.analysis.answers.making import grid, results_of


def text_of(table: Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("time", "text"),
    [(0.0, "0"), (0.0012345, "0.001234"), (1.23456, "1.235"), (123.456, "123.5"), (98765.4, "98,765"), (None, "-")],
)
def test_figures_have_four_digits(time: float | None, text: str) -> None:
    rows = [{"trace": f"a/{name}", "tlb.entries": 1, "idle_ms": time} for name in ("x", "[y]")]
    told = text_of(best_table(best(results_of(rows), minimize="time", subject_to=["idle == idle or time == 1"])))
    assert text in [cell.strip() for cell in told.splitlines()[3].split("│")]
    assert "[y]" in told
    assert "a/" not in told


def test_many_levels_and_small_interactions_are_cut_short() -> None:
    rows = grid(tlb__entries=range(1, 101), l2__ways=[1, 2], l1d__ways=[1, 2])
    points = [row | {"time_ms": float(row["tlb.entries"] * (1 + row["l2.ways"]) + row["l1d.ways"])} for row in rows]
    (found,) = effects(results_of(points))
    told = text_of(effects_table(found))
    assert "tlb.entries x l2.ways" in told
    assert "other interactions: 2" in told
    levels = text_of(levels_table(found))
    (line,) = [line for line in levels.splitlines() if "tlb.entries" in line]
    assert line.count(": ") == 10
    assert "1: 4.000" in line


def test_the_method_is_told() -> None:
    (constant,) = effects(results_of([{"tlb.entries": 1}, {"tlb.entries": 2}, {"tlb.entries": 3}]))
    assert "the same at all points" in text_of(effects_table(constant))
    points = [{"tlb.entries": 2**n, "l2.ways": n % 3, "time_ms": float(n)} for n in range(11)]
    (few,) = effects(results_of(points))
    assert method_of(few).startswith("approximate: combinations are missing; least squares explain ")
    assert method_of(few).endswith("; too few points to tell interactions")


def test_points_of_a_difference_are_told_with_what_they_are() -> None:
    rows = [{"tlb.entries": entries, "idle_ms": 0.0, "time_ms": 10.0} for entries in range(1, 14)]
    changed = [row | {"idle_ms": 1.0, "time_ms": 10.0 + row["tlb.entries"]} for row in rows[:12]]
    changed[0] |= {"time_ms": None}
    changed.append({"tlb.entries": 99, "idle_ms": 0.0})
    found = diff(results_of(rows), results_of(changed), of="idle,time", fail_if=["time>+5%"])
    assert extremes_of(found.changes[0]) == ["idle_ms: largest rise 0 -> 1.000 at system=native, tlb.entries=1"]
    assert extremes_of(found.changes[1]) == [
        "time_ms: largest rise 10.00 -> 22.00 (+120.00 %) at system=native, tlb.entries=12"
    ]
    lines = broken_lines(found)
    assert lines[0] == "time>+5% at 12 of 12 points:"
    assert lines[1] == "  10.00 -> nothing at system=native, tlb.entries=1"
    assert lines[2] == "  10.00 -> 22.00 (+120.00 %) at system=native, tlb.entries=12"
    assert lines[11:] == ["  and 2 more"]
    assert missing_lines(found) == [
        "in A alone: system=native, tlb.entries=13",
        "in B alone: system=native, tlb.entries=99",
    ]
