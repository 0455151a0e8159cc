"""Writes the trace of a workload."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

from discotrace.tracegen.schema import TraceMeta
from discotrace.tracegen.workloads.stage import Stage, StageParameters
from discotrace.tracegen.workloads.workload import Workload
from discotrace.tracegen.writer import TraceWriter

COMPRESSION_LEVEL = 3  # of zstd; docs/performance.md, Generation, has what other levels cost


@dataclass(frozen=True)
class Generated:
    """What was written. ``instructions``: of programs and kernel."""

    rows: int
    processes: int
    instructions: int


def generate(
    workload: Workload,
    name: str,
    path: str | os.PathLike[str],
    *,
    version: str,
    parameters: StageParameters | None = None,
    compression_level: int = COMPRESSION_LEVEL,
    progress: Callable[[int], None] = lambda _: None,
    source_sha256: str | None = None,
) -> Generated:
    """Run a workload on its CPUs and write what it does, in bounded memory.

    Equal workloads and parameters give equal bytes. ``progress`` is told how many instructions of programs have been
    added; ``source_sha256`` is that of the file of a user's own workload. Raises ConfigError for knobs that do not fit
    together, OutputError when ``path`` cannot be written.
    """
    parameters = parameters or StageParameters()
    provenance: dict[str, object] = {
        "generator": name,
        "version": version,
        "seed": workload.seed,
        "runs_on": workload.runs_on,
        "parameters": asdict(workload) | asdict(parameters),
    } | ({} if source_sha256 is None else {"source_sha256": source_sha256})
    meta = TraceMeta(workload.cpu_count, provenance=provenance)
    with TraceWriter(path, meta, compression_level=compression_level) as writer:
        stage = Stage(meta, writer.write, parameters)
        workload.start(stage)
        stage.run(progress)
    return Generated(writer.rows, len(meta.processes), stage.instructions)
