"""The report as JSON, CSV, Markdown and as a page: the same comparisons in all of them."""

import csv
import io
import json
from dataclasses import asdict, replace

import pytest

from discotrace.analysis.paper.comparison import Comparison, Expected, compare
from discotrace.analysis.paper.formats import FORMATS, Report, error_text, goal_text, report_text, scores_of
from tests.unit.analysis.paper.made_up_report import REMARK, made_up_report


def compared(ours: float, goal: float | None = 10.0) -> Comparison:
    role = "calibrate" if goal is None else "predict"
    return compare(Expected("figure5", "pmake", "disco", "total", "% of IRIX", role, 100.0, "%", goal), ours)


def test_json_holds_all_comparisons_with_all_digits() -> None:
    tree = json.loads(report_text(made_up_report(), "json"))
    assert tree["comparisons"] == [asdict(one) for one in made_up_report().comparisons]
    assert set(tree) == {"schema", "comparisons", "sensitivity", "provenance"}


def test_csv_has_a_line_for_each_comparison() -> None:
    rows = list(csv.DictReader(io.StringIO(report_text(made_up_report(), "csv"))))
    assert [float(row["ours"]) for row in rows] == [one.ours for one in made_up_report().comparisons]
    assert {row["met"] for row in rows if row["goal"]} == {"true", "false"}
    assert {row["met"] for row in rows if not row["goal"]} == {""}
    assert REMARK in {row["remark"] for row in rows}


def test_markdown_tables_have_as_many_cells_in_every_line() -> None:
    text = report_text(made_up_report(), "md")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 7
    for table in tables:
        lines = [line for line in table if line.startswith("|")]
        assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_report_gives_the_same_bytes(form: str) -> None:
    assert report_text(made_up_report(), form) == report_text(made_up_report(), form)


def test_the_page_quotes_what_is_markup_elsewhere() -> None:
    page = report_text(made_up_report(), "html")
    assert "<kernel stall>" not in page
    assert page.count("</script>") == 1
    assert "&lt;kernel stall&gt; &amp; &#34;idle&#34;" in page


def test_the_page_names_no_address_of_the_network() -> None:
    assert "http" not in report_text(made_up_report(), "html").replace('http-equiv="', "")


def test_a_report_of_one_figure_has_no_section_of_others() -> None:
    page = report_text(Report((compared(104),), {}), "html")
    assert '<section id="figure5">' in page
    assert '<section id="figure7">' not in page
    assert '<section id="sensitivity">' not in page


@pytest.mark.parametrize(
    ("ours", "error", "goal"),
    [
        (110.0, "+10.0 %", "within 10 %: met"),
        (89.9, "-10.1 %", "within 10 %: missed"),
        (99.999, "+0.0 %", "within 10 %: met"),
    ],
)
def test_an_error_has_a_sign_and_a_goal_says_whether_it_was_met(ours: float, error: str, goal: str) -> None:
    assert error_text(compared(ours)) == error
    assert goal_text(compared(ours)) == goal


def test_what_has_no_goal_says_nothing_of_it() -> None:
    assert goal_text(compared(150.0, goal=None)) == "-"


def test_scores_count_goals_and_average_the_predicted_totals() -> None:
    off = replace(compared(120.0), configuration="other")
    [score] = scores_of(Report((compared(96.0), off, compared(180.0, goal=None)), {}))
    assert (score.met, score.goals) == (1, 2)
    assert score.mean_error_percent == pytest.approx(12.0)
