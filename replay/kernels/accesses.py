"""Recorded accesses picked out, told apart and counted before a stack or a cache sees them.

Accesses are ``words`` [accesses, 2]; what is picked goes in order into ``picked`` of the same shape.
"""

import numpy as np

from discotrace.replay.kernels.compile import entry, inlined
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import I64, U64

_ZERO, _ONE = np.uint64(0), np.uint64(1)
_BITS, _BIT_MASK = np.uint64(6), np.uint64(63)  # of a word
_SECOND_FACTOR = np.uint64(0xC2B2_AE3D_27D4_EB4F)


@entry
def of_one_cache(words: U64, stop: int, is_data: int, index_mask: np.uint64, picked: U64) -> int:
    """Accesses of L1D, or of L1I, out of ``recording.Recorder.lines``, as line and masked index. Returns how many."""
    count = signed(0)
    for access in range(stop):
        if words[2 * access] & _ONE == np.uint64(is_data):
            picked[2 * count] = words[2 * access] >> _ONE
            picked[2 * count + 1] = words[2 * access + 1] & index_mask
            count += 1
    return count


@entry
def count_new(words: U64, stop: int, seen: U64) -> int:
    """How many lines are accessed for the first time. ``seen``: bits of lines that have been, brought up to date."""
    new = signed(0)
    for access in range(stop):
        word, bit = words[2 * access] >> _BITS, _ONE << (words[2 * access] & _BIT_MASK)
        if seen[word] & bit == _ZERO:
            seen[word] |= bit
            new += 1
    return new


@inlined
def hash_of(first: np.uint64, second: np.uint64, seed: np.uint64) -> np.uint64:
    """64 bits that look random: the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    z = (first + seed) ^ second * _SECOND_FACTOR
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    return z ^ z >> np.uint64(31)


@entry
def in_sample(words: U64, stop: int, seed: np.uint64, limit: np.uint64, picked: U64) -> int:
    """Accesses to names whose hash is less than ``limit``: all accesses to a name or none. Returns how many."""
    count = signed(0)
    for access in range(stop):
        first, second = words[2 * access], words[2 * access + 1]
        if hash_of(first, second, seed) < limit:
            picked[2 * count] = first
            picked[2 * count + 1] = second
            count += 1
    return count


@entry
def by_class(words: U64, stop: int, seed: np.uint64, ends: I64, picked: U64) -> None:
    """Accesses sorted by the class of their name, the order within each kept.

    Classes are the lowest bits of the hash, of which ``in_sample`` looks at the highest. ``ends`` [classes, a power of
    two] is filled with where each ends in ``picked``.
    """
    mask = np.uint64(len(ends) - 1)
    ends[:] = 0
    for access in range(stop):
        of_class = signed(hash_of(words[2 * access], words[2 * access + 1], seed) & mask)
        if of_class + 1 < len(ends):
            ends[of_class + 1] += 1
    for of_class in range(1, len(ends)):  # where each begins, until its accesses have moved it to its end
        ends[of_class] += ends[of_class - 1]
    for access in range(stop):
        first, second = words[2 * access], words[2 * access + 1]
        at = signed(ends[signed(hash_of(first, second, seed) & mask)])
        picked[2 * at] = first
        picked[2 * at + 1] = second
        ends[signed(hash_of(first, second, seed) & mask)] = at + 1
