"""Traces on which the engine once counted otherwise than the oracle."""

import pytest

from discotrace.analysis.configuration import load
from discotrace.tracegen.schema import Kind, Privileged, Process, Segment, TraceMeta, rows_from_records
from tests.oracle.machine import Oracle
from tests.property.engine import as_dict, replay

PAGE = 0x40000


@pytest.mark.parametrize("system", ["native", "disco"])
def test_a_process_whose_page_is_wired_gets_an_asid_in_each_generation(system: str) -> None:
    """With two ASIDs, processes 1, 2, 3, 1, 4 need three generations, though the wired entry survives the flushes."""
    asids = range(1, 5)
    meta = TraceMeta(
        1,
        [Process(asid, f"p{asid}") for asid in asids],
        [Segment(asid, PAGE, PAGE + 4096, "anonymous") for asid in asids],
    )
    wired = (0, 1, Kind.PRIVILEGED, PAGE, 1, Privileged.WIRED)
    rows = rows_from_records([wired, *((0, asid, Kind.LOAD, PAGE, 8, 0) for asid in (1, 2, 3, 1, 4))])
    machine = load("flash", ["cpu.count=1", "tlb.asid_bits=1"]).machine
    oracle = Oracle(meta, machine.to_tables(), system, window=1000)
    oracle.run(rows)
    assert as_dict(replay(meta, rows, machine, system, window=1000).finish()) == oracle.counts
    assert sum(count for key, count in oracle.counts.items() if key.event == "tlb_flushes") == 2
