"""Misses by size out of depths; which sizes change anything, and which a table shows."""

import numpy as np
import pytest

from discotrace.analysis.curve.curve import CLASSES, Curve, Depths, Scale


def curve(
    found: list[int],
    never: int = 0,
    rate: float = 1.0,
    configured: int | None = None,
    largest: int | None = None,
    classes: list[Depths] | None = None,
) -> Curve:
    accesses = round((sum(found) + never) / rate)
    scale = Scale("l1d", 1 if largest is None else 4, "lines", 32, configured)
    return Curve(scale, accesses, never, 0, largest, Depths(np.array(found, np.int64), never, rate), classes or [])


def misses(of: Curve | Depths, *sizes: int) -> list[float]:
    return [float(number) for number in of.misses_at(np.array(sizes))]


def test_a_size_hits_what_is_found_less_deep_than_it_is_large() -> None:
    assert misses(curve([5, 3, 0, 2], never=4), 1, 2, 3, 4, 5, 100) == [9, 6, 6, 4, 4, 4]


def test_break_points_are_the_first_size_and_those_that_miss_less() -> None:
    assert curve([5, 3, 0, 2], never=4).break_points().tolist() == [1, 2, 4]
    assert curve([0, 0, 7], never=4).break_points().tolist() == [1, 3]
    assert curve([], never=4).break_points().tolist() == [1]


def test_nothing_is_told_beyond_the_largest_size() -> None:
    assert curve([5, 3, 0, 2], largest=3).break_points().tolist() == [1, 2]
    assert curve([5, 3, 0, 2], largest=3).table_sizes().tolist() == [1, 2]


@pytest.mark.parametrize(
    ("found", "configured", "sizes"),
    [
        ([1] * 5, None, [1, 2, 4, 8]),
        ([1] * 8, None, [1, 2, 4, 8, 16]),
        ([1] * 5, 3, [1, 2, 3, 4, 8]),
        ([1] * 5, 4, [1, 2, 4, 8]),
        ([1] * 5, 100, [1, 2, 4, 8, 100]),
        ([], None, [1, 2]),
    ],
)
def test_a_table_has_powers_of_two_until_nothing_is_gained_and_the_configured_size(
    found: list[int], configured: int | None, sizes: list[int]
) -> None:
    assert curve(found, 1, configured=configured).table_sizes().tolist() == sizes


def test_a_configured_size_beyond_the_largest_is_not_shown() -> None:
    assert curve([1] * 4, configured=8, largest=4).table_sizes().tolist() == [1, 2, 4]


def test_of_a_sample_depths_and_misses_count_for_all_names() -> None:
    """A quarter of the names: what is found below one other is found below four, and each miss stands for four."""
    depths = Depths(np.array([10, 6, 1]), 3, 0.25)
    assert misses(depths, 1, 4, 5, 8, 9) == [40, 40, 16, 16, 12]
    assert depths.changes().tolist() == [1, 5, 9]


def test_a_sample_misses_at_most_all_accesses() -> None:
    one = Curve(Scale("tlb", 1, "entries", 8192, 64), 100, 0, 0, None, Depths(np.array([1, 9]), 30, 0.25), [])
    assert misses(one, 1) == [100]


def test_a_sample_is_told_from_the_size_at_which_a_class_has_a_name() -> None:
    classes = [Depths(np.array([4, 1]), 1, 0.5 / CLASSES) for _ in range(CLASSES)]
    one = curve([8, 8] + [0] * 30 + [4], 4, 0.5, configured=5, classes=classes)
    assert one.smallest == 2 * CLASSES
    assert one.break_points().tolist() == [32, 65]
    assert one.table_sizes().tolist() == [32, 64, 128]


def sample_of(never: list[int], whole_never: int) -> Curve:
    """1000 accesses of a sample of half the names, in 16 classes of a thirty-second part."""
    classes = [Depths(np.array([9]), count, 0.5 / CLASSES) for count in never]
    return curve([500 - whole_never], whole_never, 0.5, classes=classes)


def test_the_bound_is_students_t_times_the_standard_error_over_the_classes() -> None:
    """16 classes that miss 1 or 3: deviation 32 sqrt(16 / 15) of 1000, error a quarter of that, t 2.131."""
    one = sample_of([1, 3] * (CLASSES // 2), 2 * CLASSES)
    expected = 2.131 * 32 * np.sqrt(16 / 15) / 4 / 1000
    assert one.bound_at(np.array([32, 1000])) == pytest.approx([expected, expected])


def test_the_bound_grows_by_how_far_the_classes_are_from_their_whole() -> None:
    """All classes miss 64 of 1000 where the whole sample misses 100."""
    one = sample_of([2] * CLASSES, 50)
    assert one.bound_at(np.array([32])) == pytest.approx([0.1 - 0.064])


def test_an_exact_curve_has_no_bound() -> None:
    assert curve([1, 2], 3).bound_at(np.array([1, 2])).tolist() == [0, 0]


def test_without_accesses_nothing_misses() -> None:
    assert curve([]).ratio_at(np.array([1, 5])).tolist() == [0, 0]


def test_sizes_are_told_as_memory() -> None:
    assert Scale("l2", 4096, "ways", 4096 * 128, 2).size_kib(np.array([1, 2])).tolist() == [512, 1024]
