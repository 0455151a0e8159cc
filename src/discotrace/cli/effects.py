"""The verb ``effects``: what each parameter of a sweep does."""

from __future__ import annotations

from typing import Annotated

import typer

from discotrace.cli.answering import By, Sweep, state_of, tell
from discotrace.cli.console import out, print_json
from discotrace.cli.options import Json, Quiet

JSON_SCHEMA = 1


def effects(
    sweep: Sweep,
    of: Annotated[str, typer.Option(help="The figure.")] = "time",
    by: By = "",
    levels: Annotated[bool, typer.Option("--levels", help="Add the mean at each value of each parameter.")] = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what each parameter does to a figure, by itself and together with another: an analysis of variance.

    A share says how much of the figure's variance over the points of the sweep comes from a parameter. It is exact
    where every combination was tried, else an approximation by least squares, which is said. System and trace count as
    parameters; with --by system each system is looked at for itself.
    """
    from discotrace.analysis.answers.effects import effects as effects_of
    from discotrace.analysis.answers.results import read
    from discotrace.analysis.answers.tables import effects_table, levels_table, method_of

    results = read(sweep)
    tell(results.remarks, quiet)
    found = effects_of(results, of, by)
    if json_output:
        from dataclasses import asdict

        told = [asdict(one) for one in found]
        print_json({"schema": JSON_SCHEMA, **state_of(results), "remarks": results.remarks, "results": told})
        return
    console = out()
    for one in found:
        console.print(effects_table(one))
        if levels and one.shares is not None:
            console.print(levels_table(one))
        console.print(method_of(one), markup=False, soft_wrap=True)
