"""``memory``: footprints with and without sharing, under several numbers of virtual machines."""

import json
from typing import Any

import pytest

from tests.cli.running import run, sharing_trace

PARTS = {"kernel_data", "kernel_text", "buffer_cache", "user", "monitor", "total"}
MACHINE_PARTS = PARTS | {"replicas", "logs", "disk_cache"}


@pytest.fixture(scope="module")
def sharing(tmp_path_factory: pytest.TempPathFactory) -> str:
    return sharing_trace(tmp_path_factory.mktemp("traces") / "sharing.parquet")


def answer(*arguments: str) -> dict[str, Any]:
    ended = run("memory", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    tree: dict[str, Any] = json.loads(ended.out)
    return tree


@pytest.fixture(scope="module")
def tree(sharing: str) -> dict[str, Any]:
    return answer(sharing, "--vms", "1,2,4", "--nfs")


def test_json_has_stable_names(tree: dict[str, Any]) -> None:
    assert set(tree) == {
        *("schema", "discotrace", "command", "trace", "instances", "cpus", "configuration", "remarks", "results")
    }
    for result in tree["results"]:
        assert set(result) == {"label", "system", "vms", "nfs", "end", "peak", "monitor_kib"}
        for memory in (result["end"], result["peak"]):
            assert set(memory["virtual_kib"]) == PARTS
            assert set(memory["machine_kib"]) == MACHINE_PARTS


def test_there_is_a_result_for_each_number_and_one_over_nfs(tree: dict[str, Any]) -> None:
    assert [(result["label"], result["system"], result["vms"], result["nfs"]) for result in tree["results"]] == [
        ("native", "native", 1, False),
        ("1 VM", "disco", 1, False),
        ("2 VMs", "disco", 2, False),
        ("4 VMs", "disco", 4, False),
        ("4 VMs, NFS", "disco", 4, True),
    ]


def test_a_number_named_twice_is_replayed_once(sharing: str) -> None:
    assert [r["vms"] for r in answer(sharing, "--vms", " 2, 1,2")["results"]] == [1, 2, 1]


def test_totals_are_sums(tree: dict[str, Any]) -> None:
    for result in tree["results"]:
        for kib in (*result["end"].values(), *result["peak"].values()):
            assert kib["total"] == sum(value for name, value in kib.items() if name != "total")


def test_natively_nothing_is_shared_and_there_is_no_monitor(tree: dict[str, Any]) -> None:
    native = tree["results"][0]
    assert native["monitor_kib"] == {}
    for memory in (native["end"], native["peak"]):
        assert memory["virtual_kib"]["total"] == memory["machine_kib"]["total"]
        assert memory["virtual_kib"]["monitor"] == 0


def test_more_virtual_machines_use_more_virtual_memory_and_share_text(tree: dict[str, Any]) -> None:
    one, two = (result["end"] for result in tree["results"][1:3])
    assert two["virtual_kib"]["kernel_text"] == 2 * one["virtual_kib"]["kernel_text"] > 0
    assert two["machine_kib"]["kernel_text"] == one["machine_kib"]["kernel_text"]
    assert two["machine_kib"]["buffer_cache"] == one["machine_kib"]["buffer_cache"]
    assert two["machine_kib"]["total"] < two["virtual_kib"]["total"]


def test_text_has_two_rows_for_each_system(sharing: str) -> None:
    text = run("memory", sharing, "--vms", "1,2", "--nfs").out
    for label in ("native", "1 VM", "2 VMs", "2 VMs, NFS", "at the end, KiB", "when most was in use"):
        assert label in text
    assert text.count("virtual") == text.count("machine │") == 2 * 4
    assert "unverified: 16 B per pmap entry" in text


def test_virtual_machines_without_processes_are_pointed_out(sharing: str) -> None:
    assert "2 of 4 virtual machines have no process" in run("memory", sharing, "--vms", "4").out


def test_the_machine_can_be_changed(sharing: str) -> None:
    tree = answer(sharing, "--vms", "1", "--set", "memory.page_kib=16", "--machine", "uma")
    assert tree["configuration"]["memory"]["page_kib"] == 16
    assert all(value % 16 == 0 for value in tree["results"][0]["end"]["machine_kib"].values())
