"""How a result can be made again: what stands in every output file and in JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from discotrace.analysis.configuration import Configuration
from discotrace.replay.crash import Crash, Loss
from discotrace.replay.machine import Machine
from discotrace.tracegen.reader import TraceReader
from discotrace.version import VERSION


def of_replay(reader: TraceReader, machine: Machine, configuration: Configuration, command: str) -> dict[str, Any]:
    """How a replay can be made again. ``machine`` is that of the configuration with its CPUs resolved."""
    return {
        "discotrace": VERSION,
        "command": command,
        "trace": reader.identity(),
        "instances": len({process.instance for process in reader.meta.processes}),
        "cpus": machine.cpu.count,
        "configuration": replace(configuration, machine=machine).to_tables(),
    }


def of_counts(
    reader: TraceReader,
    systems: Sequence[str],
    window: int,
    crash: Crash | None = None,
    losses: Mapping[str, Loss] | None = None,
) -> dict[str, Any]:
    """What prices must know of counts beside that. ``window`` in instructions; ``losses`` by system."""
    made = reader.meta.provenance
    return {
        "jobs": made.get("parameters", {}).get("jobs"),
        "runs_on": made.get("runs_on", False),
        "systems": list(systems),
        "window_instructions": window,
        "crash": crash and asdict(crash),
        "losses": {name: asdict(loss) for name, loss in (losses or {}).items()},
    }
