"""What the verbs that answer from results of sweeps have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from discotrace.cli.console import err

if TYPE_CHECKING:
    from discotrace.analysis.answers.results import Results

Sweep = Annotated[str, typer.Argument(metavar="SWEEP", help="Folder of a sweep, or its results.parquet.")]
By = Annotated[str, typer.Option(help="Answer for each value of these: system,trace.", show_default=False)]


def tell(remarks: Iterable[str], quiet: bool) -> None:
    """What must be known of an answer, on standard error, whether or not that is a terminal."""
    if not quiet:
        for line in remarks:
            err().print(line, markup=False, soft_wrap=True)


def state_of(results: Results) -> dict[str, Any]:
    """What JSON says of the results that an answer is from."""
    return {
        "sweep": results.source,
        "complete": results.complete,
        "points": results.about["points"],
        "points_so_far": results.points,
        "by_status": results.by_status,
    }
