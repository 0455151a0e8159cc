"""The comparisons as tables for the terminal: what has a goal, and a line of how many are met."""

from collections.abc import Sequence

from rich.table import Table

from discotrace.analysis.paper.comparison import TOTAL, Comparison
from discotrace.analysis.text import figure as number

_SIGNS = {True: "met", False: "MISSED", None: ""}


def tables_of(comparisons: Sequence[Comparison]) -> list[Table]:
    """A table for each figure: whole bars and all that has a goal. The other reports have the segments too."""
    figures = dict.fromkeys(one.figure for one in comparisons)
    return [_table(figure, [one for one in comparisons if one.figure == figure]) for figure in figures]


def _table(figure: str, found: Sequence[Comparison]) -> Table:
    goals = [one for one in found if one.goal is not None]
    met = sum(bool(one.met) for one in goals)
    table = Table(title=f"{figure}: {met} of {len(goals)} goals met", title_justify="left")
    for column in ("workload", "bar", "what", "unit"):
        table.add_column(column)
    for column in ("paper", "here", "error"):
        table.add_column(column, justify="right")
    table.add_column("goal")
    table.add_column("role")
    for one in found:
        if one.goal is not None or _is_whole(one):
            sign = "%" if one.error_unit == "%" else " points"
            table.add_row(
                one.workload,
                one.configuration,
                one.quantity,
                one.unit,
                number(one.published),
                number(one.ours),
                f"{one.error:+.1f}{sign}",
                _SIGNS[one.met],
                one.role,
                style="red" if one.met is False else None,
            )
    return table


def _is_whole(one: Comparison) -> bool:
    return one.quantity == TOTAL or one.quantity.endswith(f"_{TOTAL}") or one.figure in ("table2", "table3")
