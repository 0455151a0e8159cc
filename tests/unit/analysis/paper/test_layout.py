"""Which comparisons make which bars."""

from discotrace.analysis.paper.charts import COLOURS, svg_of
from discotrace.analysis.paper.layout import FIGURES, OURS, PAPER, Panel, figures_in, panels_of
from discotrace.analysis.paper.results import expected_results
from tests.unit.analysis.paper.made_up_report import made_up_report


def panels(key: str) -> list[Panel]:
    [found] = [(figure, own) for figure, own in figures_in(made_up_report().comparisons) if figure.key == key]
    return panels_of(*found)


def test_a_workload_has_a_panel_and_a_configuration_a_pair() -> None:
    assert [(panel.title, [pair.label for pair in panel.pairs]) for panel in panels("figure7")] == [
        ("Pmake", ["IRIX", "1 VM", "8 VMs, NFS"]),
        ("Radix", ["IRIX", "SPLASHOS"]),
    ]


def test_segments_are_stacked_in_the_order_of_the_figure() -> None:
    pair = panels("figure7")[0].pairs[0]
    assert [part.quantity for part in pair.parts] == ["user", "user_stall", "kernel", "sync"]
    assert pair.heights[PAPER] == 100.0
    assert pair.values[OURS] == pair.total.ours  # type: ignore[union-attr]


def test_panels_of_a_figure_share_their_scale() -> None:
    pmake, radix = panels("figure7")
    assert pmake.height == radix.height == max(max(pair.heights.values()) for pair in pmake.pairs)


def test_an_undivided_quantity_has_a_panel_of_its_own() -> None:
    divided, undivided = panels("figure6")
    assert divided.title == "Pmake: memory used"
    assert undivided.title == "Pmake: memory without sharing"
    assert [len(pair.parts) for pair in undivided.pairs] == [1, 1, 1]


def test_workloads_with_one_bar_each_share_a_panel() -> None:
    [panel] = panels("table3")
    assert [pair.label for pair in panel.pairs] == ["Raytrace", "Engineering"]


def test_every_published_quantity_of_a_bar_is_drawn() -> None:
    """What has neither a segment nor a bar: the order of bars, and what table 2 says of IRIX."""
    drawn = {figure.key: {*figure.segments, figure.total, *figure.plain} for figure in FIGURES}
    left = {one.quantity for one in expected_results() if one.quantity not in drawn[one.figure]}
    assert left == {"order", "irix_share", "irix_us"}


def test_every_segment_has_a_colour_that_no_other_of_its_figure_has() -> None:
    for figure in FIGURES:
        fills = [COLOURS[segment][0] for segment in figure.segments]
        assert len(set(fills)) == len(fills), figure.key


def test_a_drawing_has_a_mark_for_every_bar_and_no_fixed_size() -> None:
    for panel in panels("figure8"):
        svg = svg_of(panel)
        assert svg.count('aria-roledescription="bar"') == panel.bars
        assert svg.startswith('<svg class="chart" viewBox="0 0 ')
        assert ' id="' not in svg  # pages hold several drawings
