"""Measures miss curves: their time against a replay, how far replay is from them, how far a sample is off.

    python benchmarks/curve.py [--repeat 5] [--seeds 10]

Prints Markdown tables for the shipped traces. Speed: every measurement is a process of its own, rounds measure each
task once, medians count. Replay is native, on one thread, as a curve is; another thread decodes in both.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

from discotrace.analysis.configuration import load
from discotrace.analysis.curve.curve import Curve
from discotrace.analysis.curve.measure import measured
from discotrace.analysis.curve.question import ALL_SETS, Question
from discotrace.analysis.fronts import Run
from discotrace.analysis.run import NO_WINDOWS, replay_runs
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader

TRACES = Path(__file__).parents[1] / "traces"
NAMES = ("database", "engineering", "raytrace", "pmake-generated", "pmake", "radix")
QUESTIONS = {
    "tlb": Question("tlb"),
    "l1": Question("l1"),
    "l2": Question("l2"),
    "pages": Question("pages"),
    "l1d --sets 1": Question("l1d", sets=1),
    "l1d --sets 1 --sample 0.01": Question("l1d", sets=1, sample=0.01),
    "l1d --sets all": Question("l1d", sets=ALL_SETS),
    "l2 --sets all": Question("l2", sets=ALL_SETS),
}
REPLAY = "native replay"
SAMPLES = (("l1d", 0.1), ("l1d", 0.01), ("l1i", 0.3), ("l2", 0.1), ("pages", 0.5), ("tlb", 0.5))


def curves(name: str, question: Question, *changes: str) -> list[Curve]:
    with TraceReader(TRACES / f"{name}.parquet") as reader:
        return measured(reader, load("flash", changes).machine, question, lambda rows: None).curves


def totals(name: str, changes: list[list[str]]) -> list[dict[str, int]]:
    """Counts by event of native replays, one for each list of changes."""
    runs = [Run(str(number), "native", load("flash", one).machine) for number, one in enumerate(changes)]
    with TraceReader(TRACES / f"{name}.parquet") as reader:
        replayed = replay_runs(reader, runs, NO_WINDOWS, lambda rows: None)
    by_event = pl.col("event").cast(pl.String)
    frames = [pl.DataFrame(pl.from_arrow(one.counts)).group_by(by_event).agg(pl.col("count").sum()) for one in replayed]
    return [dict(frame.iter_rows()) for frame in frames]


def timed(task: str, name: str) -> None:
    """Print seconds, accesses, and peak memory in MiB of one task; the kernels are compiled before."""
    start = time.perf_counter()
    accesses = 0
    if task == REPLAY:
        totals(name, [[]])
    else:
        accesses = sum(curve.accesses for curve in {c.scale.name: c for c in curves(name, QUESTIONS[task])}.values())
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"seconds": seconds, "accesses": accesses, "mib": peak}))


def measure(task: str, name: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--task", task, "--trace", name]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def print_speeds(name: str, repeat: int) -> None:
    tasks = [REPLAY, *QUESTIONS]
    rounds = [{task: measure(task, name) for task in tasks} for _ in range(repeat + 1)][1:]  # the first compiles
    with TraceReader(TRACES / f"{name}.parquet") as reader:
        rows = reader.rows
    print(f"\n{name}.parquet, {rows:,} rows\n")
    print(
        "| task | seconds | ns per row | ns per access | time / native replay | peak MiB |\n|---|---|---|---|---|---|"
    )
    for task in tasks:
        seconds = statistics.median(one[task]["seconds"] for one in rounds)
        ratio = statistics.median(one[task]["seconds"] / one[REPLAY]["seconds"] for one in rounds)
        accesses, peak = rounds[0][task]["accesses"], max(one[task]["mib"] for one in rounds)
        per_access = f"{1e9 * seconds / accesses:.0f}" if accesses else ""
        print(f"| {task} | {seconds:.2f} | {1e9 * seconds / rows:.0f} | {per_access} | {ratio:.2f} | {peak:.0f} |")


def missed(count: dict[str, int], name: str) -> int:
    return sum(n for event, n in count.items() if event.startswith(name) and not event.endswith(("hits", "writebacks")))


def print_distances(name: str) -> None:
    """Misses of curves against replays with coherence and inclusion."""
    print(f"\n{name}.parquet\n\n| cache | ways | KiB | replay | curve | curve / replay |\n|---|---|---|---|---|---|")
    for cache, kib in (("l1i", 16), ("l1d", 16), ("l2", 512)):
        (curve,) = curves(name, Question(cache))
        ways = (1, 2, 4, 8)
        replays = totals(name, [[f"{cache}.ways={n}", f"{cache}.size_kib={kib * n}"] for n in ways])
        for n, one in zip(ways, replays, strict=True):
            ours, theirs = round(curve.misses_at(np.array([n]))[0]), missed(one, cache)
            print(f"| {cache} | {n} | {kib * n:,} | {theirs:,} | {ours:,} | {ours / theirs:.3f} |")


def print_samples(names: tuple[str, ...], seeds: int) -> None:
    print("\n| what | rate | traces | sizes within the bound | mean error | largest | mean bound |")
    print("|---|---|---|---|---|---|---|")
    for what, rate in SAMPLES:
        sets = 1 if what.startswith("l") else None
        used, within, errors, bounds = 0, [], [], []
        for name in names:
            (whole,) = curves(name, Question(what, sets))
            try:
                samples = [curves(name, Question(what, sets, None, rate, seed))[0] for seed in range(seeds)]
            except ConfigError:  # too few names for this rate
                continue
            used += 1
            for sample in samples:
                sizes = sample.table_sizes()
                off, bound = np.abs(sample.ratio_at(sizes) - whole.ratio_at(sizes)), sample.bound_at(sizes)
                within += (off <= bound + 1e-12).tolist()
                errors += off.tolist()
                bounds += bound.tolist()
        if used:
            told = (100 * np.mean(within), 100 * np.mean(errors), 100 * max(errors), 100 * np.mean(bounds))
            print(f"| {what} | {rate} | {used} | {told[0]:.1f} % | {told[1]:.2f} | {told[2]:.2f} | {told[3]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--task", choices=[REPLAY, *QUESTIONS], help=argparse.SUPPRESS)
    parser.add_argument("--trace", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        timed(arguments.task, arguments.trace)
        return
    for name in ("pmake", "radix"):
        print_speeds(name, arguments.repeat)
    for name in ("pmake", "radix"):
        print_distances(name)
    print_samples(NAMES, arguments.seeds)


if __name__ == "__main__":
    main()
