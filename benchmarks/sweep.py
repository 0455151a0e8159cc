"""Measures a mixed sweep: 1,000 points, 100 combinations of structure and 10 prices, against one replay of its trace.

    python benchmarks/sweep.py [TRACE] [--rounds 3] [--workers 1,2]

Prints Markdown tables. The first: the command `discotrace sweep` from an empty folder, kernels compiled before, and
`discotrace replay` of one system and of both as whole processes, each measured once a round, in turns; medians. The
second: the replays of the sweep by two processes, by two threads of one process, one after the other, and each by
itself without sharing anything. The third: replays that differ in their caches alone, side by side behind one front.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from discotrace.analysis.sweep.counting import Counting, count
from discotrace.analysis.sweep.execute import tasks_of
from discotrace.analysis.sweep.local import LocalWorkers
from discotrace.analysis.sweep.plan import planned
from discotrace.analysis.sweep.spec import WINDOW, spec_of
from discotrace.analysis.sweep.warm import warm
from discotrace.analysis.sweep.workers import Done, Failed, Lost, Task

Label = TypeVar("Label")

TRACE = str(Path(__file__).parents[1] / "traces" / "pmake.parquet")
STRUCTURE = {
    "tlb.entries": "16,32,64,96,128",
    "l2.size_kib": "256:4096:x2",
    "placement.policy": "first-touch,disco",
}
PRICES = {"memory.remote_ns": "300:1200:100"}
SYSTEMS = ("native", "disco")
SIDE_BY_SIDE = (1, 2, 4, 8)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def command(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "discotrace", *arguments], check=True, capture_output=True)


def swept(trace: str, workers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        axes = [part for key, values in (STRUCTURE | PRICES).items() for part in ("--set", f"{key}={values}")]
        command("sweep", trace, *axes, "--workers", str(workers), "-o", folder)


def in_turns(lines: Mapping[Label, Callable[[], object]], rounds: int) -> dict[Label, float]:
    """The median of each, in seconds."""
    found: dict[Label, list[float]] = {label: [] for label in lines}
    for _ in range(rounds):
        for label, work in lines.items():
            found[label].append(seconds(work))
    return {label: statistics.median(values) for label, values in found.items()}


def by_threads(tasks: list[Counting], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda task: count(task, lambda rows: None), tasks))


def by_processes(tasks: list[Counting], processes: int) -> None:
    waiting, given = [Task(count, task) for task in tasks], 0
    with LocalWorkers(processes) as workers:
        while waiting or given:
            while waiting and workers.room:
                workers.submit(waiting.pop(0))
                given += 1
            for news in workers.news(60):
                assert not isinstance(news, Failed | Lost), news
                given -= isinstance(news, Done)


def print_side_by_side(trace: str, rounds: int) -> None:
    """So many second-level caches behind one front, on one thread; natively, and where the monitor moves no page."""
    sizes = {"l2.size_kib": "256,512,1024,2048", "l2.ways": "1,2", "placement.policy": "first-touch"}
    plan = planned(spec_of({"traces": [trace], "systems": list(SYSTEMS), "set": sizes}))
    lines = {
        (system, number): Counting(tuple(one for one in plan.replays if one.system == system)[:number], WINDOW, None)
        for system in SYSTEMS
        for number in SIDE_BY_SIDE
    }
    found = in_turns({key: lambda task=task: by_threads([task], 1) for key, task in lines.items()}, rounds)  # type: ignore[misc]
    print("\n| side by side | 1, s | 2, s | 4, s | 8, s | each of 8, of one by itself |\n|---|---|---|---|---|---|")
    for system in SYSTEMS:
        values = [found[system, number] for number in SIDE_BY_SIDE]
        print(f"| {system} | {' | '.join(f'{value:.2f}' for value in values)} | {values[-1] / 8 / values[0]:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", nargs="?", default=TRACE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="1,2")
    arguments = parser.parse_args()
    plan = planned(spec_of({"traces": [arguments.trace], "systems": list(SYSTEMS), "set": STRUCTURE | PRICES}))
    tasks = tasks_of(plan.replays, plan.spec.window, None, 2)
    alone = [Counting((one,), plan.spec.window, None) for one in plan.replays]
    fronts = sum(len(task.split()) for task in tasks)
    warm(SYSTEMS, lambda rows: None)
    print(f"{plan.points.height:,} points, {len(plan.replays)} replays, {fronts} runs through the trace\n")

    lines: dict[str, Callable[[], object]] = {
        f"`discotrace replay`, {name}": lambda name=name: command("replay", arguments.trace, "-s", name, "-q")  # type: ignore[misc]
        for name in (*SYSTEMS, ",".join(SYSTEMS))
    }
    for workers in map(int, arguments.workers.split(",")):
        lines[f"the sweep, {workers} processes"] = lambda workers=workers: swept(arguments.trace, workers)  # type: ignore[misc]
    first = next(one for one in plan.replays if one.system == "disco")
    one_replay = "one replay, disco, within a process"
    lines[one_replay] = lambda: count(Counting((first,), plan.spec.window, None), lambda rows: None)
    found = in_turns(lines, arguments.rounds)
    print("| | s | replays within a process |\n|---|---|---|")
    for label, value in found.items():
        print(f"| {label} | {value:.2f} | {value / found[one_replay]:.1f} |", flush=True)

    found = in_turns(
        {
            "2 processes": lambda: by_processes(tasks, 2),
            "2 threads": lambda: by_threads(tasks, 2),
            "one after the other": lambda: by_threads(tasks, 1),
            "one after the other, each by itself": lambda: by_threads(alone, 1),
        },
        arguments.rounds,
    )
    print("\n| the replays alone | s |\n|---|---|")
    for label, value in found.items():
        print(f"| {label} | {value:.1f} |", flush=True)
    print_side_by_side(arguments.trace, arguments.rounds)


if __name__ == "__main__":
    main()
