"""The verb ``calibrate``: searches the knobs of a workload that bring it to its targets, or fits prices."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.calibrate_prices import MONITOR, PRICES, calibrate_prices
from discotrace.cli.console import err, out, print_json, remark
from discotrace.cli.options import Json, Quiet
from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from discotrace.analysis.calibration import Calibrated
    from discotrace.tracegen.workloads.knobs import Value

JSON_SCHEMA = 1
EVALUATIONS = 24


def calibrate(
    name: Annotated[str, typer.Argument(help="A workload, the path of a .py file that has one, or: prices, monitor.")],
    scale: Annotated[
        float | None, typer.Option(help="Length of the trial runs.", show_default="0.02; prices: as paper")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Makes all that is random.", show_default="1")] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="A target: measure=value.", show_default="the published ones")
    ] = None,
    search: Annotated[
        list[str] | None, typer.Option(help="A knob to search: knob=low,high.", show_default="the workload's")
    ] = None,
    knob: Annotated[list[str] | None, typer.Option(help="Start at: name=value.", show_default=False)] = None,
    evaluations: Annotated[
        int | None, typer.Option(help="How many trial runs at most.", min=1, show_default=str(EVALUATIONS))
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier calibration.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Prices: folder for traces and counts.", show_default="in the user's cache")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Prices: write this file.", show_default="the one machine files read"),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search the knobs with which a workload, run natively on FLASH, comes closest to what the paper measured of it.

    Only published values marked "calibrate" are targets; what the model must predict cannot be read here. The result
    goes to calibrated.toml beside the workload, from where generate takes it.

    With "prices" instead of a workload: fit what the monitor's work, contention, locks and disks cost, to what the
    paper measured of pmake, engineering and raytrace. The result goes to fitted.toml, from where flash takes it.
    With "monitor": the monitor's prices alone, to table 2 alone; printed, and written with --output.
    """
    if name in (PRICES, MONITOR):
        given = {"--seed": seed, "--target": target, "--search": search, "--knob": knob, "--evaluations": evaluations}
        _refuse(given, "a workload")
        calibrate_prices(name, scale, data, output, force, json_output, quiet)
        return
    _refuse({"--data": data, "--output": output}, PRICES)
    from discotrace.tracegen.workloads.calibrated import Calibration, check_free, write_calibration
    from discotrace.tracegen.workloads.knobs import parse_knobs
    from discotrace.tracegen.workloads.registry import find_workload

    found = find_workload(name)
    start = parse_knobs(found.kind, knob or [])
    check_free(found, force)
    from discotrace.analysis.calibration import calibrate as search_knobs
    from discotrace.analysis.calibration import native_measure, parse_ranges
    from discotrace.analysis.calibration_targets import parse_targets, published_targets
    from discotrace.version import VERSION

    targets = parse_targets(target) if target else published_targets(found.name) if found.is_shipped else {}
    ranges = parse_ranges(found, search or [])
    common = {name: value for name, value in (("scale", scale), ("seed", seed)) if value is not None}
    with _status(quiet) as show:
        best = search_knobs(
            found, native_measure(found, common, show), targets, ranges, start, evaluations or EVALUATIONS
        )
    command = shlex.join(["discotrace", *sys.argv[1:]])
    reached = {name: float(f"{value:.6g}") for name, value in best.reached.items()}
    path = write_calibration(found, Calibration(command, VERSION, best.knobs, targets, reached))
    _report(found.name, best, targets, str(path), json_output)
    if not quiet:
        remark(f"next: discotrace generate {shlex.quote(name)}")


def _refuse(given: Mapping[str, object], of: str) -> None:
    """Raises ConfigError for an option that is given and means nothing here."""
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} is for calibrating {of}")


@contextmanager
def _status(quiet: bool) -> Iterator[Callable[[Mapping[str, Value]], None]]:
    """A line on standard error, if that is a terminal, that says which knobs are being tried."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    trials = 0
    with console.status("starting") as status:

        def show(knobs: Mapping[str, Value]) -> None:
            nonlocal trials
            trials += 1
            status.update(f"trial {trials}: " + ", ".join(f"{name} = {value}" for name, value in knobs.items()))

        yield show


def _report(name: str, best: Calibrated, targets: Mapping[str, float], path: str, json_output: bool) -> None:
    if json_output:
        results = {n: {"target": targets.get(n), "reached": value} for n, value in best.reached.items()}
        print_json({"schema": JSON_SCHEMA, "workload": name, "knobs": best.knobs, "measures": results, "file": path})
        return
    from rich.table import Table

    from discotrace.analysis.text import figure

    table = Table(title=f"{name}, natively on FLASH", title_justify="left")
    table.add_column("measure")
    for heading in ("target", "reached", "reached / target"):
        table.add_column(heading, justify="right")
    for measure, value in best.reached.items():
        wanted = targets.get(measure)
        compared = (figure(wanted), figure(value), f"{value / wanted:.3f}") if wanted else ("", figure(value), "")
        table.add_row(measure, *compared)
    console = out()
    console.print(table)
    knobs = ", ".join(f"{knob} = {value}" for knob, value in best.knobs.items())
    console.print(f"wrote {path}: {knobs}", markup=False, soft_wrap=True)
