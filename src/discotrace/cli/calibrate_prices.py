"""What ``calibrate prices`` and ``calibrate monitor`` do: fit prices to published figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discotrace.cli.console import err, out, print_json
from discotrace.cli.folders import paper_folder
from discotrace.tracegen.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from discotrace.analysis.fit_file import Fitted, FittedStep
    from discotrace.analysis.fit_targets import Step
    from discotrace.analysis.repricing import Repricing

JSON_SCHEMA = 1


PRICES = "prices"  # all that machine files call "fitted"
MONITOR = "monitor"  # what the monitor's work costs


def calibrate_prices(
    name: str, scale: float | None, data: Path | None, output: Path | None, force: bool, json_output: bool, quiet: bool
) -> None:
    """Fit prices, and write them: all of them where machine files read them, the monitor's alone to ``output`` only.

    ``scale`` and ``data`` are those of the verb ``paper``, with which traces and counts are shared. Raises OutputError
    without ``force`` if the file that machine files read would be replaced.
    """
    from discotrace.analysis.fit import fit
    from discotrace.analysis.fit_file import Fitted, default_path, write_fitted
    from discotrace.analysis.fit_targets import steps
    from discotrace.version import VERSION

    if scale is not None and not 0 < scale < float("inf"):
        raise ConfigError(f"--scale is {scale}, expected more than 0")
    path = default_path() if output is None and name == PRICES else output
    if output is None and path and path.exists() and not force:
        raise OutputError(f"{path} has fitted prices already: replace them with --force, or write others with -o FILE")
    wanted = [step for step in steps() if name in (PRICES, step.name)]
    repricing = _counted(wanted, scale, data, quiet)
    with _status(quiet) as show:
        found = fit(wanted, repricing.figures, show)
    length = "" if scale is None else f" --scale {scale:g}"  # all that the result depends on
    fitted = Fitted(f"discotrace calibrate {name}{length}", VERSION, repricing.traces, found)
    if path:
        write_fitted(path, fitted)
    _report(fitted, path, json_output)


def _counted(wanted: list[Step], scale: float | None, data: Path | None, quiet: bool) -> Repricing:
    from discotrace.analysis.fit_experiments import experiments_of
    from discotrace.analysis.paper.evaluation import at_scale, count
    from discotrace.analysis.paper.store import Store
    from discotrace.analysis.repricing import Repricing
    from discotrace.cli.paper_progress import watching

    experiments = at_scale(experiments_of(wanted), scale)
    store = Store(data or paper_folder())
    with watching(experiments, quiet) as watcher:
        count(experiments, store, os.cpu_count() or 1, watcher)
        watcher.pricing()
    return Repricing(experiments, store)


@contextmanager
def _status(quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line on standard error, if that is a terminal, that says what is being fitted."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:
        yield lambda step: status.update(f"fitting {step}")


def _report(fitted: Fitted, path: Path | None, json_output: bool) -> None:
    if json_output:
        steps = {step.name: _tree(step) for step in fitted.steps}
        print_json({"schema": JSON_SCHEMA, "prices": fitted.prices, "steps": steps, "file": path and str(path)})
        return
    for step in fitted.steps:
        _print_step(step)
    if path:
        out().print(f"wrote {path}", markup=False, soft_wrap=True)


def _tree(step: FittedStep) -> dict[str, Any]:
    from dataclasses import asdict

    return {key: value for key, value in asdict(step).items() if key != "name"}


def _print_step(step: FittedStep) -> None:
    from rich.table import Table

    from discotrace.analysis.text import figure

    table = Table()
    table.add_column("")
    for heading in ("published", "ours", "residual"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for one in step.residuals:
        table.add_row(one.name, figure(one.published), figure(one.ours), f"{one.ours - one.published:+.3g}", one.unit)
    console = out()
    console.print(f"{step.name}: fitted to {step.fitted_to}", markup=False, soft_wrap=True)
    console.print(table)
    for key, value in step.prices.items():
        end = " (at its limit)" if key in step.at_limit else ""
        console.print(f"{key} = {value:.4g}{end}", markup=False, soft_wrap=True)
    console.print()
