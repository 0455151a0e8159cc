"""The verb ``sweep``: many points of a machine's parameters, with as few replays as they need."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discotrace.cli.console import err, out, print_json, remark
from discotrace.cli.folders import pasts_folder
from discotrace.cli.options import Json, On, Quiet
from discotrace.cli.replaying import command
from discotrace.tracegen.errors import CheckFailedError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from discotrace.analysis.sweep.plan import Plan
    from discotrace.analysis.sweep.spec import Spec
    from discotrace.analysis.sweep.sweep import Summary
    from discotrace.analysis.sweep.workers import Workers

JSON_SCHEMA = 1
SWEEP_FILE = ".toml"
REASONS = 10  # why points are missing: so many are told


def sweep(
    traces: Annotated[list[str], typer.Argument(metavar="TRACE...", help="Trace files, or a sweep file (.toml).")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Values of a key: table.key=16,32 or 300:1800:100 or 256:8192:x2.")
    ] = None,
    systems: Annotated[
        str | None, typer.Option("--system", "-s", help="Systems, separated by commas.", show_default="native,disco")
    ] = None,
    vms: Annotated[str | None, typer.Option(help="Numbers of virtual machines; short for --set vm.count=...")] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", "-m", help="Preset name or TOML file.", show_default="flash")
    ] = None,
    together: Annotated[
        list[str] | None, typer.Option("--zip", help="Keys whose values go together: l1i.size_kib,l1d.size_kib.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only points that fulfil this: 'l2.size_kib >= 8 * l1d.size_kib'.")
    ] = None,
    random: Annotated[int | None, typer.Option(help="Draw so many points instead of the whole grid.")] = None,
    lhs: Annotated[int | None, typer.Option(help="Likewise, spread evenly: a Latin hypercube.")] = None,
    seed: Annotated[int | None, typer.Option(help="For what is drawn.", show_default="1")] = None,
    window: Annotated[
        int | None, typer.Option(help="Length of a window of counts, in instructions.", show_default="1000000")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Replay intervals only; figures with their spread.")] = False,
    sample_intervals: Annotated[
        int | None, typer.Option(help="How many, or up to a quarter more.", show_default="25")
    ] = None,
    sample_seed: Annotated[int | None, typer.Option(help="Where the first begins.", show_default="1")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for counts and results.")] = Path("sweep"),
    force: Annotated[bool, typer.Option("--force", help="Replace the results of another sweep in the folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it takes, and do nothing.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="An impossible point ends the sweep.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes, or jobs.", show_default="all cores")] = None,
    on: On = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write results.csv too.")] = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Try many points of a machine's parameters: every combination of what --set gives, each under every system.

    Points that differ in prices alone (latencies, clock, costs) share one replay, and replays of a trace share what
    they can. What is finished is kept: the same command goes on where it was stopped. The results are one row a point
    in FOLDER/results.parquet.
    """
    options = {"machine": machine, "systems": systems, "zip": together, "where": where, "random": random, "lhs": lhs}
    options |= {"seed": seed, "window": window, "sample": sample or None}
    options |= {"sample_intervals": sample_intervals, "sample_seed": sample_seed}
    spec = _spec(traces, changes or [], vms, {key: value for key, value in options.items() if value is not None})
    from discotrace.analysis.sweep.workforce import workers_on

    workforce = workers_on(on, workers)
    with _status("planning", quiet):
        from discotrace.analysis.sweep.plan import planned

        plan = planned(spec)
    if strict and plan.skipped.height:
        raise ConfigError(f"{plan.skipped.height:,} points are impossible; the first: {plan.skipped['why'][0]}")
    if dry_run:
        _estimate(plan, output, workers, json_output)
        return
    summary = _swept(plan, output, workforce, force, quiet)
    _report(plan, output, summary, csv, json_output, quiet)
    if summary.failed:
        raise CheckFailedError(f"{summary.failed:,} points failed; the same command tries them again")


def _spec(traces: list[str], changes: list[str], vms: str | None, options: dict[str, Any]) -> Spec:
    """A sweep file, if there is one, with what the options say in place of its entries."""
    from discotrace.analysis.sweep.spec import parse_changes, read_file, spec_of

    files = [trace for trace in traces if trace.endswith(SWEEP_FILE)]
    if len(files) > 1:
        raise ConfigError(f"several sweep files: {', '.join(files)}; give one")
    tree = read_file(files[0]) if files else {}
    given = parse_changes([*changes, *([] if vms is None else [f"vm.count={vms}"])])
    if len(files) < len(traces):
        tree["traces"] = [trace for trace in traces if not trace.endswith(SWEEP_FILE)]
    return spec_of({**tree, **options, "set": {**tree.get("set", {}), **given}})


def _status(what: str, quiet: bool) -> AbstractContextManager[object]:
    """A line on standard error, if that is a terminal, while something is done that may take a moment."""
    console = err()
    return nullcontext() if quiet or not console.is_terminal else console.status(what)


def _estimate(plan: Plan, output: Path, workers: int | None, json_output: bool) -> None:
    from dataclasses import asdict

    from discotrace.analysis.sweep.estimate import estimated
    from discotrace.analysis.sweep.folder import SweepFolder
    from discotrace.analysis.sweep.local import cores

    processes = workers or cores()
    found = estimated(plan, SweepFolder(output).counted(), processes)
    if json_output:
        print_json({"schema": JSON_SCHEMA, "dry_run": True, **asdict(found), "workers": processes})
        return
    console = out()
    there = found.replays - found.missing
    guessed = "; a guess" if plan.spec.sample else "; a guess: nothing is compiled yet"
    speed = "" if found.measured or not found.missing else guessed
    for line in (
        f"{found.points:,} points, {found.impossible:,} of them impossible",
        f"{found.replays:,} distinct replays, {there:,} of them there already; {found.fronts:,} runs through a trace",
        f"about {_duration(found.seconds)} and {found.memory_mib:,.0f} MiB in {processes} processes{speed}",
    ):
        console.print(line, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def _swept(plan: Plan, output: Path, workers: Callable[[], Workers], force: bool, quiet: bool) -> Summary:
    from discotrace.analysis.sweep.folder import SweepFolder
    from discotrace.analysis.sweep.sweep import sweep as carry_out
    from discotrace.cli.sweep_progress import watching

    folder = SweepFolder(output)
    try:
        with watching(plan, quiet) as watcher:
            return carry_out(plan, folder, pasts_folder(), workers, watcher, command(), force)
    except KeyboardInterrupt:
        if not quiet:
            err().print(f"what is finished is kept in {output}; the same command goes on", markup=False, soft_wrap=True)
        raise


def _report(plan: Plan, output: Path, summary: Summary, csv: bool, json_output: bool, quiet: bool) -> None:
    from dataclasses import asdict

    from discotrace.analysis.sweep.folder import SweepFolder
    from discotrace.analysis.sweep.results import write_csv

    folder = SweepFolder(output)
    if csv:
        write_csv(folder)
    if json_output:
        print_json({"schema": JSON_SCHEMA, **asdict(summary), "folder": str(output), "results": str(folder.results)})
        return
    console = out()
    replays = f"{summary.replays:,} replays, {summary.replays_made:,} of them made now"
    done = f"{summary.done:,} of {summary.points:,} points from {replays}, in {_duration(summary.seconds)}"
    console.print(f"{done}: {folder.results}", markup=False, soft_wrap=True)
    for reason, points in list(summary.reasons.items())[:REASONS]:
        console.print(f"left out: {points:,} points: {reason}", markup=False, soft_wrap=True)
    if len(summary.reasons) > REASONS:
        console.print(f"and {len(summary.reasons) - REASONS:,} more reasons: column why", markup=False)
    if not quiet and plan.spec.axes:
        remark(f"next: discotrace best {output} --minimize time; discotrace effects {output}")
