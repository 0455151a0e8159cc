"""The verb ``best``: the best points of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.answering import By, Sweep, state_of, tell
from discotrace.cli.console import out, print_json
from discotrace.cli.options import Json, Quiet
from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from discotrace.analysis.answers.best import Best
    from discotrace.analysis.answers.results import Results

JSON_SCHEMA = 1


def best(
    sweep: Sweep,
    minimize: Annotated[str | None, typer.Option(help="The figure of which least is best: time.")] = None,
    maximize: Annotated[str | None, typer.Option(help="The figure of which most is best.")] = None,
    pareto: Annotated[
        str | None, typer.Option(help="Points that no other beats in all of these: time,l2.size_kib,max:idle.")
    ] = None,
    subject_to: Annotated[
        list[str] | None, typer.Option(help="Only points that fulfil this: 'l2.size_kib <= 1024 and slowdown < 1.2'.")
    ] = None,
    by: By = "",
    top: Annotated[
        int | None, typer.Option(min=1, help="So many points, of each value of --by.", show_default="5")
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the best points of a sweep, also of one that is not finished.

    Figures may be named without their units: time is time_ms. Exit code 1: no point fulfils the conditions.
    """
    if [minimize, maximize, pareto].count(None) != 2:
        raise ConfigError("give one of --minimize, --maximize, --pareto")
    if pareto is not None and top is not None:
        raise ConfigError("--top goes with --minimize and --maximize; --pareto shows all points that no other beats")
    from discotrace.analysis.answers.best import TOP
    from discotrace.analysis.answers.best import best as best_of
    from discotrace.analysis.answers.best import pareto as pareto_of
    from discotrace.analysis.answers.results import read

    results = read(sweep)
    conditions = subject_to or []
    tell(results.remarks, quiet)
    if pareto is not None:
        found = pareto_of(results, pareto, conditions, by)
    else:
        found = best_of(results, minimize, maximize, conditions, by, TOP if top is None else top)
    _print(results, found, conditions, json_output)


def _print(results: Results, found: Best, conditions: list[str], json_output: bool) -> None:
    from dataclasses import asdict

    from discotrace.analysis.answers.tables import best_table

    if json_output:
        objectives = [asdict(one) for one in found.objectives]
        print_json(
            {
                "schema": JSON_SCHEMA,
                **state_of(results),
                "objectives": objectives,
                "subject_to": conditions,
                "considered": found.considered,
                "remarks": results.remarks,
                "results": found.rows.to_dicts(),
            }
        )
    else:
        out().print(best_table(found))
