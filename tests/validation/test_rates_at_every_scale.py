"""A short run of a workload is the same program with less of the same phases: its rates are those of a long one.

    python -m pytest -m slow tests/validation/test_rates_at_every_scale.py

compares all five at scale 0.02 with 0.2, which takes minutes; without ``-m slow`` the two quickest, shorter.
"""

from pathlib import Path

import polars as pl
import pytest

from discotrace.analysis.configuration import load
from discotrace.analysis.outcome import Outcome, outcome
from discotrace.analysis.pricing import NATIVE
from discotrace.analysis.run import NO_WINDOWS, replay_systems
from discotrace.analysis.site import Site
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.knobs import make
from discotrace.tracegen.workloads.registry import find_workload

TOLERANCE = 0.15
LEAST_STALL = 3.0  # percent of the busy time, below which second-level misses are not compared
LEAST_SERVICE = 5.0  # percent of the kernel's time, below which a service is not compared
ACCESSES = ("fetch", "load", "store")
MISSES = ("local", "remote", "dirty_local", "dirty_remote")


def replayed(name: str, scale: float, folder: Path) -> Outcome:
    """The native replay on FLASH of a workload with its own knobs."""
    trace = folder / f"{name}-{scale}.parquet"
    generate(make(find_workload(name).kind, {"scale": scale}), name, trace, version="test", compression_level=1)
    configuration = load("flash")
    with TraceReader(trace) as reader:
        finished = replay_systems(reader, configuration.machine, [NATIVE], NO_WINDOWS, lambda _: None)
    trace.unlink()
    counts = pl.from_arrow(finished.counts[NATIVE])
    assert isinstance(counts, pl.DataFrame)
    return outcome(NATIVE, counts, Site(finished.machine), configuration.prices)


def rates(found: Outcome) -> dict[str, float]:
    """Shares of the busy time in percent, misses per busy second; services by name."""
    parts, totals = found.parts_ms, found.totals
    user, kernel = parts["user"] + parts["user_stall"], parts["kernel"] + parts["kernel_stall"]
    cpu_seconds = (user + kernel) * found.cpus / 1000
    percents = {s.service: s.entries * s.kernel_us / cpu_seconds / 1e4 for s in found.services}
    stall = 100 * (found.stalls_ms["local"] + found.stalls_ms["remote"]) / (user + kernel)
    misses = sum(totals[f"l2_{access}_{miss}"] for access in ACCESSES for miss in MISSES) / cpu_seconds
    weighty = {"L2 misses": misses} if stall >= LEAST_STALL else {}
    return (
        weighty
        | {
            "user": 100 * user / (user + kernel),
            "kernel": 100 * kernel / (user + kernel),
            "TLB misses": (totals["tlb_misses"] + totals["tlb_invalid"]) / cpu_seconds,
        }
        | percents
    )


def compared(short: dict[str, float], long: dict[str, float]) -> dict[str, float]:
    """Short by long, of all rates but those of services that take little of the kernel's time in both."""
    least = LEAST_SERVICE / 100
    small = {name for name in long if max(short.get(name, 0) / short["kernel"], long[name] / long["kernel"]) < least}
    assert short.keys() - long.keys() <= {name for name in short if short[name] < least * short["kernel"]}
    return {name: short.get(name, 0) / value for name, value in long.items() if name not in small}


def assert_equal_rates(name: str, short: float, long: float, folder: Path) -> None:
    """Says which rates differ by more than the tolerance."""
    ratios = compared(rates(replayed(name, short, folder)), rates(replayed(name, long, folder)))
    apart = {rate: round(ratio, 3) for rate, ratio in ratios.items() if abs(ratio - 1) > TOLERANCE}
    assert not apart, f"{name}: scale {short} by scale {long}: {apart}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pmake", "engineering", "raytrace", "database", "radix"])
def test_rates__are_the_same_at_scale_0_02_and_0_2(name: str, tmp_path: Path) -> None:
    assert_equal_rates(name, 0.02, 0.2, tmp_path)


@pytest.mark.parametrize("name", ["engineering", "database"])
def test_rates__are_the_same_in_short_runs_too(name: str, tmp_path: Path) -> None:
    assert_equal_rates(name, 0.02, 0.06, tmp_path)
