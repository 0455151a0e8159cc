"""What the verbs that replay a trace have in common."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from discotrace.cli.console import no_progress, progress, remark

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from discotrace.analysis.configuration import Configuration
    from discotrace.replay.machine import Machine
    from discotrace.tracegen.reader import TraceReader


def configured(machine: str, changes: list[str] | None, vms: int | None, nfs: bool) -> Configuration:
    """The configuration that the options ask for. Raises ConfigError."""
    from discotrace.analysis.configuration import load

    shorthands = ([] if vms is None else [f"vm.count={vms}"]) + (["vm.nfs=true"] if nfs else [])
    return load(machine, [*(changes or []), *shorthands])


def replay_progress(reader: TraceReader, quiet: bool) -> AbstractContextManager[Callable[[int], None]]:
    """A progress bar over the rows of a trace; says before if the kernels must be compiled."""
    from discotrace.replay.kernels.compile import compiled_before

    if quiet:
        return no_progress()
    if not compiled_before():
        remark("compiling the replay kernels, once on this machine (about a minute) ...")
    return progress(reader.rows, "replaying", "rows")


def provenance(reader: TraceReader, machine: Machine, configuration: Configuration) -> dict[str, object]:
    """How to make a result again. ``machine`` is that of the configuration with its CPUs resolved."""
    from discotrace.analysis.provenance import of_replay

    return of_replay(reader, machine, configuration, command())


def command() -> str:
    """The command line that is being carried out."""
    return shlex.join(["discotrace", *sys.argv[1:]])
