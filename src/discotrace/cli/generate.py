"""The verb ``generate``: runs a workload and writes its trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.console import err, out, print_json, remark
from discotrace.cli.options import Json, Quiet
from discotrace.tracegen.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from discotrace.tracegen.workloads.generate import Generated
    from discotrace.tracegen.workloads.knobs import Value
    from discotrace.tracegen.workloads.registry import Found
    from discotrace.tracegen.workloads.stage import StageParameters
    from discotrace.tracegen.workloads.workload import Workload

JSON_SCHEMA = 1
SECONDS_BETWEEN_UPDATES = 0.2


def generate(
    name: Annotated[
        str | None, typer.Argument(help="A workload, or the path of a .py file that has one.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Trace file to write.", show_default="NAME.parquet")
    ] = None,
    cpus: Annotated[int | None, typer.Option(help="Virtual CPUs of the trace.", show_default="the workload's")] = None,
    instances: Annotated[
        int | None, typer.Option(help="How often the workload runs side by side.", show_default="the workload's")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="1 = the length of the paper's run.", show_default="0.02")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes all that is random.", show_default="1")] = None,
    knob: Annotated[list[str] | None, typer.Option(help="Set a knob: name=value.", show_default=False)] = None,
    quantum: Annotated[
        int, typer.Option(help="Instructions that a process runs before another that is ready gets its CPU.")
    ] = 2_000_000,
    slice_length: Annotated[
        int, typer.Option("--slice", help="Instructions that a CPU runs before the next one's stand in the trace.")
    ] = 5_000,
    tick: Annotated[int, typer.Option(help="Instructions between clock interrupts of a CPU.")] = 1_000_000,
    affinity: Annotated[
        int, typer.Option(help="Every so many processes a CPU takes the one that waited longest; else its own.", min=1)
    ] = 64,
    compression: Annotated[
        int, typer.Option(help="Level of zstd: 9 makes files 6 to 31 % smaller, at 1.5 times the time.", min=1, max=22)
    ] = 3,
    list_workloads: Annotated[bool, typer.Option("--list", help="List the workloads.")] = False,
    show_knobs: Annotated[bool, typer.Option("--knobs", help="Show the workload's knobs.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a workload's real algorithms and write the trace of all they do, the OS's part included.

    Without NAME the workloads are listed. A workload of your own is one Python file: see docs/workloads.md.
    """
    if name is None or list_workloads:
        _print_list(json_output)
        return
    from discotrace.tracegen.workloads.registry import find_workload

    found = find_workload(name)
    if show_knobs:
        _print_knobs(found, json_output)
        return
    from discotrace.tracegen.workloads.stage import StageParameters

    parameters = StageParameters(quantum, slice_length, tick, affinity)
    common: dict[str, int | float | None] = {"scale": scale, "seed": seed}
    common |= {"cpus": _positive(cpus, "--cpus"), "instances": _positive(instances, "--instances")}
    workload = _configured(found, common, knob or [])
    target = _free_target(output or Path(f"{found.name}.parquet"), force)
    _write(found, workload, target, parameters, compression, json_output, quiet)


def _positive(value: int | None, option: str) -> int | None:
    if value is not None and value < 1:
        raise ConfigError(f"{option} is {value}, expected at least 1")
    return value


def _configured(found: Found, common: Mapping[str, int | float | None], given: list[str]) -> Workload:
    """The workload as asked for; knobs that are not given are those of its calibration, if it has one."""
    from discotrace.tracegen.workloads.calibrated import calibrated_knobs
    from discotrace.tracegen.workloads.knobs import make, parse_knobs

    values: dict[str, Value] = {name: value for name, value in common.items() if value is not None}
    values |= calibrated_knobs(found) | parse_knobs(found.kind, given)
    with found.blamed():
        return make(found.kind, values)


def _free_target(output: Path, force: bool) -> Path:
    """The path to write to; finds before the work what would make its end fail."""
    if output.is_dir():
        raise OutputError(f"cannot write {str(output)!r}: it is a directory, name a file")
    if not output.absolute().parent.is_dir():
        raise OutputError(f"cannot write {output}: there is no directory {output.parent}, make it first")
    if output.exists() and not force:
        raise OutputError(f"{output} is there already: choose another name, or replace it with --force")
    return output


def _write(
    found: Found,
    workload: Workload,
    target: Path,
    parameters: StageParameters,
    compression: int,
    json_output: bool,
    quiet: bool,
) -> None:
    from time import monotonic

    from discotrace.tracegen.workloads import generate as writing
    from discotrace.version import VERSION

    began = monotonic()
    with found.blamed(), _status(quiet) as advance:
        made = writing.generate(
            workload,
            found.name,
            target,
            version=VERSION,
            parameters=parameters,
            compression_level=compression,
            progress=advance,
            source_sha256=found.source_sha256,
        )
    seconds = monotonic() - began
    if not quiet:
        remark(f"took {seconds:.1f} s: {made.rows / max(seconds, 1e-9) / 1e6:.1f} M rows/s")
    _report(found, workload, target, made, json_output)


@contextmanager
def _status(quiet: bool) -> Iterator[Callable[[int], None]]:
    """A line on standard error, if that is a terminal, that says how far the workload is; nobody knows its end."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    from time import monotonic

    began = last = monotonic()
    instructions = 0
    with console.status("starting") as status:

        def show(more: int) -> None:
            nonlocal instructions, last
            instructions += more
            now = monotonic()
            if now - last >= SECONDS_BETWEEN_UPDATES:
                last = now
                rate = instructions / (now - began) / 1e6
                status.update(f"generated {instructions / 1e6:,.1f} M instructions of programs at {rate:.1f} M/s")

        yield show


def _report(found: Found, workload: Workload, target: Path, made: Generated, json_output: bool) -> None:
    if json_output:
        from dataclasses import asdict

        about = {"workload": found.name, "parameters": asdict(workload), "trace": str(target)}
        print_json({"schema": JSON_SCHEMA, **about, **asdict(made)})
        return
    processes = f"{made.processes} process" + ("es" if made.processes != 1 else "")
    out().print(
        f"wrote {target}: {made.rows:,} rows, {processes}, {made.instructions:,} instructions;"
        f" next: discotrace replay {target}",
        markup=False,
        soft_wrap=True,
    )


def _print_list(json_output: bool) -> None:
    from rich.table import Table

    from discotrace.tracegen.workloads.registry import find_workload, installed_workloads, shipped_workloads

    kinds = {name: find_workload(name).kind for name in shipped_workloads()}
    broken = []
    for name in installed_workloads():
        try:
            kinds[name] = find_workload(name).kind
        except ConfigError as fault:  # must not keep the others from view
            broken.append(str(fault))
    if json_output:
        listed = [
            {"name": n, "summary": k.summary, "cpus": k.default_cpus, "instances": k.default_instances}
            for n, k in kinds.items()
        ]
        print_json({"schema": JSON_SCHEMA, "workloads": listed})
        return
    table = Table("workload", "what it runs", "CPUs")
    for name, kind in kinds.items():
        table.add_row(name, kind.summary, str(kind.default_cpus))
    out().print(table)
    for reason in broken:
        err().print(f"note: {reason}", markup=False, soft_wrap=True)
    out().print("next: discotrace generate NAME, or its knobs: discotrace generate NAME --knobs", markup=False)


def _print_knobs(found: Found, json_output: bool) -> None:
    import inspect

    from rich.table import Table

    from discotrace.tracegen.workloads.calibrated import calibrated_knobs, calibration_file
    from discotrace.tracegen.workloads.knobs import knobs_of

    knobs, calibrated = knobs_of(found.kind), calibrated_knobs(found)
    if json_output:
        listed = [
            {"name": k.name, "type": k.type.__name__, "default": k.default, "about": k.about}
            | ({"calibrated": calibrated[k.name]} if k.name in calibrated else {})
            for k in knobs.values()
        ]
        print_json({"schema": JSON_SCHEMA, "workload": found.name, "knobs": listed})
        return
    console = out()
    console.print(f"{found.name}: {found.kind.summary}\n\n{inspect.getdoc(found.kind) or ''}\n", markup=False)
    table = Table("knob", "type", "default", *(["calibrated"] if calibrated else []), "what it is")
    for knob in knobs.values():
        value = [str(calibrated.get(knob.name, ""))] if calibrated else []
        table.add_row(knob.name, knob.type.__name__, str(knob.default), *value, knob.about)
    console.print(table)
    if calibrated:
        console.print(
            f"calibrated values are taken unless --knob says otherwise; they are in {calibration_file(found)}",
            markup=False,
            soft_wrap=True,
        )
