"""Measures replay: rows, references and instructions per second, memory, start-up, against decoding alone.

    python benchmarks/replay.py [--trace FILE] [--rows 50000000] [--repeat 5]

Prints Markdown tables. A trace shorter than ``--rows`` is repeated in a temporary file, the processes of each copy
under numbers and segments of their own, so that every copy maps its pages again; the kernel is the same throughout.
Every measurement is a process of its own. Rounds measure each task once, one after the other, so that a ratio to
decoding compares neighbours in time; medians over the rounds count. Decoding alone iterates over
``TraceReader.batches`` and touches nothing. A reference is an instruction or a LOAD or STORE row.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import METADATA_KEY, Kind, Rows, TraceMeta
from discotrace.tracegen.writer import ARROW_SCHEMA, PARQUET_OPTIONS

TASKS = {"decode only": [], "native": ["native"], "disco": ["disco"], "native and disco": ["native", "disco"]}
MACHINE = "flash"
CHANGES = ["memory.mib_per_node=1024"]  # room for the copies of processes that never exit
WINDOW = 1_000_000  # instructions, what the command line takes
SHIPPED = Path(__file__).parents[1] / "traces" / "pmake.parquet"


def repeated_meta(meta: TraceMeta, copies: int) -> TraceMeta:
    """Processes and segments of every copy; segments of the kernel stand once."""
    span = max((process.asid for process in meta.processes), default=0)
    processes, segments = list(meta.processes), list(meta.segments)
    for copy in range(1, copies):
        shift = copy * span
        for process in meta.processes:
            parent = process.parent + shift if process.parent else 0
            processes.append(replace(process, asid=process.asid + shift, parent=parent))
        segments += [replace(s, asid=s.asid + shift) for s in meta.segments if s.asid]
    return replace(meta, processes=processes, segments=segments)


def segment_numbers(meta: TraceMeta, copy: int) -> npt.NDArray[np.uint32]:
    """New number of each segment in one copy, in the metadata of ``repeated_meta``."""
    own = np.array([segment.asid != 0 for segment in meta.segments], bool)
    numbers = np.arange(len(own), dtype=np.uint32)
    if copy:
        numbers[own] = len(own) + (copy - 1) * own.sum() + np.arange(own.sum())
    return numbers


def repeated_rows(reader: TraceReader, copies: int) -> Iterator[Rows]:
    """The rows of all copies, one after the other."""
    span = max((process.asid for process in reader.meta.processes), default=0)
    for copy in range(copies):
        shift = np.uint32(copy * span)
        numbers = segment_numbers(reader.meta, copy)
        for rows in reader.batches(1 << 20):
            arg = rows.arg.copy()
            of_map = (rows.kind == Kind.MAP) | (rows.kind == Kind.UNMAP)
            arg[of_map] = numbers[arg[of_map]]
            arg[(rows.kind == Kind.SWITCH) & (arg != 0)] += shift
            yield rows._replace(asid=np.where(rows.asid != 0, rows.asid + shift, rows.asid), arg=arg)


def write_repeated(source: str, copies: int, path: Path) -> None:
    """A trace ``copies`` times as long, encoded as every trace."""
    with (
        TraceReader(source) as reader,
        pq.ParquetWriter(path, ARROW_SCHEMA, compression_level=3, **PARQUET_OPTIONS) as out,
    ):
        for rows in repeated_rows(reader, copies):
            out.write_table(pa.Table.from_arrays([pa.array(c) for c in rows], schema=ARROW_SCHEMA))
        out.add_key_value_metadata({METADATA_KEY: repeated_meta(reader.meta, copies).to_json().encode()})


def peak_mib() -> float:
    """Peak resident memory of this process in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def run_task(task: str, trace: str) -> dict[str, float]:
    """Seconds of one task, compiled kernels being loaded already, and the peak memory of this process."""
    if not TASKS[task]:
        with TraceReader(trace) as reader:
            start = time.perf_counter()
            for _ in reader.batches():
                pass
        return {"seconds": time.perf_counter() - start, "mib": peak_mib()}
    from discotrace.analysis.configuration import load  # noqa: PLC0415 - decoding alone must not pay for it
    from discotrace.analysis.run import replay_systems  # noqa: PLC0415 - likewise

    machine = load(MACHINE, CHANGES).machine
    seconds = []
    for _ in range(2):  # the first time loads the kernels
        with TraceReader(trace) as reader:
            start = time.perf_counter()
            replay_systems(reader, machine, TASKS[task], WINDOW, lambda rows: None)
            seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[1], "mib": peak_mib()}


def measured(task: str, trace: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--task", task, "--trace", str(trace)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def sizes(trace: Path) -> dict[str, int]:
    """Rows, references and instructions of a trace."""
    rows = instructions = data = 0
    with TraceReader(trace) as reader:
        for batch in reader.batches():
            rows += len(batch.kind)
            instructions += int(batch.arg[batch.kind == Kind.FETCH].sum(dtype=np.int64))
            data += int(((batch.kind == Kind.LOAD) | (batch.kind == Kind.STORE)).sum())
    return {"rows": rows, "references": instructions + data, "instructions": instructions}


def print_speeds(trace: Path, repeat: int) -> None:
    """The table of tasks: medians over rounds."""
    counted = sizes(trace)
    rounds = [{task: measured(task, trace) for task in TASKS} for _ in range(repeat)]
    print("| task | seconds | M rows/s | M references/s | M instructions/s | time / decode only | peak MiB |")
    print("|---|---|---|---|---|---|---|")
    for task, systems in TASKS.items():
        seconds = statistics.median(r[task]["seconds"] for r in rounds)
        ratio = statistics.median(r[task]["seconds"] / r["decode only"]["seconds"] for r in rounds)
        peak = max(r[task]["mib"] for r in rounds)
        times = max(len(systems), 1)  # two systems replay every row twice
        speeds = " | ".join(f"{times * n / seconds / 1e6:.0f}" for n in counted.values())
        print(f"| {task} | {seconds:.2f} | {speeds} | {ratio:.2f} | {peak:.0f} |")


def wall(command: list[str], cache: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"NUMBA_CACHE_DIR": cache})
    return time.perf_counter() - start


def print_starts(trace: str, repeat: int) -> None:
    """Whole commands, from the shell's point of view, with an empty and with a filled folder of compiled kernels."""
    discotrace = [sys.executable, "-m", "discotrace"]
    print("| command | cold, s | warm, s |\n|---|---|---|")
    for name, command in {
        "discotrace --help": [*discotrace, "--help"],
        f"discotrace replay {Path(trace).name} (native and disco)": [*discotrace, "replay", trace, "--quiet"],
    }.items():
        with tempfile.TemporaryDirectory() as cache:
            cold = wall(command, cache)
            warm = statistics.median(wall(command, cache) for _ in range(repeat))
        print(f"| `{name}` | {cold:.2f} | {warm:.2f} |")


def print_heading(trace: Path, source: str, copies: int) -> None:
    cpu = next(
        (line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ""
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "pyarrow"))
    counted = ", ".join(f"{n:,} {what}" for what, n in sizes(trace).items())
    print(f"{datetime.now(UTC):%Y-%m-%d}; {cpu}, {os.cpu_count()} CPUs; ", end="")
    print(f"Python {platform.python_version()}, {versions}; machine `{MACHINE}`.")
    print(f"{Path(source).name} {copies} times: {counted}.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", default=str(SHIPPED))
    parser.add_argument("--rows", type=int, default=50_000_000, help="repeat the trace until it has at least so many")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(run_task(arguments.task, arguments.trace)))
        return
    with TraceReader(arguments.trace) as reader:
        copies = -(-arguments.rows // reader.rows)
    with tempfile.TemporaryDirectory() as directory:
        trace = Path(directory) / "repeated.parquet"
        write_repeated(arguments.trace, copies, trace)
        print_heading(trace, arguments.trace, copies)
        print_speeds(trace, arguments.repeat)
    print()
    print_starts(arguments.trace, arguments.repeat)


if __name__ == "__main__":
    main()
