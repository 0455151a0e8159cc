"""What differs between two sweeps."""

from typing import Any

import pytest

from discotrace.analysis.answers.diff import MAIN_FIGURES, diff
from discotrace.analysis.answers.results import Results
from discotrace.tracegen.errors import ConfigError
from tests.unit.analysis.answers.making import TRACE, grid, results_of

A = [row | {"time_ms": 100.0, "slowdown": 1.0, "idle_ms": 0.0} for row in grid(tlb__entries=[16, 32, 64, 128])]


def second(*times: float | None, **sweep: Any) -> Results:
    """The same points with other times."""
    rows = [row | {"time_ms": time} for row, time in zip(A, times, strict=False)]
    return results_of(rows, source="B", **sweep)


FIRST = results_of(A, source="A")


def test_the_changes_of_matched_points() -> None:
    """Changes 0, +10, -50, +100 %: median +5 %; geometric mean of 1, 1.1, 0.5, 2 = 1.1 ** 0.25."""
    found = diff(FIRST, second(100, 110, 50, 200))
    time = found.changes[0]
    assert (time.figure, time.points, time.unchanged) == ("time_ms", 4, 1)
    assert time.median_percent == pytest.approx(5)
    assert time.mean_percent == pytest.approx(100 * (1.1**0.25 - 1))
    assert time.rise is not None
    assert time.fall is not None
    assert time.rise.point == {"system": "native", "tlb.entries": 128}
    assert (time.rise.before, time.rise.after, time.rise.percent) == (100, 200, 100)
    assert (time.fall.point["tlb.entries"], time.fall.percent) == (64, -50)
    assert [one.figure for one in found.changes] == list(MAIN_FIGURES)
    assert (found.faults, found.remarks) == ([], [])


def test_equal_sweeps_have_no_extremes() -> None:
    time = diff(FIRST, FIRST).changes[0]
    assert (time.unchanged, time.median_percent, time.mean_percent, time.rise, time.fall) == (4, 0, 0, None, None)


def test_from_nothing_a_change_has_no_percentage() -> None:
    other = results_of([row | {"idle_ms": idle} for row, idle in zip(A, (0.0, 1.0, 2.0, 3.0), strict=True)])
    (idle,) = diff(FIRST, other, of="idle").changes
    assert idle.rise is not None
    assert (idle.unchanged, idle.median_percent, idle.mean_percent, idle.rise.percent) == (1, None, None, None)
    assert diff(FIRST, other, of="idle", fail_if=["idle>+1000%"]).faults == ["idle>+1000%: at 3 points"]


@pytest.mark.parametrize(
    ("limit", "broken"),
    [
        ("time>+2%", [128, 32]),
        ("time>2%", [128, 32]),
        ("time > +10 %", [128]),
        ("time>+100%", []),
        ("time_ms<-1%", [64]),
        ("time<-50%", []),
        ("time>+9.5", [128, 32]),
        ("time<-1e1", [64]),
        ("time<+.5", [64, 16]),
        ("time>-60", [128, 32, 16, 64]),
        ("slowdown>+0.1", []),
    ],
)
def test_a_limit_is_broken_by_the_points_beyond_it_worst_first(limit: str, broken: list[int]) -> None:
    found = diff(FIRST, second(100, 110, 50, 200), fail_if=[limit])
    assert [entries for one in found.broken for entries in one.points["tlb.entries"]] == broken
    assert found.faults == ([f"{limit}: at {len(broken)} points"] if broken else [])


@pytest.mark.parametrize("limit", ["time", "time>", "time>=2", "time>+-2", "time>2%%", ">2", "time>x", "a.b.c>1", ""])
def test_what_is_no_limit_is_said(limit: str) -> None:
    with pytest.raises(ConfigError):
        diff(FIRST, FIRST, fail_if=[limit])


def test_points_that_are_missing_fail_a_check_unless_allowed() -> None:
    some = second(100, 100)
    found = diff(FIRST, some)
    assert (found.matched.both.height, found.faults) == (2, [])
    assert found.matched.missing["tlb.entries"].to_list() == [64, 128]
    assert diff(FIRST, some, fail_if=["time>1%"]).faults == ["B lacks 2 points of A"]
    assert diff(FIRST, some, fail_if=["time>1%"], allow_missing=True).faults == []
    assert diff(some, FIRST, fail_if=["time>1%"]).faults == []
    assert diff(some, FIRST).matched.added["tlb.entries"].to_list() == [64, 128]


def test_points_that_failed_are_missing() -> None:
    other = results_of([*A[:3], A[3] | {"time_ms": None, "status": "failed"}], source="B")
    found = diff(FIRST, other, fail_if=["time>1%"])
    assert found.faults == ["B lacks 1 points of A"]
    assert found.remarks == ["B: points that are left out: 1 failed"]


def test_a_figure_that_is_missing_breaks_its_limit() -> None:
    other = results_of([*A[:3], A[3] | {"slowdown": None}], source="B")
    found = diff(FIRST, other, fail_if=["slowdown>1%"])
    assert found.faults == ["slowdown>1%: at 1 points"]
    assert found.changes[1].points == 3


def test_a_check_without_a_common_point_fails() -> None:
    other = results_of([row | {"tlb.entries": row["tlb.entries"] + 1} for row in A])
    assert diff(FIRST, other).matched.both.height == 0
    assert diff(FIRST, other).changes[0].median_percent is None
    for allowed in (True, False):
        found = diff(FIRST, other, fail_if=["time>1%"], allow_missing=allowed)
        assert found.faults == ["no point of one is a point of the other"]


def test_a_key_of_one_sweep_is_ignored_if_it_never_changes() -> None:
    other = results_of([row | {"l2.size_kib": 512} for row in A], source="B")
    for pair in ((FIRST, other), (other, FIRST)):
        found = diff(*pair)
        assert found.matched.both.height == 4
        assert found.remarks == ["l2.size_kib is in one of them alone, always 512: ignored"]
    varying = results_of([row | {"l2.size_kib": size} for row in A for size in (256, 512)], source="B")
    for pair in ((FIRST, varying), (varying, FIRST)):
        with pytest.raises(ConfigError, match=r"^l2\.size_kib varies in B and is no column of A: sweep the same keys"):
            diff(*pair)


def test_whole_numbers_match_others_and_texts_do_not() -> None:
    other = results_of([row | {"tlb.entries": float(row["tlb.entries"])} for row in A])
    for pair in ((FIRST, other), (other, FIRST)):
        assert diff(*pair).matched.both.height == 4
    with pytest.raises(ConfigError, match=r"tlb\.entries is 16 in one sweep and '16' in the other"):
        diff(FIRST, results_of([row | {"tlb.entries": str(row["tlb.entries"])} for row in A]))


def of_traces(*names: str) -> Results:
    return results_of([{"trace": name, "tlb.entries": 16, "time_ms": 1.0} for name in names])


def test_a_single_trace_may_have_any_name_and_several_match_by_their_files() -> None:
    assert diff(of_traces("a/x"), of_traces("b/y")).matched.both.height == 1
    found = diff(of_traces("a/x", "a/y"), of_traces("b/y", "b/z"))
    assert found.matched.both["trace"].to_list() == ["y"]
    assert diff(of_traces("a/x", "b/x"), of_traces("a/x", "b/x")).matched.both["trace"].to_list() == ["a/x", "b/x"]


def test_what_else_differs_is_remarked() -> None:
    axes = [{"key": "memory.local_ns", "values": [300]}, {"key": "cpu.mhz", "values": {"low": 1, "high": 2}}]
    other = second(
        100, 100, 100, 100, machine="uma", window=5, axes=axes, traces=[TRACE | {"footer_sha256": "cd"}], points=9
    )
    changed = Results("B", other.rows, {**other.about, "sources": "t", "discotrace": "0.2.0"}, complete=False)
    assert diff(FIRST, changed).remarks == [
        "B: 4 of 9 points so far",
        "made by different code: A and B (version 0.1.0, 0.2.0)",
        "different traces of the name t.parquet",
        "machine is flash in A, uma in B",
        "window is 1000 in A, 5 in B",
        "memory.local_ns is as in the machine file in A, 300 in B",
    ]
    renamed = second(100, 100, 100, 100, traces=[TRACE | {"name": "u.parquet"}])
    assert diff(FIRST, renamed).remarks == ["different traces: t.parquet, u.parquet"]


@pytest.mark.parametrize(("of", "message"), [("system", "system is no number"), ("sped", "there is no column sped")])
def test_figures_must_be_there(of: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        diff(FIRST, FIRST, of=of)
