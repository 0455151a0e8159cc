"""How far samples of a long trace are right, and how much time they save: the tables of docs/scaling.md.

    python benchmarks/sampling.py TRACE [--set KEY=VALUE ...] [--system SYSTEM] [--seeds 20] [--folder FOLDER]

Replays the trace once in full, then all intervals that any of the seeds chooses, each once; prints for each figure in
how many of the seeds the true value lies within the 95 % interval, the mean error and the mean half-width. What is done
is kept in FOLDER. Then one sample is taken by itself, timed beside the full replay: one thread replays, one decodes.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from discotrace.analysis.configuration import Configuration, load
from discotrace.analysis.fronts import Run
from discotrace.analysis.outcome import outcome
from discotrace.analysis.provenance import of_counts
from discotrace.analysis.run import replay_runs
from discotrace.analysis.sampling.choice import INTERVALS, Sample, chosen
from discotrace.analysis.sampling.estimate import Estimate, covers, estimates, figures_of
from discotrace.analysis.sampling.pasts import Pasts
from discotrace.analysis.sampling.pieces import Pieces, replay_pieces
from discotrace.analysis.site import Site
from discotrace.replay.machine import Machine
from discotrace.tracegen.reader import TraceReader

WINDOW = 1_000_000
FIGURES = (
    "time_ms",
    "kernel_percent",
    "monitor_percent",
    "remote_miss_ratio",
    "user_ms",
    "user_stall_ms",
    "kernel_ms",
    "kernel_stall_ms",
    "idle_ms",
    "tlb_misses_per_kilo_instruction",
    "l1i_miss_percent",
    "l1d_miss_percent",
    "l2_misses_per_kilo_instruction",
)


def timed(what: str, do: Callable[[], Any]) -> Any:
    """Do it, and print how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = do()
    print(f"{what}: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s of CPU time", flush=True)
    return result


def kept(path: Path, make: Callable[[], Any]) -> pl.DataFrame:
    """A table that is made unless it is there."""
    if not path.exists():
        pq.write_table(make(), path, compression="zstd")
    frame = pl.from_arrow(pq.read_table(path))
    assert isinstance(frame, pl.DataFrame)
    return frame


def main() -> None:
    """Make the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--system", default="native")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--intervals", type=int, default=INTERVALS)
    parser.add_argument("--folder", type=Path, default=Path("sampling"))
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    with TraceReader(given.trace) as reader:
        compare(reader, load("flash", given.set), given)


def compare(reader: TraceReader, configuration: Configuration, given: argparse.Namespace) -> None:
    """Full replay and samples of a trace."""
    system, machine = given.system, configuration.machine.for_trace(reader.meta.cpus)
    name = "-".join([Path(given.trace).stem, system, *given.set]).replace("=", "-")
    pasts = Pasts(given.folder)
    outline = timed("outline and trail", lambda: pasts.outline(reader, lambda rows: None))
    timed("chronicle", lambda: pasts.past(reader, system, machine, outline))
    full = kept(
        given.folder / f"{name}-full.parquet", lambda: timed("full replay", lambda: _full(reader, system, machine))
    )
    samples = [Sample(given.intervals, seed) for seed in range(1, given.seeds + 1)]
    choices = [chosen(outline, WINDOW, sample) for sample in samples]
    firsts = tuple(sorted({first for choice in choices for first in choice.firsts}))
    task = Pieces(reader.source, pasts.folder, system, machine, WINDOW, choices[0], firsts)
    pieces = kept(given.folder / f"{name}-{given.intervals}-pieces.parquet", lambda: _all(task))
    about = of_counts(reader, [system], WINDOW)
    instances = len({process.instance for process in reader.meta.processes})
    site = Site(machine, instances, about["jobs"], about["runs_on"])
    truth = outcome(system, full, site, configuration.prices)
    found = []
    for choice in choices:
        windows = [window for first in choice.firsts for window in choice.interval_windows(first)]
        part = pieces.filter(pl.col("window").is_in(windows))
        known = {system: pasts.past(reader, system, machine, outline).chronicle.disks}
        found += estimates({system: part}, choice, site, configuration.prices, known)
    _print(figures_of(truth, truth), found)
    one = Pieces(reader.source, pasts.folder, system, machine, WINDOW, choices[0], choices[0].firsts)
    timed("one sample, replayed", lambda: replay_pieces(one, lambda rows: None))
    first = pieces.filter(
        pl.col("window").is_in([w for f in choices[0].firsts for w in choices[0].interval_windows(f)])
    )
    timed("and estimated", lambda: estimates({system: first}, choices[0], site, configuration.prices, known))
    timed("full replay", lambda: _full(reader, system, machine))


def _full(reader: TraceReader, system: str, machine: Machine) -> Any:
    return replay_runs(reader, [Run("", system, machine)], WINDOW, lambda rows: None)[0].counts


def _all(task: Pieces) -> Any:
    return timed(f"{len(task.firsts)} intervals", lambda: replay_pieces(task, lambda rows: None).combine_chunks())


def _print(truth: dict[str, float], found: list[Estimate]) -> None:
    print("| figure | true | within the interval | mean error | mean half-width |\n|---|---|---|---|---|")
    for figure in FIGURES:
        if not truth[figure]:
            continue
        values = np.array([figures_of(one.outcome, one.outcome)[figure] for one in found])
        half = np.array([one.half_widths[figure] for one in found])
        inside = sum(covers(one, figure, truth[figure], one.outcome) for one in found)
        error, width = (values.mean() / truth[figure] - 1) * 100, half.mean() / truth[figure] * 100
        print(
            f"| {figure} | {truth[figure]:.4g} | {inside} of {len(found)} | {error:+.1f} % | {width:.1f} % |",
            flush=True,
        )


if __name__ == "__main__":
    main()
