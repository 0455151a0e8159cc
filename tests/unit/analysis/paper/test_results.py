"""The published results as a list, and who may see them."""

import ast
from collections import Counter
from collections.abc import Iterator

import pytest

from discotrace.analysis.paper.comparison import Expected
from discotrace.analysis.paper.experiments import EXPERIMENTS, FIGURES
from discotrace.analysis.paper.results import expected_results
from tests.test_architecture import MODULES, imports, tree

RESULTS = "discotrace.analysis.paper.results"
FITTING = ("calibrat", "fit", "published", "repricing", "sensitivity")
EXPECTED = expected_results()


def segments(bar: tuple[str, str, str]) -> float:
    return sum(e.published for e in EXPECTED if e.key[:3] == bar and e.unit == "% of IRIX" and e.quantity != "total")


def totals() -> list[Expected]:
    return [one for one in EXPECTED if one.quantity == "total"]


def test_every_figure_is_there_once() -> None:
    assert {one.figure for one in EXPECTED} == set(FIGURES)
    assert max(Counter(one.key for one in EXPECTED).values()) == 1


@pytest.mark.parametrize("total", totals(), ids=lambda one: "-".join(one.key))
def test_segments_add_up_to_their_bar(total: Expected) -> None:
    assert segments(total.key[:3]) == pytest.approx(total.published, abs=1.0)


def test_bars_of_irix_are_the_measure() -> None:
    assert {one.published for one in totals() if one.configuration == "irix"} == {100.0}


def test_goals_are_for_what_must_be_predicted() -> None:
    assert all(one.role == "predict" for one in EXPECTED if one.goal is not None)
    predicted = [one for one in totals() if one.role == "predict"]
    assert all(one.goal == 10 for one in predicted)
    assert Counter(one.goal for one in EXPECTED if one.figure == "figure6" and one.goal) == {15: 10}
    assert Counter(one.goal for one in EXPECTED if one.quantity == "local_share") == {10: 4, None: 2}


def test_every_bar_has_an_experiment() -> None:
    ours = {(f, e.trace.workload, bar.label) for e in EXPERIMENTS for f in e.figures for bar in e.bars}
    wanted = {one.key[:3] for one in EXPECTED if one.figure != "table2" and one.configuration != "all"}
    assert wanted <= ours


def imported_by(name: str) -> set[str]:
    """All modules of ours that a module leads to."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for imported in imports(MODULES[waiting.pop()]):
            if imported in MODULES and imported not in found:
                found.add(imported)
                waiting.append(imported)
    return found


def is_fitting(name: str) -> bool:
    layer, _, module = name.removeprefix("discotrace.").partition(".")
    return layer == "tracegen" or (layer == "analysis" and module.startswith(FITTING))


@pytest.mark.parametrize("name", [name for name in MODULES if is_fitting(name)])
def test_nothing_that_fits_sees_what_must_be_predicted(name: str) -> None:
    assert RESULTS not in imported_by(name)


def test_the_table_of_results_is_read_in_two_places() -> None:
    def texts(name: str) -> Iterator[str]:
        nodes = (node for node in ast.walk(tree(MODULES[name])) if isinstance(node, ast.Call))
        return (arg.value for call in nodes for arg in ast.walk(call) if isinstance(arg, ast.Constant))

    readers = [name for name in MODULES if "disco-sosp97.toml" in list(texts(name))]
    assert readers == ["discotrace.analysis.paper.results", "discotrace.analysis.published"]
