"""The verb ``paper``: the evaluation of the Disco paper, made again."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.console import err, out, remark
from discotrace.cli.folders import paper_folder
from discotrace.cli.options import Json, Quiet
from discotrace.tracegen.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from discotrace.analysis.paper.evaluation import Result, Watcher
    from discotrace.analysis.paper.experiments import Experiment
    from discotrace.analysis.paper.formats import Report
    from discotrace.analysis.paper.store import Store
    from discotrace.analysis.sensitivity import Sensitivity

PRICES, ALL = "prices", "all"  # what sensitivity is told of
SUFFIXES = {".html": "html", ".md": "md", ".json": "json", ".csv": "csv"}


def paper(
    scale: Annotated[
        float | None, typer.Option(help="Length of all traces; 1 = the paper's.", show_default="each trace's own")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder for traces and counts.", show_default="in the user's cache")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the report to this file.", show_default=False)
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help="Of the report: html, md, json or csv.", show_default="as FILE ends"),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Figures, separated by commas: figure5,table2.", show_default="all")
    ] = None,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a price: table.key=value.")] = None,
    sensitivity: Annotated[
        str | None,
        typer.Option(help="How much bars depend on each price: prices; on more: all.", show_default="not told"),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make the figures and tables of the Disco paper's evaluation again, and hold them against the published ones.

    Traces are generated, replayed and priced; what is there from an earlier run is used again, so that other prices
    need seconds, and a run that was stopped goes on where it was. The first one takes a few minutes.
    """
    wanted = [name.strip() for name in (only or "").split(",") if name.strip()]
    kind = _format(output, "json" if json_output else form)
    if scale is not None and not 0 < scale < float("inf"):
        raise ConfigError(f"--scale is {scale}, expected more than 0")
    if sensitivity not in (None, PRICES, ALL):
        raise ConfigError(f"--sensitivity is {sensitivity!r}, expected {PRICES} or {ALL}")
    if output is not None:
        _check_target(output)
    results, report = _evaluated(scale, data or paper_folder(), wanted, changes or [], sensitivity, quiet)
    _deliver(results, report, output, kind, quiet)


def _format(output: Path | None, given: str | None) -> str | None:
    """The format to write, None for tables on the terminal. Found before the work."""
    kind = given or (SUFFIXES.get(output.suffix.lower()) if output else None)
    if kind not in (None, *SUFFIXES.values()):
        raise ConfigError(f"--format is {kind!r}, expected {', '.join(SUFFIXES.values())}")
    if output and kind is None:
        raise ConfigError(f"{output}: which format? Name it {output.name}.html, or give --format")
    if kind == "html":
        _check_html()
    return kind


def _check_html() -> None:
    from importlib.util import find_spec

    for module in ("jinja2", "altair", "vl_convert"):
        if find_spec(module) is None:
            raise ConfigError(f"an HTML report needs {module}: pip install 'discotrace[report]', or --format md")


def _check_target(output: Path) -> None:
    if output.is_dir():
        raise OutputError(f"cannot write {str(output)!r}: it is a directory, name a file")
    if not output.absolute().parent.is_dir():
        raise OutputError(f"cannot write {output}: there is no directory {output.parent}, make it first")


def _evaluated(
    scale: float | None, folder: Path, wanted: list[str], changes: list[str], sensitivity: str | None, quiet: bool
) -> tuple[list[Result], Report]:
    from discotrace.analysis.paper.evaluation import at_scale, count, price
    from discotrace.analysis.paper.experiments import chosen
    from discotrace.analysis.paper.formats import Report
    from discotrace.analysis.paper.holding import compared
    from discotrace.analysis.paper.provenance import provenance
    from discotrace.analysis.paper.replays import check_prices
    from discotrace.analysis.paper.store import Store
    from discotrace.cli.paper_progress import watching

    experiments = at_scale(chosen(wanted), scale)
    check_prices(changes)
    store = Store(folder)
    with watching(experiments, quiet) as watcher:
        count(experiments, store, os.cpu_count() or 1, watcher)
        watcher.pricing()
        results = price(experiments, store, changes)
        comparisons = tuple(compared(results, wanted))
        found = tuple(_sensitivities(sensitivity, experiments, store, changes, watcher))
    command = shlex.join(["discotrace", *sys.argv[1:]])
    return results, Report(comparisons, provenance(command, results, changes), found)


def _sensitivities(
    wanted: str | None, experiments: list[Experiment], store: Store, changes: list[str], watcher: Watcher
) -> list[Sensitivity]:
    if wanted is None:
        return []
    from discotrace.analysis.sensitivity import STRUCTURAL
    from discotrace.analysis.sensitivity_of_paper import of_prices, of_structure

    found = of_prices(experiments, store, changes)
    if wanted == ALL:
        found += of_structure(experiments, store, changes, STRUCTURAL, os.cpu_count() or 1, watcher)
    return sorted(found, key=lambda one: -abs(one.change))


def _deliver(results: list[Result], report: Report, output: Path | None, kind: str | None, quiet: bool) -> None:
    from discotrace.analysis.paper.formats import report_text
    from discotrace.analysis.paper.terminal import tables_of

    if kind is None:
        console = out()
        for table in tables_of(report.comparisons):
            console.print(table)
        if not quiet:
            remark("more: discotrace paper -o paper.html")
        return
    text = report_text(report, kind)
    if output is None:
        sys.stdout.write(text)
        return
    _write(output, text)
    if not quiet:
        missed = sum(one.met is False for one in report.comparisons)
        goals = sum(one.met is not None for one in report.comparisons)
        err().print(f"wrote {output}: {goals - missed} of {goals} goals met", markup=False, soft_wrap=True)


def _write(output: Path, text: str) -> None:
    from discotrace.tracegen.atomic import atomic_path, output_errors

    with atomic_path(output) as temporary, output_errors(output):
        temporary.write_text(text, encoding="utf-8")
