"""``replay``: what it prints, what it writes, and that the numbers fit together."""

import contextlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from discotrace.analysis.counts_file import COLUMNS
from discotrace.tracegen.schema import Kind, TraceMeta, rows_from_records
from discotrace.tracegen.writer import write_trace
from tests.cli.running import META, USER, raw_trace, run, sample_trace

RESULT_KEYS = {
    "system",
    "cpus",
    "time_ms",
    "slowdown",
    "parts_ms",
    "kernel_percent",
    "monitor_percent",
    "remote_miss_ratio",
    "memory_busy_ratio",
    "stalls_ms",
    "rates",
    "actions_per_second",
    "actions_per_second_by_cpu",
    "loss",
    "totals",
    "services",
}
KEYS = {
    "schema",
    "discotrace",
    "command",
    "trace",
    "instances",
    "jobs",
    "runs_on",
    "crash",
    "remarks",
    "cpus",
    "systems",
    "window_instructions",
    "configuration",
    "results",
}
UNITS = ("_ms", "_percent", "_ratio", "_per_kilo_instruction", "_us")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sample_trace(tmp_path_factory.mktemp("traces") / "sample.parquet")


def answer(*arguments: str) -> dict[str, Any]:
    """What ``--json`` prints."""
    ended = run(*arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    tree: dict[str, Any] = json.loads(ended.out)
    return tree


@pytest.fixture(scope="module")
def tree(sample: str) -> dict[str, Any]:
    return answer("replay", sample, "--window", "50000")


def test_text_has_a_column_for_each_system(sample: str) -> None:
    ended = run("replay", sample)
    assert ended.code == 0
    heading = next(line for line in ended.out.splitlines() if "native" in line)
    assert "disco" in heading
    for label in ("execution time, ms", "slowdown against native", "kernel overhead, %", "remote-miss ratio", "idle"):
        assert label in ended.out


def test_text_of_one_system_has_no_other(sample: str) -> None:
    assert "native" not in run("replay", sample, "--system", "disco").out


def test_a_system_named_twice_is_replayed_once(sample: str) -> None:
    assert answer("replay", sample, "-s", "disco, native,disco")["systems"] == ["disco", "native"]


def test_services_are_a_table_of_their_own(sample: str) -> None:
    without, with_services = run("replay", sample).out, run("replay", sample, "--services").out
    assert "demand_zero" not in without
    assert "demand_zero" in with_services
    assert "utlb_miss" in with_services


def test_a_service_that_takes_no_time_has_no_slowdown(sample: str) -> None:
    """Its entry alone costs nothing, so there is nothing to divide by."""
    path = Path(sample).with_name("empty service.parquet")
    raw_trace(path, [(0, 1, Kind.ENTER, 0, 0, 16), (0, 1, Kind.EXIT, 0, 0, 16)])
    ended = run("replay", str(path), "--services")
    assert ended.code == 0
    assert next(line for line in ended.out.splitlines() if "page_in" in line).rstrip(" │").endswith("-")


def test_a_name_with_brackets_is_printed_as_it_is(tmp_path: Path) -> None:
    assert "a[bold]b.parquet" in run("replay", sample_trace(tmp_path / "a[bold]b.parquet", steps=3)).out


def test_outside_a_terminal_there_are_neither_colours_nor_remarks(sample: str, tmp_path: Path) -> None:
    ended = run("replay", sample, "-o", str(tmp_path / "c.parquet"))
    assert "\x1b" not in ended.out
    assert ended.err == ""


def shown_on_a_terminal(command: list[str]) -> bytes:
    """What a command writes to standard error if that is a terminal, read while it runs so that it never waits."""
    ours, theirs = os.openpty()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says EIO when the last writer is gone
        while piece := os.read(ours, 4096):
            shown += piece
    os.close(ours)
    assert child.wait() == 0
    return shown


def test_on_a_terminal_quiet_says_nothing(sample: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "discotrace", "replay", sample, "-o"]
    assert b"price it again" in shown_on_a_terminal([*command, str(tmp_path / "spoken")])
    assert shown_on_a_terminal([*command, str(tmp_path / "quiet"), "--quiet"]) == b""


def test_json_has_stable_keys(tree: dict[str, Any]) -> None:
    assert set(tree) == KEYS
    assert tree["schema"] == 3
    assert [result["system"] for result in tree["results"]] == ["native", "disco"]
    for result in tree["results"]:
        assert set(result) == RESULT_KEYS
        assert set(result["services"][0]) == {"service", "entries", "kernel_us", "monitor_us"}


def test_names_of_fractions_end_in_a_unit(tree: dict[str, Any]) -> None:
    for result in tree["results"]:
        for name, value in (*result.items(), *result["rates"].items()):
            if isinstance(value, float) and name != "slowdown":  # which has none
                assert name.endswith(UNITS), name


def test_json_says_what_was_replayed(tree: dict[str, Any], sample: str) -> None:
    assert tree["trace"]["name"] == "sample.parquet"
    assert tree["trace"]["bytes"] == Path(sample).stat().st_size
    assert tree["cpus"] == tree["configuration"]["cpu"]["count"] == 2
    assert tree["window_instructions"] == 50_000
    assert shlex.split(tree["command"]) == ["discotrace", "replay", sample, "--window", "50000", "--json"]


def test_the_command_can_be_pasted_when_names_have_blanks(tmp_path: Path) -> None:
    path = sample_trace(tmp_path / "my trace.parquet", steps=3)
    assert shlex.split(answer("replay", path)["command"])[2] == path


def test_parts_add_up_to_the_time(tree: dict[str, Any]) -> None:
    for result in tree["results"]:
        assert sum(result["parts_ms"].values()) == pytest.approx(result["time_ms"], rel=1e-12)


def test_overheads_are_shares_of_the_parts(tree: dict[str, Any]) -> None:
    for result in tree["results"]:
        parts = result["parts_ms"]
        monitor = sum(ms for part, ms in parts.items() if part.startswith("monitor"))
        kernel = parts["kernel"] + parts["kernel_stall"]
        assert result["monitor_percent"] == pytest.approx(100 * monitor / result["time_ms"])
        assert result["kernel_percent"] == pytest.approx(100 * kernel / result["time_ms"])


def test_the_first_system_is_the_measure(tree: dict[str, Any]) -> None:
    first, second = tree["results"]
    assert first["slowdown"] == 1
    assert second["slowdown"] == second["time_ms"] / first["time_ms"]


def test_natively_there_is_no_monitor(tree: dict[str, Any]) -> None:
    native, disco = tree["results"]
    assert native["monitor_percent"] == 0
    assert disco["monitor_percent"] > 0


def test_totals_fit_the_trace(tree: dict[str, Any], sample: str) -> None:
    kinds = pq.read_table(sample)["kind"].to_pylist()
    for result in tree["results"]:
        assert result["totals"]["load_rows"] == kinds.count(Kind.LOAD)
        assert result["totals"]["fetch_rows"] == kinds.count(Kind.FETCH)


def test_the_same_command_prints_the_same_bytes(sample: str) -> None:
    assert run("replay", sample, "--json").out == run("replay", sample, "--json").out


def test_set_changes_the_machine(sample: str) -> None:
    small, large = (answer("replay", sample, "--set", f"tlb.entries={entries}") for entries in (16, 512))
    assert small["configuration"]["tlb"]["entries"] == 16
    for few, many in zip(small["results"], large["results"], strict=True):
        assert few["totals"]["tlb_misses"] > many["totals"]["tlb_misses"]


def test_the_last_change_of_a_key_holds(sample: str) -> None:
    tree = answer("replay", sample, "--set", "tlb.entries=16", "--set", "tlb.entries=32")
    assert tree["configuration"]["tlb"]["entries"] == 32


def test_more_virtual_cpus_than_cpus_share_them(sample: str) -> None:
    tree = answer("replay", sample, "--set", "cpu.count=1")
    assert tree["cpus"] == 1
    assert all(result["totals"]["vcpu_switches"] > 0 for result in tree["results"])


def test_on_one_cpu_nobody_idles(sample: str) -> None:
    """But for disks, which are left out here."""
    for result in answer("replay", sample, "--set", "cpu.count=1", "--set", "disks.jobs_per_cpu=0")["results"]:
        assert result["parts_ms"]["idle"] == 0


def test_a_trace_without_rows_takes_no_time(tmp_path: Path) -> None:
    write_trace(tmp_path / "t.parquet", TraceMeta(1), rows_from_records([]))
    path, target = str(tmp_path / "t.parquet"), str(tmp_path / "c.parquet")
    assert [result["time_ms"] for result in answer("replay", path, "-o", target)["results"]] == [0, 0]
    assert run("replay", path, "--services").code == 0
    assert run("price", target).code == 0


def test_the_output_has_tidy_rows_of_both_systems(sample: str, tmp_path: Path) -> None:
    assert run("replay", sample, "-o", str(tmp_path / "c.parquet")).code == 0
    table = pq.read_table(tmp_path / "c.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert set(table["system"].to_pylist()) == {"native", "disco"}
    assert min(table["count"].to_pylist()) > 0


def test_a_relative_output_needs_no_directory(sample: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("replay", sample, "-o", "c.parquet").code == 0
    assert (tmp_path / "c.parquet").exists()


def test_a_url_names_a_trace_too(sample: str) -> None:
    assert answer("replay", f"file://{sample}")["results"] == answer("replay", sample)["results"]


def test_windows_do_not_change_totals(sample: str) -> None:
    trees = [answer("replay", sample, "--window", str(window)) for window in (1000, 10**9)]
    for one, other in zip(*(tree["results"] for tree in trees), strict=True):
        assert one["totals"] == other["totals"]


def test_row_groups_do_not_matter(tmp_path: Path) -> None:
    records = [(step % 2, step % 2 + 1, Kind.LOAD, USER + 64 * step, 8, 0) for step in range(500)]
    write_trace(tmp_path / "one.parquet", META, rows_from_records(records))
    raw_trace(tmp_path / "many.parquet", records)
    one, many = (answer("replay", str(tmp_path / name)) for name in ("one.parquet", "many.parquet"))
    assert one["results"] == many["results"]
