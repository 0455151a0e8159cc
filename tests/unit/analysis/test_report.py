"""The printers of outcomes."""

import io
import json
from typing import Any

from rich.console import Console

from discotrace.analysis.configuration import load
from discotrace.analysis.counts_file import CountsFile, join_systems
from discotrace.analysis.outcome import Outcome
from discotrace.analysis.pricing import IDLE_PART, PARTS
from discotrace.analysis.report import PART_LABELS, RATE_LABELS, json_of, outcomes, slowdown, tables_of
from tests.unit.analysis.frames import Row, counts_table

ABOUT: dict[str, Any] = {
    "format_version": 1,
    "discotrace": "0.1.0",
    "command": "discotrace replay t",
    "trace": {"name": "[x].parquet", "rows": 1234567},
    "cpus": 1,
    "systems": ["native", "disco"],
    "window_instructions": 1000,
    "configuration": load("flash").to_tables(),
}


def counts(native: list[Row], disco: list[Row]) -> CountsFile:
    return CountsFile(join_systems({"native": counts_table(*native), "disco": counts_table(*disco)}), ABOUT)


def printed(of: CountsFile, services: bool) -> str:
    console = Console(file=io.StringIO(), width=120)
    for table in tables_of(of, outcomes(of), services):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


TWO = counts(
    [(0, 0, "user", "instructions", 100), (0, 0, "kernel:open", "service_entries", 1)],
    [(0, 0, "user", "instructions", 150), (0, 0, "kernel:open", "privileged_patched", 50)],
)


def test_every_part_and_every_rate_has_a_label() -> None:
    assert set(PART_LABELS) == {*PARTS, IDLE_PART}
    assert list(RATE_LABELS) == list(outcomes(TWO)[0].rates)


def test_systems_come_in_the_order_that_was_asked_for() -> None:
    assert [one.system for one in outcomes(TWO)] == ["native", "disco"]


def test_slowdown__is_relative_to_the_first() -> None:
    native, disco = outcomes(TWO)
    assert (slowdown(native, native), slowdown(disco, native)) == (1, 2)


def test_slowdown__against_no_time_is_0() -> None:
    nothing: Outcome = outcomes(counts([], []))[0]
    assert slowdown(nothing, nothing) == 0


def test_text__names_the_trace_as_it_is() -> None:
    assert "[x].parquet: 1,234,567 records on 1 CPUs" in printed(TWO, services=False)


def test_text__parts_that_nobody_has_are_left_out() -> None:
    text = printed(TWO, services=False)
    assert "privileged emulated" in text
    assert "user stall" not in text
    assert "idle" not in text


def test_text__a_service_that_only_the_first_system_has_shows_a_dash() -> None:
    row = next(line for line in printed(TWO, services=True).splitlines() if line.startswith("│ open"))
    assert row.count("-") == 2


def test_json__can_be_written_and_carries_what_the_counts_carry() -> None:
    tree = json.loads(json.dumps(json_of(TWO, outcomes(TWO))))
    assert "format_version" not in tree
    assert {key: tree[key] for key in ABOUT if key != "format_version"} == {
        key: value for key, value in ABOUT.items() if key != "format_version"
    }
    assert [result["slowdown"] for result in tree["results"]] == [1, 2]
