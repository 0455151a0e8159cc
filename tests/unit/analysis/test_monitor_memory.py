"""Sizes of the monitor's own structures, by hand: flash with 2 CPUs has 2 nodes of 32 MiB, 8192 pages each."""

from typing import Any

import pytest

from discotrace.analysis.monitor_memory import guest_pages, monitor_structures
from tests.machines import machine

NOTHING = {"disk_pages_done": 0, "disk_pages_logged": 0}


def structures(streams: int = 2, totals: dict[str, int] = NOTHING, **changes: Any) -> dict[str, int]:
    return monitor_structures(machine(cpu__count=2, **changes), streams, totals)


def test_each_node_has_the_code() -> None:
    assert structures()["code"] == 2 * 72 * 1024


def test_each_virtual_cpu_has_a_software_tlb_of_32_kib() -> None:
    assert structures(streams=2)["software_tlbs"] == 2 * 32 * 1024
    assert structures(streams=2, vm__count=4)["software_tlbs"] == 8 * 32 * 1024
    assert structures(monitor__software_tlb_entries=0)["software_tlbs"] == 0


def test_maps_have_an_entry_for_each_page() -> None:
    assert structures()["pmaps"] == 16 * 2 * 8192
    assert structures()["memmap"] == 32 * 2 * 8192


def test_pages_that_were_read_or_logged_have_an_entry() -> None:
    assert structures(totals={"disk_pages_done": 5, "disk_pages_logged": 3})["disk_cache_and_logs"] == 32 * 8


@pytest.mark.parametrize(
    ("vms", "nfs", "pages"),
    [
        (1, False, 16384),
        (1, True, 16384),
        (4, False, 16384),
        (3, False, 3 * 5461),
        (8, True, (3 + 7) * 2048),
        (2, True, 16384 + 8192),
    ],
)
def test_guest_pages__a_server_has_three_shares_but_no_more_than_there_is(vms: int, nfs: bool, pages: int) -> None:
    assert guest_pages(machine(cpu__count=2, vm__count=vms, vm__nfs=nfs)) == pages
