"""Accesses picked out and told apart."""

import numpy as np
import pytest

from discotrace.replay.kernels.accesses import by_class, count_new, in_sample, of_one_cache
from discotrace.replay.kernels.state import U64

SEED = np.uint64(77)
HALF = np.uint64(1 << 63)


def names(count: int) -> U64:
    return np.array([(n // 3 * 977 % 401, n % 5) for n in range(count)], np.uint64).ravel()


def pairs(words: U64, start: int, stop: int) -> list[tuple[int, int]]:
    return [(int(first), int(second)) for first, second in words.reshape(-1, 2)[start:stop]]


@pytest.mark.parametrize(("is_data", "expected"), [(0, [(1 << 61, 1), (3, 3)]), (1, [(2, 2)])])
def test_accesses_of_one_cache_keep_their_order_and_the_bits_of_the_index(
    is_data: int, expected: list[tuple[int, int]]
) -> None:
    words = np.array([(1 << 62, 0xFFFF_FFFF_8000_0001), (5, 2), (6, 7)], np.uint64).ravel()
    picked = np.zeros_like(words)
    count = of_one_cache(words, 3, is_data, np.uint64(3), picked)
    assert pairs(picked, 0, count) == expected


def test_a_line_is_new_once() -> None:
    words = np.array([(n, 0) for n in (0, 63, 64, 0, 64, 127)], np.uint64).ravel()
    seen = np.zeros(2, np.uint64)
    assert count_new(words, 5, seen) == 3
    assert count_new(words, 6, seen) == 1


def test_a_sample_has_all_accesses_to_a_name_or_none() -> None:
    words = names(6000)
    picked = np.zeros_like(words)
    count = in_sample(words, 6000, SEED, HALF, picked)
    chosen = set(pairs(picked, 0, count))
    assert pairs(picked, 0, count) == [name for name in pairs(words, 0, 6000) if name in chosen]
    assert 0.4 < len(chosen) / len(set(pairs(words, 0, 6000))) < 0.6


def test_another_seed_is_another_sample() -> None:
    words = names(3000)
    samples = []
    for seed in (SEED, SEED + np.uint64(1)):
        picked = np.zeros_like(words)
        samples.append(set(pairs(picked, 0, in_sample(words, 3000, seed, HALF, picked))))
    assert samples[0] != samples[1]


def test_classes_divide_a_sample_and_keep_the_order_within() -> None:
    words = names(6000)
    sample, sorted_ = np.zeros_like(words), np.zeros_like(words)
    count = in_sample(words, 6000, SEED, HALF, sample)
    ends = np.zeros(16, np.int64)
    by_class(sample, count, SEED, ends, sorted_)
    assert ends[-1] == count
    whole = pairs(sample, 0, count)
    classes = [pairs(sorted_, start, stop) for start, stop in zip([0, *ends.tolist()], ends.tolist(), strict=False)]
    for members in classes:
        chosen = set(members)
        assert members == [name for name in whole if name in chosen]
    assert sum(len(set(members)) for members in classes) == len(set(whole))
    sizes = [len(set(members)) for members in classes]
    assert min(sizes) > 0.5 * max(sizes), "of about 60 names each"
