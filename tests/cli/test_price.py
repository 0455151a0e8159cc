"""``price``: the counts of a replay priced again, without another replay."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import run, sample_trace

SYSTEMS = 2


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Counts, and what the replay that wrote them printed as JSON. Nobody waits, so that prices act linearly."""
    folder = tmp_path_factory.mktemp("counts")
    trace, counts = sample_trace(folder / "t.parquet"), str(folder / "c.parquet")
    nobody_waits = [f"--set={price}=0" for price in ("memory.controller_ns", "memory.port_ns", "disks.jobs_per_cpu")]
    ended = run("replay", trace, "-o", counts, "--json", "--set", "cpu.count=1", *nobody_waits)
    assert ended.code == 0
    return counts, ended.out


@pytest.fixture(scope="module")
def counts(replayed: tuple[str, str]) -> str:
    return replayed[0]


def answer(*arguments: str) -> dict[str, Any]:
    ended = run("price", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    tree: dict[str, Any] = json.loads(ended.out)
    return tree


def times(*arguments: str) -> list[float]:
    return [result["time_ms"] for result in answer(*arguments)["results"]]


def test_without_changes_the_answer_is_that_of_the_replay(replayed: tuple[str, str]) -> None:
    counts, printed = replayed
    assert run("price", counts, "--json").out == printed


def test_text_is_that_of_the_replay_too(tmp_path: Path) -> None:
    trace, counts = sample_trace(tmp_path / "t.parquet", steps=50), str(tmp_path / "c.parquet")
    assert run("replay", trace, "-o", counts, "--services").out == run("price", counts, "--services").out


def test_a_price_changes_the_parts_that_it_is_in_and_nothing_else(counts: str) -> None:
    before, after = answer(counts), answer(counts, "--set", "memory.remote_ns=600")
    assert after["configuration"]["memory"]["remote_ns"] == 600
    after["configuration"]["memory"]["remote_ns"] = 900.0
    assert before["configuration"] == after["configuration"]
    for one, other in zip(before["results"], after["results"], strict=True):
        assert one["totals"] == other["totals"]
        assert one["rates"] == other["rates"]
        changed = {part for part, ms in one["parts_ms"].items() if abs(other["parts_ms"][part] - ms) > 1e-12}
        assert changed <= {"user_stall", "kernel_stall", "monitor_calls"}
    assert before["results"][0]["time_ms"] == after["results"][0]["time_ms"], "one CPU has no remote misses"


def test_a_remote_price_matters_where_there_are_remote_misses(tmp_path: Path) -> None:
    trace, counts = sample_trace(tmp_path / "t.parquet"), str(tmp_path / "c.parquet")
    assert run("replay", trace, "-o", counts).code == 0
    totals = answer(counts)["results"][0]["totals"]
    remote = sum(totals[f"l2_{access}_remote"] for access in ("fetch", "load", "store"))
    assert remote > 0
    nobody_waits = ("--set", "memory.controller_ns=0", "--set", "memory.port_ns=0")
    native = [
        answer(counts, *nobody_waits, "--set", f"memory.remote_ns={ns}")["results"][0]["parts_ms"] for ns in (900, 600)
    ]
    saved = [native[0][part] - native[1][part] for part in ("user_stall", "kernel_stall")]
    assert sum(saved) == pytest.approx(remote * 300 / 1e6 / 2), "ms, the mean of two CPUs"


@pytest.mark.parametrize(
    ("key", "event"),
    [
        ("monitor.kernel_tlb_refill_cycles", "kernel_tlb_refills"),
        ("monitor.tlb_write_cycles", "tlb_writes_emulated"),
        ("monitor.wired_write_cycles", "wired_writes_emulated"),
        ("monitor.privileged_cycles", "privileged_emulated"),
        ("monitor.patched_cycles", "privileged_patched"),
        ("monitor.zero_page_cycles", "zero_page_calls"),
        ("monitor.vcpu_switch_cycles", "vcpu_switches"),
    ],
)
def test_a_price_of_the_monitor_is_paid_for_each_event_under_it_alone(counts: str, key: str, event: str) -> None:
    """400 MHz: 4000 cycles more or less are 0.01 ms for each event."""
    cheap, dear = (answer(counts, "--set", f"{key}={cycles}")["results"] for cycles in (0, 4000))
    assert cheap[0]["time_ms"] == dear[0]["time_ms"]
    assert cheap[1]["totals"][event] > 0
    assert dear[1]["time_ms"] - cheap[1]["time_ms"] == pytest.approx(0.01 * cheap[1]["totals"][event])


def test_hits_of_the_second_level_tlb_are_paid_for_as_the_user_s_or_as_the_kernel_s(counts: str) -> None:
    keys = ("monitor.software_tlb_hit_cycles", "monitor.kernel_software_tlb_hit_cycles")
    cheap, dear = (
        answer(counts, *(word for key in keys for word in ("--set", f"{key}={cycles}")))["results"][1]
        for cycles in (0, 4000)
    )
    assert dear["time_ms"] - cheap["time_ms"] == pytest.approx(0.01 * cheap["totals"]["software_tlb_hits"])


def test_the_price_of_the_sum_is_the_sum_of_the_prices(counts: str) -> None:
    one, other, both, base = (
        times(counts, "--set", f"memory.local_ns={local}", "--set", f"l2.hit_ns={hit}")
        for local, hit in ((250, 0), (0, 40), (250, 40), (0, 0))
    )
    assert both == pytest.approx([a + b - c for a, b, c in zip(one, other, base, strict=True)])
    assert base < one < both


def test_twice_the_clock_halves_what_is_counted_in_cycles(counts: str) -> None:
    for slow, fast in zip(
        answer(counts, "--set", "cpu.clock_mhz=200")["results"],
        answer(counts, "--set", "cpu.clock_mhz=400")["results"],
        strict=True,
    ):
        assert slow["parts_ms"]["user"] == 2 * fast["parts_ms"]["user"]
        assert slow["parts_ms"]["user_stall"] == fast["parts_ms"]["user_stall"]


def test_a_file_changes_prices_and_set_overrides_it(counts: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text("[memory]\nlocal_ns = 1.0\nremote_ns = 2.0\n")
    memory = answer(counts, "--prices", str(path), "--set", "memory.local_ns=3")["configuration"]["memory"]
    assert (memory["local_ns"], memory["remote_ns"]) == (3, 2)


def test_the_whole_configuration_serves_as_a_file_of_prices(counts: str, tmp_path: Path) -> None:
    """Structural keys may stand in it as long as they are those of the replay."""
    path = tmp_path / "prices.toml"
    path.write_text(run("show-config", "--set", "cpu.count=1", "--set", "memory.local_ns=1").out)
    assert answer(counts, "-p", str(path))["configuration"]["memory"]["local_ns"] == 1


def test_a_structural_key_that_says_what_was_replayed_is_no_change(counts: str) -> None:
    assert times(counts, "--set", "tlb.entries=64") == times(counts)


def test_prices_of_nothing_take_no_time(counts: str) -> None:
    free = ["cpu.cycles_per_instruction", "l2.hit_ns"]
    free += [f"memory.{name}_ns" for name in ("local", "remote", "dirty_local", "dirty_remote")]
    free += ["memory.upgrade_local_ns", "memory.upgrade_remote_ns"]
    changes = [part for key in free for part in ("--set", f"{key}=0")]
    assert times(counts, *changes)[0] == 0
    assert run("price", counts, "--services", *changes).code == 0
