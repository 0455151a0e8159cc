"""The printers of outcomes."""

import io
import json
from typing import Any

from rich.console import Console

from discotrace.analysis.configuration import load
from discotrace.analysis.counts_file import CountsFile, join_systems
from discotrace.analysis.labels import ACTION_LABELS, IO_LABELS, LEFT_ALONE_LABELS, PART_LABELS, RATE_LABELS
from discotrace.analysis.outcome import ACTIONS, Outcome
from discotrace.analysis.pricing import ALL_PARTS
from discotrace.analysis.report import json_of, outcomes, slowdown, tables_of
from discotrace.replay.counts import EVENT_NAMES
from tests.unit.analysis.frames import Row, counts_table

ABOUT: dict[str, Any] = {
    "format_version": 2,
    "discotrace": "0.1.0",
    "command": "discotrace replay t",
    "trace": {"name": "[x].parquet", "rows": 1234567},
    "instances": 1,
    "cpus": 1,
    "systems": ["native", "disco"],
    "window_instructions": 1000,
    "configuration": load("flash", ["cpu.count=1"]).to_tables(),
    "crash": None,
    "losses": {},
}


def counts(native: list[Row], disco: list[Row], **about: Any) -> CountsFile:
    tables = {"native": counts_table(*native), "disco": counts_table(*disco)}
    return CountsFile(join_systems(tables), ABOUT | about)


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
    assert tuple(PART_LABELS) == ALL_PARTS
    assert list(RATE_LABELS) == list(outcomes(TWO)[0].rates)
    assert tuple(ACTION_LABELS) == ACTIONS
    assert {*IO_LABELS, *LEFT_ALONE_LABELS} <= set(EVENT_NAMES)


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


def test_text__actions_are_there_when_a_system_has_some() -> None:
    moved = counts([(0, 0, "user", "instructions", 400)], [(0, 0, "user", "migrations", 2)])
    row = next(line for line in printed(moved, services=False).splitlines() if "migrations" in line)
    assert "14,925 (14,925)" in row, "2 in 134 us, on one CPU"
    assert "0 (0)" in row
    assert "migrations" not in printed(TWO, services=False)


def test_text__pages_left_alone_and_disks_are_counted() -> None:
    some = counts([(0, 0, "user", "disk_reads", 1234)], [(0, 0, "user", "hot_left_capped", 5)])
    text = printed(some, services=False)
    assert "1,234" in next(line for line in text.splitlines() if "disk reads asked" in line)
    assert "5" in next(line for line in text.splitlines() if "moved too often" in line)
    assert "NFS" not in text


LOSS = {"vm": 1, "rows": 1000, "processes": [3, 4], "frames_reclaimed": 12, "frames_surviving": 5}


def test_text__says_what_a_crash_cost_under_each_system() -> None:
    crashed = counts([], [], crash={"vm": 1, "row": 2000}, losses={"native": LOSS | {"rows": 7000}, "disco": LOSS})
    text = printed(crashed, services=False)
    assert "Lost in the crash at row 2,000" in text
    died = next(line for line in text.splitlines() if "│ died" in line)
    assert died.index("machine") < died.index("VM 1")
    row = next(line for line in text.splitlines() if "rows not executed" in line)
    assert row.index("7,000") < row.index("1,000")


def test_text__without_a_loss_there_is_no_table_of_it() -> None:
    assert "Lost" not in printed(counts([], [], crash={"vm": 0, "row": 10}), services=False)


def test_json__each_system_has_its_loss() -> None:
    crashed = counts([], [], crash={"vm": 1, "row": 2000}, losses={"native": LOSS, "disco": LOSS | {"rows": 3}})
    assert [result["loss"]["rows"] for result in json_of(crashed, outcomes(crashed))["results"]] == [1000, 3]
    assert [result["loss"] for result in json_of(TWO, outcomes(TWO))["results"]] == [None, None]


def test_json__can_be_written_and_carries_what_the_counts_carry() -> None:
    tree = json.loads(json.dumps(json_of(TWO, outcomes(TWO))))
    assert "format_version" not in tree
    carried = set(ABOUT) - {"format_version", "losses"}
    assert {key: tree[key] for key in carried} == {key: ABOUT[key] for key in carried}
    assert [result["slowdown"] for result in tree["results"]] == [1, 2]
