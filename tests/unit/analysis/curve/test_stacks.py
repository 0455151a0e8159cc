"""Structures that accesses go through: owners apart, samples, sets."""

import numpy as np
import pytest

from discotrace.analysis.curve.curve import CLASSES, Curve, Scale
from discotrace.analysis.curve.stacks import SampledStacks, Sets, Stacks, Structure
from discotrace.replay.kernels.state import U64
from discotrace.tracegen.errors import ConfigError

SCALE = Scale("tlb", 1, "entries", 8192, 64)


def words(*first: int) -> U64:
    pairs = np.zeros((len(first), 2), np.uint64)
    pairs[:, 0] = first
    return pairs.ravel()


def curve(structure: Structure) -> Curve:
    return structure.curves([SCALE])[0]


def misses(one: Curve, *sizes: int) -> list[int]:
    return [round(number) for number in one.misses_at(np.array(sizes)).tolist()]


def test_each_owner_has_a_stack_of_its_own() -> None:
    stacks = Stacks()
    stacks.see(0, words(1, 2), 2)
    stacks.see(1, words(1), 1)
    stacks.see(0, words(1, 1), 1)
    one = curve(stacks)
    assert (one.accesses, one.cold) == (4, 3)
    assert misses(one, 1, 2) == [4, 3]


def test_what_is_forgotten_is_gone_from_all_owners() -> None:
    stacks = Stacks()
    for owner in (0, 1):
        stacks.see(owner, words(1, 2), 2)
    stacks.forget(words(2))
    for owner in (0, 1):
        stacks.see(owner, words(2, 1), 2)
    assert misses(curve(stacks), 1, 2, 9) == [8, 6, 6]


def test_a_sample_of_nearly_all_is_nearly_the_whole() -> None:
    numbers = words(*(number * number % 5003 for number in range(20_000)))
    whole, sample = Stacks(), SampledStacks(0.999999, 0)
    for structure in (whole, sample):
        structure.see(0, numbers, 20_000)
    assert curve(sample).accesses == curve(whole).accesses
    assert misses(curve(sample), 100, 3000, 9000) == misses(curve(whole), 100, 3000, 9000)


def test_the_classes_of_a_sample_are_its_parts() -> None:
    sample = SampledStacks(0.5, 1)
    sample.see(0, words(*range(4000)), 4000)
    sample.see(1, words(*range(4000)), 4000)
    one = curve(sample)
    assert len(one.classes) == CLASSES
    assert sum(part.never for part in one.classes) == one.depths.never
    assert one.cold == pytest.approx(8000, rel=0.05)
    assert one.accesses == 8000


def test_owners_are_sampled_apart() -> None:
    """The same names in both: if the same were chosen, twice as many would be as in one."""
    alone, both = SampledStacks(0.5, 1), SampledStacks(0.5, 1)
    alone.see(0, words(*range(4000)), 4000)
    both.see(0, words(*range(4000)), 4000)
    both.see(1, words(*range(4000)), 4000)
    assert curve(both).depths.never != 2 * curve(alone).depths.never


def test_a_sample_of_few_names_is_refused() -> None:
    sample = SampledStacks(0.01, 0)
    sample.see(0, words(*range(10_000)), 10_000)
    with pytest.raises(ConfigError, match=r"--sample 0.01 is a sample of \d+ out of about [\d,]+: fewer than 320"):
        curve(sample)


def test_nothing_accessed_is_no_small_sample() -> None:
    assert curve(SampledStacks(0.01, 0)).accesses == 0


def test_lines_are_new_once_however_many_numbers_of_sets_there_are() -> None:
    sets = Sets([1, 4], 2, 8, lambda: 64)
    sets.see(0, np.array([(n, n) for n in (0, 4, 8, 0, 4, 8)], np.uint64).ravel(), 6)
    one, four = sets.curves([SCALE, SCALE])
    assert (one.cold, four.cold) == (3, 3)
    assert misses(four, 1, 2) == misses(one, 1, 2) == [6, 6]


def test_frames_that_become_known_later_have_lines_too() -> None:
    lines = 64
    sets = Sets([1], 2, 8, lambda: lines)
    sets.see(0, words(0, 63), 2)
    lines = 640
    sets.see(0, words(639, 0), 2)
    assert curve(sets).cold == 3


def test_lines_stay_in_caches_when_their_frame_is_freed() -> None:
    sets = Sets([1], 2, 8, lambda: 64)
    sets.see(0, words(5), 1)
    sets.forget(words(5))
    sets.see(0, words(5), 1)
    assert misses(curve(sets), 1) == [1]
