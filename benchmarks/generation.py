"""Measures how fast workloads become traces, in CPU time over all threads.

    python benchmarks/generation.py [--repeat 3] [--level 3] [--memory]

For each workload a process of its own runs it on a small scale first, so that compiled functions are there, and then on
a scale that gives millions of rows: once with its rows written to a file and once with them thrown away, in turns. The
best of each counts, because other programs can only add. Prints a Markdown table; ``--memory`` prints instead the peak
resident size at growing scales.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from discotrace.tracegen.schema import Rows, TraceMeta
from discotrace.tracegen.workloads.calibrated import calibrated_knobs
from discotrace.tracegen.workloads.generate import COMPRESSION_LEVEL, generate
from discotrace.tracegen.workloads.knobs import make
from discotrace.tracegen.workloads.registry import find_workload
from discotrace.tracegen.workloads.stage import Stage
from discotrace.tracegen.workloads.workload import Workload

SCALES = {"pmake": 0.05, "engineering": 0.1, "raytrace": 0.02, "database": 0.1, "radix": 0.01}
GROWTH = {"engineering": (0.05, 0.1, 0.2, 0.4), "database": (0.05, 0.4), "radix": (0.01, 0.04)}
WARM_UP = 0.0005


def configured(name: str, scale: float) -> Workload:
    """The workload as ``discotrace generate`` has it by default."""
    found = find_workload(name)
    return make(found.kind, {"scale": scale} | calibrated_knobs(found))


def discard(_: Rows) -> None:
    """Where rows go that nobody wants."""


def run_discarding(workload: Workload) -> None:
    """All of the work but the writer's."""
    stage = Stage(TraceMeta(workload.cpu_count), discard)
    workload.start(stage)
    stage.run()


def measure(name: str, scale: float, level: int, repeat: int) -> dict[str, float]:
    """Rows; best CPU seconds written and discarded; bytes; peak MiB of this process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.parquet"
        generate(configured(name, WARM_UP), name, path, version="benchmark", compression_level=level)
        written, discarded = [], []
        for _ in range(repeat):
            start = time.process_time()
            made = generate(configured(name, scale), name, path, version="benchmark", compression_level=level)
            written.append(time.process_time() - start)
            start = time.process_time()
            run_discarding(configured(name, scale))
            discarded.append(time.process_time() - start)
        size = path.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": made.rows, "written": min(written), "discarded": min(discarded), "bytes": size, "peak": peak}


def measured(name: str, scale: float, level: int, repeat: int) -> dict[str, float]:
    """The same, by a process of its own."""
    command = [sys.executable, __file__, "--only", name, "--scale", str(scale)]
    command += ["--level", str(level), "--repeat", str(repeat)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def print_speeds(level: int, repeat: int) -> None:
    """One row per workload."""
    print("| workload | scale | M rows | M rows / CPU s | without the writer | writer's share | bytes per row |")
    print("|---|---|---|---|---|---|---|")
    for name, scale in SCALES.items():
        one = measured(name, scale, level, repeat)
        rows = one["rows"] / 1e6
        share = 1 - one["discarded"] / one["written"]
        speeds = f"{rows / one['written']:.1f} | {rows / one['discarded']:.1f} | {share:.0%}"
        print(f"| {name} | {scale} | {rows:.1f} | {speeds} | {one['bytes'] / one['rows']:.2f} |", flush=True)


def print_memory(level: int) -> None:
    """Peaks of processes that each generate one trace."""
    print("| workload | scale | M rows | peak MiB |\n|---|---|---|---|")
    for name, scales in GROWTH.items():
        for scale in scales:
            one = measured(name, scale, level, 1)
            print(f"| {name} | {scale} | {one['rows'] / 1e6:.1f} | {one['peak']:.0f} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--level", type=int, default=COMPRESSION_LEVEL, help="of zstd")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of speed")
    parser.add_argument("--only", choices=SCALES, help="measure one workload and print JSON")
    parser.add_argument("--scale", type=float, default=WARM_UP, help="with --only")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments.only, arguments.scale, arguments.level, arguments.repeat)))
    elif arguments.memory:
        print_memory(arguments.level)
    else:
        print_speeds(arguments.level, arguments.repeat)


if __name__ == "__main__":
    main()
