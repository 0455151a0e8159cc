"""Engineering on eight CPUs stalls for memory as long as the paper's did under IRIX.

python -m pytest -m slow tests/validation/test_engineering_stalls.py
"""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import outcome
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.run import NO_WINDOWS, replay_systems
from discotrace.analysis.site import Site
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.workloads.calibrated import calibrated_knobs
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.knobs import make
from discotrace.tracegen.workloads.registry import find_workload

# Figure 8: 68.7 % of the bar in misses of 1,210 ns on average; without contention they take 804 ns (16 % local).
EXECUTION, STALL = 31.3, 68.7 * 804 / 1210
TOLERANCE = 0.1


@pytest.mark.slow
def test_stall_by_execution_is_that_of_figure_8_less_contention(tmp_path: Path) -> None:
    found, trace, configuration = find_workload("engineering"), tmp_path / "t.parquet", load("flash")
    workload = make(found.kind, {**calibrated_knobs(found), "cpus": 8, "scale": 0.02})
    generate(workload, found.name, trace, version="test", compression_level=1)
    prices = configuration.prices
    prices = replace(prices, memory=replace(prices.memory, controller_ns=0.0, port_ns=0.0))
    with TraceReader(trace) as reader:
        finished = replay_systems(reader, configuration.machine, [NATIVE], NO_WINDOWS, lambda _: None)
    counts = pl.from_arrow(finished.counts[NATIVE])
    assert isinstance(counts, pl.DataFrame)
    figures = outcome(NATIVE, counts, Site(finished.machine), prices)
    busy = sum(figures.parts_ms[part] for part in ("user", "user_stall", "kernel", "kernel_stall"))
    stall = figures.stalls_ms["local"] + figures.stalls_ms["remote"]
    assert stall / (busy - stall) == pytest.approx(STALL / EXECUTION, rel=TOLERANCE)
