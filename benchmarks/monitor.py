"""Measures what virtual machines, migration and many CPUs add to the time of a replay.

    python benchmarks/monitor.py TRACE [TRACE ...] [--repeat 5]

Traces of several instances on several CPUs, as `discotrace capture --instances N --cpus N` makes them; see
docs/capture.md. For each trace it prints a Markdown table: the monitor without events of its own (one virtual machine,
pages stay where they were first touched), with more virtual machines, with migration and replication at the presets'
thresholds and at lower ones. Rounds replay each once, one after the other in one process, so that ratios compare
neighbours in time; medians over the rounds count.
"""

import argparse
import statistics
import time

import polars as pl

from discotrace.analysis.configuration import load
from discotrace.analysis.run import replay_systems
from discotrace.replay.machine import Machine
from discotrace.tracegen.reader import TraceReader

WINDOW = 1_000_000
ROOM = ["memory.mib_per_node=256"]
QUIET = ["vm.count=1", "placement.policy=first-touch"]
# Rows for which the loop comes back to Python, by what is counted there.
TRAPS = ("pages_mapped", "file_reads", "file_writes", "process_exits", "cow_faults", "collapses", "hot_pages")


def variants(cpus: int) -> dict[str, list[str]]:
    vms = f"vm.count={min(cpus, 8)}"
    return {
        "1 VM, no migration": QUIET,
        f"{min(cpus, 8)} VMs, no migration": [vms, "placement.policy=first-touch"],
        f"{min(cpus, 8)} VMs, migration": [vms],
        f"{min(cpus, 8)} VMs, trigger 16": [vms, "migration.trigger=16", "migration.sharing=4"],
    }


def replayed(trace: str, machine: Machine) -> tuple[float, dict[str, int]]:
    """Seconds, and totals by event."""
    with TraceReader(trace) as reader:
        start = time.perf_counter()
        finished = replay_systems(reader, machine, ["disco"], WINDOW, lambda rows: None)
        seconds = time.perf_counter() - start
    counts = pl.from_arrow(finished.counts["disco"])
    assert isinstance(counts, pl.DataFrame)
    return seconds, dict(counts.group_by(pl.col("event").cast(pl.String)).agg(pl.col("count").sum()).iter_rows())


def print_table(trace: str, repeat: int) -> None:
    with TraceReader(trace) as reader:
        rows, cpus = reader.rows, reader.meta.cpus
    machines = {name: load("flash", [*ROOM, *changes]).machine for name, changes in variants(cpus).items()}
    rounds = [{name: replayed(trace, machine) for name, machine in machines.items()} for _ in range(repeat + 1)][1:]
    print(f"\n{rows:,} rows on {cpus} CPUs and nodes\n")
    print("| monitor | seconds | ns per row | time / 1 VM without migration | rows per trap | moves and copies |")
    print("|---|---|---|---|---|---|")
    first = next(iter(machines))
    for name in machines:
        seconds = statistics.median(one[name][0] for one in rounds)
        ratio = statistics.median(one[name][0] / one[first][0] for one in rounds)
        totals = rounds[0][name][1]
        traps = sum(totals.get(event, 0) for event in TRAPS)
        moved = sum(totals.get(event, 0) for event in ("migrations", "replications"))
        print(f"| {name} | {seconds:.2f} | {1e9 * seconds / rows:.1f} | {ratio:.2f} | {rows // traps:,} | {moved:,} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traces", nargs="+")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    for trace in arguments.traces:
        print_table(trace, arguments.repeat)


if __name__ == "__main__":
    main()
