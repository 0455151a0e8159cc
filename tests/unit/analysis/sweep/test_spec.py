"""What a sweep is."""

from pathlib import Path
from typing import Any

import pytest

from discotrace.analysis.sweep.spec import Axis, Design, parse_changes, read_file, spec_of
from discotrace.analysis.sweep.values import Interval
from discotrace.tracegen.errors import ConfigError


def test_without_more_a_sweep_is_a_trace_under_native_and_disco() -> None:
    spec = spec_of({"traces": ["a.parquet"]})
    assert (spec.traces, spec.systems, spec.machine) == (("a.parquet",), ("native", "disco"), "flash")
    assert spec.dimensions == []


def test_lists_may_be_texts() -> None:
    spec = spec_of({"traces": "a, b", "systems": "disco,native,disco", "where": "vm.count > 1"})
    assert (spec.traces, spec.systems, spec.where) == (("a", "b"), ("disco", "native"), ("vm.count > 1",))


def test_values_come_as_text_or_as_they_are() -> None:
    given = {"tlb.entries": [16, "32:64:x2"], "l2.size_kib": "256,512", "vm": {"count": 2, "nfs": [True, False]}}
    spec = spec_of({"traces": ["a"], "set": given})
    assert [(one.key, one.values) for one in spec.axes] == [
        ("tlb.entries", [16, 32, 64]),
        ("l2.size_kib", [256, 512]),
        ("vm.count", [2]),
        ("vm.nfs", [True, False]),
    ]


def test_a_key_with_one_value_does_not_vary() -> None:
    spec = spec_of({"traces": ["a"], "set": {"tlb.entries": [16, 32], "cpu.clock_mhz": 400}})
    assert spec.fixed == {"cpu.clock_mhz": 400}
    assert [[axis.key for axis in group] for group in spec.dimensions] == [["tlb.entries"]]


def test_keys_that_go_together_are_one_dimension() -> None:
    given = {"l1i.size_kib": [16, 32], "tlb.entries": [16, 32], "l1d.size_kib": [16, 32]}
    spec = spec_of({"traces": ["a"], "set": given, "zip": ["l1i.size_kib,l1d.size_kib"]})
    assert [[axis.key for axis in group] for group in spec.dimensions] == [
        ["l1i.size_kib", "l1d.size_kib"],
        ["tlb.entries"],
    ]


@pytest.mark.parametrize("kind", ["random", "lhs"])
def test_points_may_be_drawn(kind: str) -> None:
    spec = spec_of({"traces": ["a"], "set": {"memory.remote_ns": "300:1800"}, kind: 7, "seed": 3})
    assert spec.design == Design(kind, 7, 3)
    assert spec.axes == (Axis("memory.remote_ns", Interval(300, 1800, False, True)),)


def test_a_key_is_a_price_or_structural() -> None:
    assert Axis("memory.remote_ns", [1]).is_price
    assert not Axis("l2.size_kib", [1]).is_price


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "no trace"),
        ({"traces": ["a"], "systems": []}, "no system"),
        ({"traces": ["a"], "trace": "b"}, "unknown entry trace; did you mean traces"),
        ({"traces": 7}, "traces is 7, expected a list or a text"),
        ({"traces": [7]}, "7 is no name"),
        ({"traces": ["a"], "window": True}, "window is True, expected a whole number"),
        ({"traces": ["a"], "window": 0}, "window is 0"),
        ({"traces": ["a"], "seed": -1}, "seed is -1"),
        ({"traces": ["a"], "random": 0}, "random is 0, expected at least 1"),
        ({"traces": ["a"], "random": 1, "lhs": 1}, "in one way or the other"),
        ({"traces": ["a"], "set": {"l2.size": [1]}}, "unknown key l2.size; did you mean l2.size_kib"),
        ({"traces": ["a"], "set": {"l3.size_kib": [1]}}, "unknown key l3.size_kib; known: cpu"),
        ({"traces": ["a"], "set": {"tlb": 1}}, "unknown key tlb"),
        ({"traces": ["a"], "set": {"l2.size_kib": []}}, "l2.size_kib: no value"),
        ({"traces": ["a"], "set": {"l2.size_kib": "256:512"}}, "is an interval: give a step"),
        ({"traces": ["a"], "set": {"l2.size_kib": [256, "256:512"]}}, "stands alone, not in a list"),
        ({"traces": ["a"], "zip": ["l2.size_kib"]}, "l2.size_kib has no values"),
        (
            {"traces": ["a"], "set": {"l1i.ways": [1, 2], "l1d.ways": [1, 2, 4]}, "zip": ["l1i.ways,l1d.ways"]},
            "l1i.ways has 2, l1d.ways has 3",
        ),
        ({"traces": ["a"], "set": {"l1i.ways": [1, 2]}, "zip": ["l1i.ways,l1i.ways"]}, "named twice"),
    ],
)
def test_what_does_not_hold_together_says_why(tree: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec_of(tree)


def test_changes_are_values_by_key() -> None:
    assert parse_changes(["tlb.entries=16,32", " l2.size_kib = 256 "]) == {
        "tlb.entries": "16,32",
        "l2.size_kib": "256",
    }
    with pytest.raises(ConfigError, match="given twice"):
        parse_changes(["tlb.entries=16", "tlb.entries=32"])
    for wrong in ("tlb.entries", "tlb.entries="):
        with pytest.raises(ConfigError, match="expected table"):
            parse_changes([wrong])


def test_a_file_has_the_same_entries(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'traces = ["t.parquet", "s3://b/t", "/t.parquet"]\nlhs = 5\n'
        '[set]\ntlb.entries = [16, 32]\n"memory.remote_ns" = "300:900"\n'
    )
    tree = read_file(str(path))
    assert tree["traces"] == [str(tmp_path / "t.parquet"), "s3://b/t", "/t.parquet"]
    assert tree["set"] == {"tlb.entries": [16, 32], "memory.remote_ns": "300:900"}
    assert spec_of(tree).design.count == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [("traces = [", "not valid TOML"), ("trace = 1", "unknown entry trace"), (None, "cannot be read")],
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "s.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=f"{path}.*{message}"):
        read_file(str(path))
