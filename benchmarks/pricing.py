"""Measures pricing: one vector of prices after the other, and many at once, of counts that are arranged.

    python benchmarks/pricing.py COUNTS [COUNTS ...] [--repeat 50] [--points 1000000]

Counts files as `discotrace replay TRACE -o COUNTS` leaves them, with the prices that they carry. Prints Markdown
tables. First many points of a sweep, where waiting is interpolated, by how many prices vary: evenly drawn from RANGES,
the figures made CHUNK points at a time, as a sweep writes them. Then the first pricing of arranged counts, which sums
them; a further one (median and least of the repeats, a vector of its own each time, waiting of all kinds included); one
of many at once, with waiting and without, each price drawn around its own, wall time per vector. Then what compiling
takes: CPU time of a process with an empty folder of compiled functions, less that of the next one.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

from discotrace.analysis.bulk_pricing import priced
from discotrace.analysis.configuration import from_tables
from discotrace.analysis.counts_file import read
from discotrace.analysis.ledger import Ledger
from discotrace.analysis.outcome import Counted, counted
from discotrace.analysis.polynomial import Basis
from discotrace.analysis.price_points import PricePoints
from discotrace.analysis.prices import Prices
from discotrace.analysis.site import Site
from discotrace.analysis.sweep.blocks import CHUNK
from discotrace.analysis.sweep.figures import ERROR, Pricer
from discotrace.analysis.waiting import solved

WAITED_FOR = ("memory.controller_ns", "memory.port_ns", "locks.handoff_ns", "disks.request_ms", "disks.page_ms")
RANGES = {
    "memory.remote_ns": (300, 1800),
    "memory.local_ns": (200, 600),
    "cpu.clock_mhz": (100, 800),
    "memory.controller_ns": (100, 400),
}
SPREAD = 0.2  # standard deviation of a price's logarithm
MANY_WITH_WAITING = 200


def arranged(path: str) -> tuple[dict[str, Counted], Prices]:
    """The counts of each system, and their prices."""
    stored = read(path)
    about, configuration = stored.about, from_tables(stored.about["configuration"])
    site = Site(configuration.machine, about["instances"], about.get("jobs"), about.get("runs_on", False))
    return {name: counted(name, stored.of_system(name), site) for name in about["systems"]}, configuration.prices


def drawn(prices: Prices, points: int, *, with_waiting: bool) -> PricePoints:
    """Vectors around one."""
    random, changes = np.random.default_rng(1), {}
    for table, values in prices.to_tables().items():
        for name, value in values.items():
            changes[f"{table}.{name}"] = value * np.exp(random.normal(0, SPREAD, points))
    if not with_waiting:
        changes |= dict.fromkeys(WAITED_FOR, np.zeros(points))
    return PricePoints.of(prices, changes)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_row(label: str, one: Ledger, prices: Prices, repeat: int, points: int) -> None:
    some, many = (drawn(prices, number, with_waiting=True) for number in (repeat, MANY_WITH_WAITING))
    first = seconds(lambda: solved(one, some.part(slice(0, 1))))
    further = [seconds(lambda k=k: solved(one, some.part(slice(k, k + 1)))) for k in range(repeat)]
    waiting = seconds(lambda: priced(one, many)) / MANY_WITH_WAITING
    free = drawn(prices, points, with_waiting=False)
    priced(one, free.part(slice(0, 1)))
    without = seconds(lambda: priced(one, free))
    ms = [1e3 * value for value in (first, statistics.median(further), min(further), waiting)]
    print(f"| {label} | {' | '.join(f'{value:.2f}' for value in ms)} | {without:.2f} |", flush=True)


def print_interpolated(label: str, one: Counted, prices: Prices, points: int) -> None:
    """Rows of the first table: 1, 2, 3 and 4 prices vary."""
    for number in (1, 2, 3, 4):
        random = np.random.default_rng(number)
        changes = {key: random.uniform(*RANGES[key], points) for key in list(RANGES)[:number]}
        wall, cpu, error = time.perf_counter(), time.process_time(), 0.0
        pricer = Pricer(one, prices, changes)
        making = time.perf_counter() - wall
        for start in range(0, points, CHUNK):
            part = {key: values[start : start + CHUNK] for key, values in changes.items()}
            found = pricer.figures(part, len(part[next(iter(part))]))
            error = max(error, float(found[ERROR].max()))  # type: ignore[arg-type]
        took = time.perf_counter() - wall, time.process_time() - cpu
        mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {label} | {number} | {making:.2f} | {took[0]:.2f} | {took[1]:.2f} | {error:.0e} | {mib:,.0f} |",
            flush=True,
        )


def cpu_seconds_of_a_process(counts: str, folder: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "discotrace", "price", counts, "--json"]
    environment = os.environ | {"NUMBA_CACHE_DIR": folder}
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="+")
    parser.add_argument("--repeat", type=int, default=50)
    parser.add_argument("--points", type=int, default=1_000_000, help="vectors of prices without waiting")
    arguments = parser.parse_args()
    ledgers = {path: arranged(path) for path in arguments.counts}
    for of_systems, prices in ledgers.values():  # compiles what is not compiled, and loads it
        for one in of_systems.values():
            priced(one.ledger, drawn(prices, 2, with_waiting=True))
    Basis(1, 2).terms(np.zeros((1, 1)))
    print(f"| {arguments.points:,} points of | prices that vary | fitting, s | all, s | CPU, s | error | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    of_systems, prices = arranged(arguments.counts[0])
    for name, one in of_systems.items():
        print_interpolated(
            f"{os.path.basename(arguments.counts[0]).partition('.')[0]}, {name}", one, prices, arguments.points
        )
    print()
    print(
        f"| counts | first, ms | further, ms: median | least | of many, ms | {arguments.points:,} without waiting, s |"
    )
    print("|---|---|---|---|---|---|")
    for path in ledgers:
        of_systems, prices = arranged(path)
        for name, one in of_systems.items():
            label = f"{os.path.basename(path).partition('.')[0]}, {name}, {one.ledger.site.cpus} CPUs"
            print_row(label, one.ledger, prices, arguments.repeat, arguments.points)
    with tempfile.TemporaryDirectory() as folder:
        cold, warm = (cpu_seconds_of_a_process(arguments.counts[0], folder) for _ in range(2))
    print(f"\ncompiling: {cold - warm:.1f} s of CPU time; a process that prices counts once then takes {warm:.1f} s")


if __name__ == "__main__":
    main()
