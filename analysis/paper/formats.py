"""The report of ``discotrace paper`` as JSON, CSV and Markdown; ``html`` has the page."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from discotrace.analysis.paper.comparison import TOTAL, Comparison
from discotrace.analysis.paper.layout import ROLES, Figure, figures_in, name_of
from discotrace.analysis.sensitivity import Sensitivity
from discotrace.analysis.text import figure as number

JSON_SCHEMA = 1
FORMATS = ("html", "md", "json", "csv")


@dataclass(frozen=True)
class Report:
    """All that a report prints.

    ``provenance``: how to make the report again, by title: a text, a mapping of texts, or rows of one table.
    """

    comparisons: tuple[Comparison, ...]
    provenance: Mapping[str, Any]
    sensitivity: tuple[Sensitivity, ...] = ()


@dataclass(frozen=True)
class Score:
    """How a figure came out: goals met, goals in all, mean absolute error of its predicted totals in percent."""

    title: str
    key: str
    met: int
    goals: int
    mean_error_percent: float | None


def report_text(report: Report, form: str) -> str:
    """The report in one of ``FORMATS``, as the content of a file. Raises ImportError if html lacks its packages."""
    if form == "html":
        from discotrace.analysis.paper.html import html_of  # noqa: PLC0415 - it needs packages of the extra "report"

        return html_of(report)
    return {"md": markdown_of, "json": json_of, "csv": csv_of}[form](report)


def tree_of(report: Report) -> dict[str, Any]:
    """Everything as plain values with stable names."""
    return {
        "schema": JSON_SCHEMA,
        "comparisons": [asdict(one) for one in report.comparisons],
        "sensitivity": [asdict(one) for one in report.sensitivity],
        "provenance": dict(report.provenance),
    }


def json_of(report: Report) -> str:
    """The report as JSON, with sorted keys."""
    return json.dumps(tree_of(report), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def csv_of(report: Report) -> str:
    """The comparisons as CSV, a line each, numbers in full; an empty cell where there is no goal."""
    text = io.StringIO()
    names = [one.name for one in fields(Comparison)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for one in report.comparisons:
        writer.writerow(asdict(one) | {"met": "" if one.met is None else str(one.met).lower()})
    return text.getvalue()


def markdown_of(report: Report) -> str:
    """The scores and, for each figure, a table of all comparisons with the remarks on missed goals."""
    figures = figures_in(report.comparisons)
    scores = [[s.title, f"{s.met} of {s.goals}" if s.goals else "-", _mean(s)] for s in scores_of(report)]
    blocks = [
        _markdown_table(["", "goals met", "mean error of predicted totals"], scores),
        *(_markdown_figure(figure, found) for figure, found in figures),
    ]
    return "\n".join(blocks)


def scores_of(report: Report) -> list[Score]:
    """The score of each figure, in the paper's order."""
    return [_score(figure, found) for figure, found in figures_in(report.comparisons)]


def error_text(one: Comparison) -> str:
    """The error with its sign and unit."""
    return f"{round(one.error, 1) + 0:+.1f} {one.error_unit}"  # a sum with 0 is never -0


def goal_text(one: Comparison) -> str:
    """What the error may be, and whether it is."""
    if one.goal is None:
        return "-"
    allowed = f"within {one.goal:g} {one.error_unit}" if one.goal else "all"
    return f"{allowed}: {'met' if one.met else 'missed'}"


def _score(figure: Figure, found: list[Comparison]) -> Score:
    with_goal = [one for one in found if one.goal is not None]
    errors = [
        abs(one.error)
        for one in found
        if one.quantity in (TOTAL, figure.total) and one.role == "predict" and one.error_unit == "%"
    ]
    mean = sum(errors) / len(errors) if errors else None
    return Score(figure.title, figure.key, sum(one.met is True for one in with_goal), len(with_goal), mean)


def _mean(score: Score) -> str:
    return "-" if score.mean_error_percent is None else f"{number(score.mean_error_percent)} %"


def _markdown_figure(figure: Figure, found: list[Comparison]) -> str:
    rows = [
        [
            name_of(one.workload),
            name_of(one.configuration),
            name_of(one.quantity),
            one.unit,
            number(one.published),
            f"**{number(one.ours)}**" if one.met is False else number(one.ours),
            error_text(one),
            ROLES[one.role],
            goal_text(one),
        ]
        for one in found
    ]
    heads = ["workload", "bar", "quantity", "unit", "paper", "ours", "error", "role", "goal"]
    return f"### {figure.title}\n\n{figure.shows}\n\n{_markdown_table(heads, rows)}{_markdown_remarks(found)}"


def _markdown_remarks(found: list[Comparison]) -> str:
    lines = [
        f"- {name_of(one.workload)}, {name_of(one.configuration)}, {name_of(one.quantity)}: "
        + ". ".join(text for text in (one.remark, one.explanation) if text)
        for one in found
        if one.remark or one.explanation
    ]
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def _markdown_table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)
