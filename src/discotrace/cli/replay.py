"""The verb ``replay``: the main job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.console import out, print_json, remark
from discotrace.cli.crash import crash_point
from discotrace.cli.options import Changes, Json, MachineName, Nfs, On, Quiet, Services, Trace, Vms
from discotrace.cli.replaying import command, configured, free_target, replay_progress
from discotrace.cli.sampled import check_not_with_sample, print_estimates, sampled_counts
from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from discotrace.analysis.configuration import Configuration
    from discotrace.analysis.counts_file import CountsFile

WINDOW = 1_000_000
MAX_WINDOW = 1 << 62  # the end of a window is a 64-bit number


def replay(
    trace: Trace,
    machine: MachineName = "flash",
    systems: Annotated[
        str, typer.Option("--system", "-s", help="Systems to compare, separated by commas: native, disco, splashos.")
    ] = "native,disco",
    vms: Vms = None,
    nfs: Nfs = False,
    crash: Annotated[str | None, typer.Option(help="Let a virtual machine die: vm=2,at=50% (of the rows).")] = None,
    changes: Changes = None,
    window: Annotated[int, typer.Option(help="Length of a window of counts, in instructions of the trace.")] = WINDOW,
    output: Annotated[str | None, typer.Option("--output", "-o", help="Write the counts to this Parquet file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    services: Services = False,
    sample: Annotated[bool, typer.Option("--sample", help="Replay intervals only; figures with their spread.")] = False,
    intervals: Annotated[
        int | None, typer.Option("--sample-intervals", help="How many, or up to a quarter more.", show_default="25")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--sample-seed", help="Where the first of them begins.", show_default="1")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes, or jobs, that replay intervals.", show_default="1")
    ] = None,
    on: On = None,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Replay a trace: execution time and its parts, overheads, remote misses, TLB and cache rates, per system.

    The first replay on a machine compiles the kernels, which takes about a minute; later ones start at once.
    Change anything of the machine with --set, for example --set tlb.entries=128 --set memory.remote_ns=600;
    see discotrace show-config for the keys.
    """
    if not 1 <= window <= MAX_WINDOW:
        raise ConfigError(f"--window is {window}, expected 1 to {MAX_WINDOW} instructions")
    configuration = configured(machine, changes, vms, nfs)
    target = None if output is None else free_target(output, trace, force)
    if sample:
        from discotrace.analysis.sampling.choice import Sample
        from discotrace.analysis.sampling.run import Asked
        from discotrace.analysis.sweep.workforce import workers_beside

        check_not_with_sample(crash=crash, services=services)
        given = {"intervals": intervals, "seed": seed}
        choice = Sample(**{name: value for name, value in given.items() if value is not None})
        asked = Asked(window, choice, workers_beside(on, workers))
        counts = sampled_counts(trace, configuration, systems, asked, command(), quiet)
    else:
        if any(given is not None for given in (intervals, seed, workers, on)):
            raise ConfigError(
                "--sample-intervals, --sample-seed, --workers and --on are for intervals of a trace: give --sample"
            )
        counts = _replayed(trace, configuration, systems, crash, window, quiet)
    if target is not None:
        from discotrace.analysis.counts_file import write

        write(target, counts)
        if not quiet:
            remark(f"wrote {target}; price it again with: discotrace price {target} --set memory.remote_ns=600")
    print_outcomes(counts, services, json_output)


def print_outcomes(counts: CountsFile, services: bool, json_output: bool) -> None:
    """Price counts with the configuration that they carry and print the answer."""
    from discotrace.analysis.remarks import remarks
    from discotrace.analysis.report import json_of, outcomes, tables_of
    from discotrace.analysis.sampling.stored import is_sample

    if is_sample(counts):
        check_not_with_sample(services=services)
        print_estimates(counts, json_output)
        return

    priced = outcomes(counts)
    if json_output:
        print_json(json_of(counts, priced))
        return
    console = out()
    for table in tables_of(counts, priced, services):
        console.print(table)
    for line in remarks(counts.about, priced):
        console.print(line, markup=False, soft_wrap=True)


def _replayed(
    trace: str, configuration: Configuration, systems: str, crash: str | None, window: int, quiet: bool
) -> CountsFile:
    from discotrace.tracegen.reader import TraceReader

    point = None if crash is None else crash_point(crash, configuration.machine)
    with TraceReader(trace) as reader, replay_progress(reader, quiet) as advance:
        from discotrace.analysis.replayed import replayed

        death = point.in_trace(reader.rows) if point else None
        return replayed(reader, configuration, systems, window, death, command(), advance)
