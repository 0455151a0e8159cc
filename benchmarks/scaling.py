"""Measures sweeps on a Dask cluster, and plans one over a library of traces from what was measured.

    python benchmarks/scaling.py overhead [--tasks 1000]           # seconds per task that does nothing
    python benchmarks/scaling.py efficiency [--workers 1,2,3,4]    # replays of a real trace against worker count
    python benchmarks/scaling.py planning [--replays 5000,20000]   # seconds and bytes per replay to plan
    python benchmarks/scaling.py speed                             # bytes per row, time per row, of the shipped traces
    python benchmarks/scaling.py plan [--terabytes 10 --bytes-per-row 0.48 --native-ns 22 --disco-ns 24 --decode-ns 6]

Prints Markdown tables. The cluster is Dask's own on this computer, started by ``--on local``'s code; its workers have
replayed something before the clock starts. Efficiency is the speed of N workers over N times that of one; rounds take
the worker counts in turn, and medians count. ``plan`` states its formulas; see docs/scaling.md.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

from discotrace.analysis.fronts import MOST as LANES
from discotrace.analysis.run import new_system
from discotrace.analysis.sweep.cluster import ClusterWorkers
from discotrace.analysis.sweep.clusters import silence
from discotrace.analysis.sweep.counting import Counting, count
from discotrace.analysis.sweep.execute import MOST_FRONTS, tasks_of
from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import planned
from discotrace.analysis.sweep.spec import spec_of
from discotrace.analysis.sweep.workers import Done, Failed, Task
from discotrace.replay.engine import Replay
from discotrace.tracegen.reader import TraceReader

TRACES = Path(__file__).parents[1] / "traces"
SIZES = [16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128]
LINKS_GBIT = (1, 10, 100)


def nothing(argument: object, on_rows: Callable[[int], None]) -> None:
    """A task that does nothing."""


def carried_out(workers: ClusterWorkers, tasks: Iterable[Task]) -> float:
    """Seconds until all tasks are done, given out as a sweep does."""
    waiting, given, began = list(tasks), 0, time.perf_counter()
    while waiting or given:
        while waiting and workers.room > 0:
            workers.submit(waiting.pop())
            given += 1
        for news in workers.news(60):
            if isinstance(news, Failed):
                raise news.fault
            given -= isinstance(news, Done)
    return time.perf_counter() - began


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def overhead(arguments: argparse.Namespace) -> None:
    with ClusterWorkers("local", 2) as workers:
        carried_out(workers, (Task(nothing, None) for _ in range(50)))
        before = cpu_seconds()
        seconds = carried_out(workers, (Task(nothing, None) for _ in range(arguments.tasks)))
        used = cpu_seconds() - before
    print("| tasks | workers | ms per task | of it CPU time of client and scheduler, ms | load average |")
    print("|---|---|---|---|---|")
    each, mine = 1e3 * seconds / arguments.tasks, 1e3 * used / arguments.tasks
    print(f"| {arguments.tasks:,} | 2 | {each:.1f} | {mine:.1f} | {os.getloadavg()[0]:.1f} |", flush=True)


def replays(trace: Path, folder: Path) -> list[Task]:
    """Replays of a trace, natively, a task each: they differ before the caches."""
    plan = planned(spec_of({"traces": [str(trace)], "systems": ["native"], "set": {"tlb.entries": SIZES}}))
    return [Task(count, Counting((one,), plan.spec.window, SweepFolder(folder)), folder) for one in plan.replays]


def efficiency(arguments: argparse.Namespace) -> None:
    counts = [int(number) for number in arguments.workers.split(",")]
    seconds: dict[int, list[float]] = {number: [] for number in counts}
    loads: list[float] = []
    with TraceReader(arguments.trace) as reader:
        rows = reader.rows * len(SIZES)
    for _ in range(arguments.repeat):
        for number in counts:
            with tempfile.TemporaryDirectory() as folder, ClusterWorkers("local", number) as workers:
                small = replays(TRACES / "database.parquet", Path(folder))
                carried_out(workers, small[: 2 * number])
                loads.append(os.getloadavg()[0])
                seconds[number].append(carried_out(workers, replays(Path(arguments.trace), Path(folder))))
                print(f"{number} workers: {seconds[number][-1]:.1f} s", file=sys.stderr, flush=True)
    one = statistics.median(seconds[counts[0]]) * counts[0]
    print(
        f"{len(SIZES)} replays, {rows / 1e6:,.0f} M rows; load average before: {min(loads):.1f} to {max(loads):.1f}\n"
    )
    print("| workers | seconds, median | M rows/s | efficiency |\n|---|---|---|---|")
    for number, found in seconds.items():
        median = statistics.median(found)
        print(f"| {number} | {median:.1f} | {rows / median / 1e6:,.1f} | {one / median / number:.2f} |", flush=True)


def planning(arguments: argparse.Namespace) -> None:
    trace = str(TRACES / "database.parquet")
    print("| distinct replays | planning, s | arranging tasks, s | ms per replay | bytes per replay |")
    print("|---|---|---|---|---|")
    for replays_wanted in map(int, arguments.replays.split(",")):
        axes = {"memory.mib_per_node": f"64:{63 + replays_wanted // 10}:1", "tlb.entries": list(range(16, 56, 4))}
        spec = spec_of({"traces": [trace], "systems": ["disco"], "set": axes})
        tracemalloc.start()
        plan = planned(spec)
        size = tracemalloc.get_traced_memory()[0]
        del plan
        tracemalloc.stop()
        began = time.perf_counter()
        plan = planned(spec)
        middle = time.perf_counter()
        tasks_of(plan.replays, plan.spec.window, None, 1000)
        end = time.perf_counter()
        made = len(plan.replays)
        each = 1e3 * (end - began) / made
        print(f"| {made:,} | {middle - began:.1f} | {end - middle:.1f} | {each:.2f} | {size / made:,.0f} |", flush=True)


def ns_per_row(path: Path, system: str | None) -> float:
    """CPU time of a row: decoding alone, or decoding and replay."""
    with TraceReader(path) as reader:
        plan = planned(spec_of({"traces": [str(path)], "systems": [system or "native"]}))
        machine = plan.replays[0].configuration.machine
        replay = None if system is None else Replay(reader.meta, new_system(system, reader.meta, machine), 1 << 40)
        before = cpu_seconds()
        for batch in reader.batches():
            if replay is not None:
                replay.feed(batch)
        return (cpu_seconds() - before) * 1e9 / reader.rows


def speed(arguments: argparse.Namespace) -> None:
    for system in ("native", "disco"):
        ns_per_row(TRACES / "database.parquet", system)  # loads the kernels
    print(
        "| trace | M rows | bytes per row | decoding, ns per row | native, ns | disco, ns |\n|---|---|---|---|---|---|"
    )
    for path in sorted(TRACES.glob("*.parquet")):
        with TraceReader(path) as reader:
            size, rows = reader.file_bytes / reader.rows, reader.rows / 1e6
        ns = [
            statistics.median(ns_per_row(path, system) for _ in range(arguments.repeat))
            for system in (None, "native", "disco")
        ]
        told = " | ".join(f"{one:.0f}" for one in ns)
        print(f"| {path.stem} | {rows:.1f} | {size:.2f} | {told} |", flush=True)


def plan_of_library(arguments: argparse.Namespace) -> None:
    """rows = bytes / bytes per row; core-hours = rows x ns per row; a front reads its trace once for up to LANES
    hierarchies, a task once for up to MOST_FRONTS fronts; the file server is busy when cores x bytes per core and
    second are what it gives."""
    size = arguments.terabytes * 1e12
    rows = size / arguments.bytes_per_row
    further = arguments.lane_share
    print(f"{arguments.terabytes:g} TB at {arguments.bytes_per_row:g} bytes a row are {rows:.3g} rows.\n")
    head = " | ".join(f"cores that saturate {link} Gbit/s" for link in LINKS_GBIT)
    print(f"| a task | core-hours | of one replay | read, TB | MB/s of a core | {head} |")
    print("|---|---|---|---|---|" + "---|" * len(LINKS_GBIT))
    for label, ns, fronts, lanes in (
        ("decoding alone", 0.0, 1, 1),
        ("native, one configuration", arguments.native_ns, 1, 1),
        ("disco, one configuration", arguments.disco_ns, 1, 1),
        (f"native, {LANES} caches behind one front", arguments.native_ns, 1, LANES),
        (f"native, {MOST_FRONTS} fronts of {LANES} caches", arguments.native_ns, MOST_FRONTS, LANES),
        (f"disco, {MOST_FRONTS} configurations of a policy that moves pages", arguments.disco_ns, MOST_FRONTS, 1),
    ):
        row_ns = arguments.decode_ns + fronts * ns * (1 + further * (lanes - 1))
        hours = rows * row_ns / 3.6e12
        speed = arguments.bytes_per_row / row_ns * 1e9
        cores = " | ".join(f"{link * 1e9 / 8 / speed:,.0f}" for link in LINKS_GBIT)
        each = hours / (fronts * lanes)
        print(f"| {label} | {hours:,.0f} | {each:,.0f} | {size / 1e12:g} | {speed / 1e6:.1f} | {cores} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "efficiency", "planning", "speed", "plan"])
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", default="1,2,3,4")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--trace", default=str(TRACES / "pmake.parquet"))
    parser.add_argument("--replays", default="5000,20000")
    parser.add_argument("--terabytes", type=float, default=10)
    parser.add_argument("--bytes-per-row", type=float, default=0.48, help="of the file")
    parser.add_argument("--decode-ns", type=float, default=6, help="CPU time of a row")
    parser.add_argument("--native-ns", type=float, default=22, help="CPU time of a row beside decoding")
    parser.add_argument("--disco-ns", type=float, default=24, help="CPU time of a row beside decoding")
    parser.add_argument("--lane-share", type=float, default=0.3, help="of a further hierarchy behind a front")
    arguments = parser.parse_args()
    silence()
    measures = {"overhead": overhead, "efficiency": efficiency, "planning": planning, "speed": speed}
    (measures | {"plan": plan_of_library})[arguments.what](arguments)


if __name__ == "__main__":
    main()
