"""The verb ``memory``: how much memory is in use, with and without sharing between virtual machines."""

from __future__ import annotations

from typing import Annotated

import typer

from discotrace.cli.console import out, print_json
from discotrace.cli.options import Changes, Json, MachineName, Quiet, Trace
from discotrace.cli.replaying import configured, provenance, replay_progress
from discotrace.tracegen.errors import ConfigError


def memory(
    trace: Trace,
    machine: MachineName = "flash",
    vms: Annotated[str, typer.Option(help="Numbers of virtual machines to compare.")] = "1,2,4,8",
    nfs: Annotated[bool, typer.Option("--nfs", help="Add the last of them with files served over NFS.")] = False,
    changes: Changes = None,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the memory footprint, natively and with 1, 2, 4, 8 virtual machines: figure 6 of the Disco paper.

    Virtual is what the guests believe to use, machine is what they use, where pages are shared. Both at the end of the
    trace and when most memory was in use. The monitor's own structures are reckoned from their sizes.
    """
    from discotrace.tracegen.reader import BATCH_ROWS, TraceReader

    numbers = _numbers(vms)
    configuration = configured(machine, changes, None, False)
    with TraceReader(trace) as reader:
        with replay_progress(reader, quiet) as advance:
            from discotrace.analysis.footprint import memory_runs, memory_use
            from discotrace.analysis.run import NO_WINDOWS, replay_runs

            runs = memory_runs(configuration.machine, numbers, nfs)
            replayed = replay_runs(reader, runs, NO_WINDOWS, advance, BATCH_ROWS)
        about = provenance(reader, replayed[0].run.machine, configuration)
        uses = [memory_use(one, reader.meta.cpus) for one in replayed]
    from discotrace.analysis.footprint_report import memory_json, memory_remarks, memory_tables

    if json_output:
        print_json(memory_json(about, uses))
        return
    console = out()
    for table in memory_tables(about, uses):
        console.print(table)
    for line in memory_remarks(about, uses):
        console.print(line, markup=False, soft_wrap=True)


def _numbers(vms: str) -> list[int]:
    from discotrace.replay.machine import MAX_VMS

    numbers = [int(part) if part.isdecimal() and len(part) < 9 else 0 for part in vms.replace(" ", "").split(",")]
    if not all(1 <= number <= MAX_VMS for number in numbers):
        raise ConfigError(f"--vms is {vms!r}, expected numbers from 1 to {MAX_VMS}, separated by commas")
    return numbers
