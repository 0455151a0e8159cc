"""The verb ``diff``: what differs between two sweeps; a check for a continuous integration of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from discotrace.cli.answering import state_of, tell
from discotrace.cli.console import out, print_json
from discotrace.cli.options import Json, Quiet
from discotrace.tracegen.errors import CheckFailedError

if TYPE_CHECKING:
    from discotrace.analysis.answers.diff import Difference

JSON_SCHEMA = 1


def diff(
    first: Annotated[str, typer.Argument(metavar="A", help="Folder of a sweep, or its results.parquet.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The one that is compared with it.")],
    of: Annotated[
        str | None, typer.Option(help="Figures to compare: time,idle.", show_default="time and overheads")
    ] = None,
    fail_if: Annotated[
        list[str] | None, typer.Option(help="Exit code 1 if a point changes more: 'time>+2%', 'slowdown<-0.1'.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Points of A that B lacks do not fail the check.")
    ] = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two sweeps point by point: those with the same parameters, trace and system.

    Exit code 1: a limit of --fail-if is broken, or points to check are missing.
    """
    from discotrace.analysis.answers.diff import MAIN_FIGURES
    from discotrace.analysis.answers.diff import diff as diff_of
    from discotrace.analysis.answers.results import read

    sides = read(first), read(second)
    limits = fail_if or []
    found = diff_of(*sides, MAIN_FIGURES if of is None else of, limits, allow_missing)
    tell(found.remarks, quiet)
    if json_output:
        print_json(_tree(found, [state_of(side) for side in sides], limits))
    else:
        _print(found)
    if found.faults:
        raise CheckFailedError("; ".join(found.faults))


def _print(found: Difference) -> None:
    from discotrace.analysis.answers.tables import broken_lines, changes_table, extremes_of, missing_lines

    console = out()
    console.print(changes_table(found))
    extremes = [line for change in found.changes for line in extremes_of(change)]
    for line in [*extremes, *missing_lines(found), *broken_lines(found)]:
        console.print(line, markup=False, soft_wrap=True)


def _tree(found: Difference, sides: list[dict[str, Any]], limits: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "schema": JSON_SCHEMA,
        "a": sides[0],
        "b": sides[1],
        "matched_by": found.matched.keys,
        "matched": found.matched.both.height,
        "missing": found.matched.missing.to_dicts(),
        "added": found.matched.added.to_dicts(),
        "changes": [asdict(one) for one in found.changes],
        "fail_if": limits,
        "broken": [{"limit": one.limit.text, "points": one.points.to_dicts()} for one in found.broken],
        "faults": found.faults,
        "remarks": found.remarks,
    }
