"""Points to answer from: those that are done and fulfil what is asked of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from discotrace.analysis.answers.names import column_named
from discotrace.analysis.answers.results import Results
from discotrace.analysis.expression import fulfilling
from discotrace.analysis.sweep.points import POINT
from discotrace.tracegen.errors import CheckFailedError


@dataclass(frozen=True)
class Selection:
    """``rows``: the points, with the columns asked for; ``named``: columns that the conditions name."""

    rows: pl.DataFrame
    named: list[str]


def select(results: Results, columns: Sequence[str], subject_to: Iterable[str]) -> Selection:
    """Points with a value in all these columns that fulfil all conditions.

    Raises ConfigError for what is no condition, CheckFailedError if no point is left.
    """
    conditions = list(subject_to)
    named: dict[str, None] = {}

    def meaning(name: str) -> pl.Expr:
        column = column_named(name, results.schema.names())
        named[column] = None
        return pl.col(column)

    for text in conditions:  # to learn which columns they name, before rows are read
        fulfilling(pl.DataFrame(schema=results.schema), text, meaning)
    wanted = [POINT, *results.varying, *columns, *named]
    rows = results.done(wanted).drop_nulls(list(dict.fromkeys(columns)))
    for text in conditions:
        rows = fulfilling(rows, text, meaning)
        if not rows.height:
            raise CheckFailedError(f"{results.source}: no point fulfils {text!r}{_with_others(text, conditions)}")
    if not rows.height:
        raise CheckFailedError(f"{results.source}: no point is done that has {', '.join(columns)}")
    return Selection(rows, list(named))


def _with_others(text: str, conditions: Sequence[str]) -> str:
    before = conditions[: conditions.index(text)]
    return f" together with {', '.join(map(repr, before))}" if before else ""
