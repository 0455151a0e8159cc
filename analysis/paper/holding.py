"""Our figures held against the published ones: the list that every report prints."""

from collections.abc import Iterable

from discotrace.analysis.paper.bars import Figures, our_figures
from discotrace.analysis.paper.comparison import ORDER, TOTAL, Comparison, Expected, compare, pairs_in_order
from discotrace.analysis.paper.evaluation import Result
from discotrace.analysis.paper.remarks import with_remarks
from discotrace.analysis.paper.results import IRIX, OF_IRIX, expected_results


def compared(results: list[Result], figures: Iterable[str] = ()) -> list[Comparison]:
    """Every published figure of these results against ours, in the order of the paper; of some figures, or of all.

    A segment that our bar has and the published one has not is held against zero.
    """
    wanted = set(figures)
    expected = [one for one in expected_results() if not wanted or one.figure in wanted]
    return with_remarks(comparisons(expected, our_figures(results)), results)


def comparisons(expected: list[Expected], ours: Figures) -> list[Comparison]:
    """Each expected figure that we have, our segments beyond them after those of their bar."""
    found: list[Comparison] = []
    published = {one.key: one for one in expected}
    for one in _with_unpublished(expected, ours):
        if one.quantity == ORDER:
            found += _order(one, published, ours)
        elif one.key in ours:
            found.append(compare(one, ours[one.key]))
    return found


def _with_unpublished(expected: list[Expected], ours: Figures) -> list[Expected]:
    """The expected figures, and after each bar's last segment the segments that only ours has."""
    known = {one.key for one in expected}
    bars = {one.key[:3]: one for one in expected if one.unit == OF_IRIX and one.figure != "table2"}
    extra: dict[str, list[Expected]] = {}
    for key, value in ours.items():
        last = bars.get(key[:3])
        if last and key not in known and value:
            unpublished = Expected(*key, OF_IRIX, last.role, 0.0, "points")
            extra.setdefault(" ".join(last.key), []).append(unpublished)
    return [each for one in expected for each in (one, *extra.get(" ".join(one.key), []))]


def _order(one: Expected, published: dict[tuple[str, str, str, str], Expected], ours: Figures) -> list[Comparison]:
    heights = {
        key[2]: expected.published
        for key, expected in published.items()
        if key[:2] == (one.figure, one.workload) and expected.quantity == TOTAL and key in ours
    }
    if len(heights) < 2 or IRIX not in heights:
        return []
    mine = {label: ours[one.figure, one.workload, label, TOTAL] for label in heights}
    right, pairs = pairs_in_order(heights, mine)
    return [compare(one, float(right + one.published - pairs))]
