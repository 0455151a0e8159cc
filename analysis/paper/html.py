"""The report of ``discotrace paper`` as one HTML file that needs nothing else: no network, no scripts.

The page holds the report as JSON too (``<script type="application/json" id="report">``), for programs.
"""

import json
from typing import Any

import jinja2
from markupsafe import Markup

from discotrace.analysis.paper.charts import MET, MISSED, colour_of, sign_of, svg_of
from discotrace.analysis.paper.comparison import Comparison
from discotrace.analysis.paper.formats import Report, error_text, goal_text, scores_of, tree_of
from discotrace.analysis.paper.layout import ROLES, Figure, Panel, figures_in, name_of, panels_of
from discotrace.analysis.text import figure as number

MOST_SENSITIVE = 12  # rows of the sensitivity table that are shown at once
LEAST_CHANGE = 0.1  # in percent: smaller ones are in the JSON only

Tree = dict[str, Any]


def html_of(report: Report) -> str:
    """The page. The same report gives the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("discotrace.analysis.paper", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["name"] = name_of
    scores = scores_of(report)
    return environment.get_template("report.html").render(
        scores=scores,
        met=sum(score.met for score in scores),
        goals=sum(score.goals for score in scores),
        roles={ROLES[role]: sum(one.role == role for one in report.comparisons) for role in ROLES},
        figures=[_figure(figure, found) for figure, found in figures_in(report.comparisons)],
        sensitivity=_sensitivity(report),
        provenance=report.provenance,
        json=_json_in_html(report),
        signs={"met": MET, "missed": MISSED},
    )


def _figure(figure: Figure, found: list[Comparison]) -> Tree:
    panels = panels_of(figure, found)
    first = [one for one in found if _is_shown_first(figure, one)]
    return {
        "key": figure.key,
        "title": figure.title,
        "shows": figure.shows,
        "legend": [(name_of(quantity), colour_of(quantity)) for quantity in _segments(figure, panels)],
        "panels": [{"title": p.title, "unit": p.unit, "bars": p.bars, "svg": Markup(svg_of(p))} for p in panels],
        "first": [_row(one) for one in first],
        "rest": [_row(one) for one in found if one not in first],
        "remarks": [one for one in found if one.remark or one.explanation],
    }


def _is_shown_first(figure: Figure, one: Comparison) -> bool:
    return one.goal is not None or one.quantity in (figure.total, *figure.plain)


def _segments(figure: Figure, panels: list[Panel]) -> list[str]:
    """The segments that are drawn, from the bottom up."""
    drawn = {part.quantity for panel in panels for pair in panel.pairs for part in pair.parts}
    return [segment for segment in figure.segments if segment in drawn]


def _row(one: Comparison) -> Tree:
    return {"one": one, "role": ROLES[one.role], "error": error_text(one), "goal": goal_text(one), "sign": sign_of(one)}


def _sensitivity(report: Report) -> Tree:
    """The changes that matter, greatest first, and how many are too small to be shown."""
    shown = [one for one in report.sensitivity if abs(one.change) >= LEAST_CHANGE]
    shown.sort(key=lambda one: -abs(one.change))
    return {
        "first": shown[:MOST_SENSITIVE],
        "rest": shown[MOST_SENSITIVE:],
        "all": len(report.sensitivity),
        "small": len(report.sensitivity) - len(shown),
        "least": LEAST_CHANGE,
    }


def _json_in_html(report: Report) -> Any:
    """The report as JSON that no text in it can end early."""
    text = json.dumps(tree_of(report), sort_keys=True, ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c"))
