"""The verb ``replay``: the main job."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.console import no_progress, out, print_json, progress, remark
from discotrace.tracegen.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from discotrace.analysis.counts_file import CountsFile

WINDOW = 1_000_000
MAX_WINDOW = 1 << 62  # the end of a window is a 64-bit number


def replay(
    trace: Annotated[str, typer.Argument(help="Trace file: a path or a URL (s3://, gs://, file://).")],
    machine: Annotated[str, typer.Option("--machine", "-m", help="Preset name or TOML file.")] = "flash",
    systems: Annotated[
        str, typer.Option("--system", "-s", help="Systems to compare, separated by commas.")
    ] = "native,disco",
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key: table.key=value.")] = None,
    window: Annotated[int, typer.Option(help="Length of a window of counts, in instructions of the trace.")] = WINDOW,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Write the counts to this Parquet file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    services: Annotated[bool, typer.Option("--services", help="Add a table of the OS services.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no remarks.")] = False,
) -> None:
    """Replay a trace: execution time and its parts, overheads, remote misses, TLB and cache rates, per system.

    The first replay on a machine compiles the kernels, which takes about half a minute; later ones start at once.
    Change anything of the machine with --set, for example --set tlb.entries=128 --set memory.remote_ns=600;
    see discotrace show-config for the keys.
    """
    if not 1 <= window <= MAX_WINDOW:
        raise ConfigError(f"--window is {window}, expected 1 to {MAX_WINDOW} instructions")
    target = None if output is None else _free_target(output, trace, force)
    counts = _replayed(trace, machine, systems, changes or [], window, quiet)
    if target is not None:
        from discotrace.analysis.counts_file import write

        write(target, counts)
        if not quiet:
            remark(f"wrote {target}; price it again with: discotrace price {target} --set memory.remote_ns=600")
    print_outcomes(counts, services, json_output)


def print_outcomes(counts: CountsFile, services: bool, json_output: bool) -> None:
    """Price counts with the configuration that they carry and print the answer."""
    from discotrace.analysis.report import json_of, outcomes, tables_of

    priced = outcomes(counts)
    if json_output:
        print_json(json_of(counts, priced))
        return
    for table in tables_of(counts, priced, services):
        out().print(table)


def _free_target(output: str, trace: str, force: bool) -> Path:
    """The path to write to; finds before the replay what would make its end fail."""
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


def _replayed(trace: str, machine: str, systems: str, changes: list[str], window: int, quiet: bool) -> CountsFile:
    from discotrace.analysis.configuration import Configuration, load
    from discotrace.tracegen.reader import TraceReader

    configuration = load(machine, changes)
    names = list(dict.fromkeys(name.strip() for name in systems.split(",") if name.strip()))
    with TraceReader(trace) as reader:
        from discotrace.replay.kernels.compile import compiled_before

        if not quiet and not compiled_before():
            remark("compiling the replay kernels, once on this machine (about half a minute) ...")
        from discotrace.analysis.run import replay_systems

        with no_progress() if quiet else progress(reader.rows, "replaying", "rows") as advance:
            finished = replay_systems(reader, configuration.machine, names, window, advance)
        from discotrace.analysis.counts_file import FORMAT_VERSION, CountsFile, join_systems
        from discotrace.version import VERSION

        about = {
            "format_version": FORMAT_VERSION,
            "discotrace": VERSION,
            "command": shlex.join(["discotrace", *sys.argv[1:]]),
            "trace": reader.identity(),
            "cpus": finished.machine.cpu.count,
            "systems": names,
            "window_instructions": window,
            "configuration": Configuration(finished.machine, configuration.prices).to_tables(),
        }
        return CountsFile(join_systems(finished.counts), about)
