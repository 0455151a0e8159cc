"""The traces of the experiments: made once, found again by what they were made from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from discotrace.analysis.keeping import sources_digest
from discotrace.analysis.paper.experiments import SEED, TraceSpec
from discotrace.analysis.paper.store import Store
from discotrace.tracegen.workloads.calibrated import calibrated_knobs
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.knobs import Value, make
from discotrace.tracegen.workloads.registry import find_workload
from discotrace.version import VERSION


def made_from(spec: TraceSpec) -> dict[str, Any]:
    """All that decides what is in a trace: knobs are in the sources, those of a calibration too."""
    return {
        "workload": spec.workload,
        **_common(spec),
        "version": VERSION,
        "sources": sources_digest("discotrace.tracegen"),
    }


def trace_path(store: Store, spec: TraceSpec) -> Path:
    """Where a trace is, or belongs."""
    return store.trace(spec.name, made_from(spec))


def make_trace(spec: TraceSpec, path: Path, progress: Callable[[int], None] = lambda _: None) -> None:
    """Generate a trace, whole or not at all. ``progress`` is told instructions. Raises OutputError."""
    found = find_workload(spec.workload)
    workload = make(found.kind, _common(spec) | calibrated_knobs(found))
    generate(workload, found.name, path, version=VERSION, progress=progress)


def _common(spec: TraceSpec) -> dict[str, Value]:
    return {"cpus": spec.cpus, "instances": spec.instances, "scale": spec.scale, "seed": SEED}
