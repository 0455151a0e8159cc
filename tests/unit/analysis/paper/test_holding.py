"""The list of comparisons: which figures are in it, in which order, with which remarks."""

import tomllib
from importlib import resources

from discotrace.analysis.paper.comparison import Comparison, Expected
from discotrace.analysis.paper.holding import comparisons
from discotrace.analysis.paper.remarks import with_remarks
from discotrace.analysis.paper.results import expected_results
from tests.unit.analysis.paper.made_up_bars import bar, result


def total(configuration: str, published: float) -> Expected:
    return Expected("figure5", "pmake", configuration, "total", "% of IRIX", "predict", published, "%", 10.0)


def segment(configuration: str, quantity: str, published: float) -> Expected:
    return Expected("figure5", "pmake", configuration, quantity, "% of IRIX", "predict", published, "points")


ORDER = Expected("figure5", "pmake", "all", "order", "pairs", "predict", 1.0, "points", 0.0)
EXPECTED = [total("irix", 100.0), total("disco", 120.0), segment("disco", "user", 80.0), ORDER]


def held(**ours: float) -> list[Comparison]:
    """``ours``: configuration_quantity=value."""
    names = {name: tuple(name.split("_")) for name in ours}
    return comparisons(EXPECTED, {("figure5", "pmake", *names[name]): value for name, value in ours.items()})


def test_what_we_do_not_have_is_left_out() -> None:
    assert [(one.configuration, one.quantity) for one in held(irix_total=100.0)] == [("irix", "total")]


def test_the_order_of_bars() -> None:
    assert held(irix_total=100.0, disco_total=130.0)[-1].met is True
    wrong = held(irix_total=100.0, disco_total=90.0)[-1]
    assert (wrong.quantity, wrong.ours, wrong.error, wrong.met) == ("order", 0.0, -1.0, False)


def test_a_segment_that_the_paper_does_not_have_is_held_against_zero() -> None:
    found = held(irix_total=100.0, disco_total=120.0, disco_user=80.0, disco_idle=4.0)
    idle = next(one for one in found if one.quantity == "idle")
    assert (idle.published, idle.ours, idle.error, idle.error_unit, idle.goal) == (0.0, 4.0, 4.0, "points", None)
    assert found.index(idle) == 3


def test_an_unpublished_segment_of_nothing_is_left_out() -> None:
    assert len(held(irix_total=100.0, disco_total=120.0, disco_idle=0.0)) == 3


def test_a_missed_bar_names_the_segment_and_its_counts() -> None:
    found = held(irix_total=100.0, disco_total=150.0, disco_user=110.0)
    bars = result("figure5", "pmake", bar("irix", "native"), bar("disco", user=1))
    remarks = {one.configuration + one.quantity: one.remark for one in with_remarks(found, [bars])}
    assert remarks["discototal"].startswith("most of it: user +30.0 (110.0 for 80.0); ")
    assert "20 l2_load_local, 10 l2_load_remote, 7 instructions" in remarks["discototal"]
    assert remarks["irixtotal"] == remarks["discouser"] == ""


def test_a_wrong_order_shows_the_heights() -> None:
    found = held(irix_total=100.0, disco_total=90.0)
    bars = result("figure5", "pmake", bar("irix", "native"), bar("disco", user=1))
    assert with_remarks(found, [bars])[-1].remark == "irix 100 for 100, disco 90 for 120"


def test_explanations_are_of_figures_that_exist() -> None:
    text = (resources.files("discotrace.analysis.paper") / "explanations.toml").read_text("utf-8")
    known = {one.key for one in expected_results()}
    for entry in tomllib.loads(text).get("explanation", []):
        key = (entry["figure"], entry["workload"], entry["configuration"], entry.get("quantity", "total"))
        assert key in known
        assert entry["text"]
