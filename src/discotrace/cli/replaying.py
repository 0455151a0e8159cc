"""What the verbs that replay a trace have in common."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from discotrace.cli.console import no_progress, progress, remark
from discotrace.tracegen.errors import OutputError

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


def free_target(output: str, trace: str, force: bool) -> Path:
    """The path to write to; finds before the replay what would make its end fail. Raises OutputError."""
    target = Path(output)
    if target.is_dir():
        raise OutputError(f"cannot write {output!r}: it is a directory, name a file")
    if target.exists() and not force:
        raise OutputError(f"{target} exists; overwrite it with --force")
    if target.exists() and Path(trace).exists() and target.samefile(trace):
        raise OutputError(f"{target} is the trace itself: choose another name")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: there is no directory {target.parent}, make it first")
    return target


def replay_progress(
    reader: TraceReader, quiet: bool, loop: str = "replay_rows", description: str = "replaying"
) -> AbstractContextManager[Callable[[int], None]]:
    """A progress bar over the rows of a trace; says before if the kernels of ``loop`` must be compiled."""
    from discotrace.replay.kernels.compile import compiled_before

    if quiet:
        return no_progress()
    if not compiled_before(loop):
        remark("compiling the replay kernels, once on this machine (about a minute) ...")
    return progress(reader.rows, description, "rows")


def provenance(reader: TraceReader, machine: Machine, configuration: Configuration) -> dict[str, object]:
    """How to make a result again. ``machine`` is that of the configuration with its CPUs resolved."""
    from discotrace.analysis.provenance import of_replay

    return of_replay(reader, machine, configuration, command())


def command() -> str:
    """The command line that is being carried out."""
    return shlex.join(["discotrace", *sys.argv[1:]])
