"""``replay`` with several virtual machines: sharing, hot pages, NFS, SPLASHOS, crashes, and what is said of them."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.cli.running import POLICY, run, sharing_trace


def answer(*arguments: str) -> dict[str, Any]:
    """What ``--json`` prints."""
    ended = run(*arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    tree: dict[str, Any] = json.loads(ended.out)
    return tree


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sharing_trace(tmp_path_factory.mktemp("traces") / "sharing.parquet")


def events(result: dict[str, Any], *names: str) -> list[int]:
    return [result["totals"][name] for name in names]


def test_vms_and_nfs_are_short_for_keys(sharing: str) -> None:
    short = answer("replay", sharing, "--vms", "2", "--nfs")
    long = answer("replay", sharing, "--set", "vm.count=2", "--set", "vm.nfs=true")
    assert short["configuration"] == long["configuration"]
    assert short["results"] == long["results"]


def test_each_virtual_machine_has_counts_of_its_own(sharing: str, tmp_path: Path) -> None:
    assert run("replay", sharing, "--vms", "2", "-o", str(tmp_path / "c.parquet")).code == 0
    table = pq.read_table(tmp_path / "c.parquet").to_pydict()
    vms = {
        system: {vm for vm, s in zip(table["vm"], table["system"], strict=True) if s == system}
        for system in table["system"]
    }
    assert vms == {"native": {0}, "disco": {0, 1}}


def test_virtual_machines_share_pages_of_files(sharing: str) -> None:
    one, two = (answer("replay", sharing, "-s", "disco", "--vms", vms)["results"][0] for vms in "12")
    assert events(one, "disk_pages_shared") == [0]
    assert two["totals"]["disk_pages_shared"] > 0
    assert two["totals"]["disk_pages_done"] == one["totals"]["disk_pages_done"]


def test_without_copy_on_write_disks_files_go_over_the_network(sharing: str) -> None:
    result = answer("replay", sharing, "-s", "disco", "--vms", "2", "--nfs")["results"][0]
    assert result["totals"]["nfs_requests"] > 0
    assert result["parts_ms"]["monitor_io"] > 0


def test_hot_pages_are_counted_with_what_became_of_them(sharing: str) -> None:
    native, disco = answer("replay", sharing, *POLICY)["results"]
    names = ("hot_pages", "migrations", "replications", "collapses", "shootdowns")
    assert events(native, *names) == [0] * 5
    assert all(events(disco, *names))
    assert disco["parts_ms"]["monitor_placement"] > 0
    for action in names:
        per_second = disco["actions_per_second"][action]
        assert per_second == pytest.approx(1000 * disco["totals"][action] / disco["time_ms"])
        assert sum(disco["actions_per_second_by_cpu"][action]) == pytest.approx(per_second)


def test_an_answer_that_rests_on_recalled_thresholds_says_so(sharing: str) -> None:
    text = run("replay", sharing, *POLICY).out.splitlines()
    [line] = (line for line in text if line.startswith("unverified: "))
    assert "trigger 4, sharing 4, writes 1, moves 1" in line
    assert "Verghese" in line
    assert answer("replay", sharing, *POLICY)["remarks"] == [line, GUESS]


GUESS = "a guess: 2 jobs per CPU wait for disks (disks.jobs_per_cpu); the trace has no number"


@pytest.mark.parametrize("arguments", [["-s", "native"], ["--set", "placement.policy=first-touch"]])
def test_an_answer_that_does_not_rest_on_them_says_nothing(arguments: list[str], sharing: str) -> None:
    assert answer("replay", sharing, *POLICY, *arguments)["remarks"] == [GUESS]


def test_virtual_machines_without_processes_are_pointed_out(sharing: str) -> None:
    remark = "the trace has 2 instances of its workload: 2 of 4 virtual machines have no process"
    assert answer("replay", sharing, "--vms", "4", "-s", "disco")["remarks"] == [remark, GUESS]
    assert remark in run("replay", sharing, "--vms", "4").out
    assert answer("replay", sharing, "--vms", "4", "-s", "native")["remarks"] == [GUESS]


def test_splashos_has_no_kernel(sharing: str) -> None:
    result = answer("replay", sharing, "-s", "splashos")["results"][0]
    assert result["system"] == "splashos"
    assert events(result, "guest_refills", "privileged_emulated") == [0, 0]


def test_a_crash_costs_the_machine_natively_and_one_guest_under_the_monitor(sharing: str) -> None:
    tree = answer("replay", sharing, "--vms", "2", "--crash", "vm=1,at=50%")
    rows = tree["trace"]["rows"]
    assert tree["crash"] == {"vm": 1, "row": rows // 2}
    native, disco = (result["loss"] for result in tree["results"])
    assert (native["rows"], native["processes"]) == (rows - rows // 2, [1, 2, 3, 4])
    assert disco["processes"] == [3, 4]
    assert 0 < disco["rows"] < native["rows"]
    assert disco["frames_surviving"] > 0, "VM 0 uses the same kernel and library"


def test_text_says_what_a_crash_cost(sharing: str) -> None:
    text = run("replay", sharing, "--vms", "2", "--crash", "vm=1,at=50%").out
    assert "Lost in the crash at row 128" in text
    assert "rows not executed" in text


@pytest.mark.parametrize("at", ["0%", "0.5%", "99.99%", "100%"])
def test_a_crash_may_be_anywhere(at: str, sharing: str) -> None:
    assert run("replay", sharing, "--crash", f"vm=0,at={at}").code == 0


def test_price_prints_of_a_crash_what_the_replay_printed(sharing: str, tmp_path: Path) -> None:
    counts = str(tmp_path / "c.parquet")
    replayed = run("replay", sharing, "--vms", "2", "--crash", "vm=1,at=50%", "-o", counts, *POLICY)
    assert run("price", counts).out == replayed.out
