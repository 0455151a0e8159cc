"""What accesses are put through: LRU stacks of every size, samples of them, and the sets of caches.

The owner of accesses is a CPU, each of which has a TLB and caches of its own; or 0 for all, which share the memory.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

import numpy as np

from discotrace.analysis.curve.curve import CLASSES, I64, Curve, Depths, Scale
from discotrace.replay.kernels.accesses import by_class, count_new, in_sample
from discotrace.replay.kernels.lru_stack import COLD, forget_names, move_stack, new_stack, see_accesses
from discotrace.replay.kernels.set_lists import SetLists, new_lists, see_lines
from discotrace.replay.kernels.state import U64
from discotrace.replay.placement import splitmix64
from discotrace.tracegen.errors import ConfigError

_FIRST_TIMES = 64
_WORD_BITS = 64
_FEWEST_NAMES = 20 * CLASSES  # of a sample, so that each of its classes is one too


class Structure(Protocol):
    """Something that accesses go through."""

    def see(self, owner: int, words: U64, count: int) -> None:
        """The next accesses of an owner: the first ``count`` of ``words`` [accesses, 2]."""

    def forget(self, words: U64) -> None:
        """Names that are gone, from all owners: whoever comes by them is another. ``words`` [names, 2]."""

    def curves(self, scales: list[Scale]) -> list[Curve]:
        """The curve of each scale, one for each number of sets, from the accesses so far."""


class Stack:
    """An LRU stack that grows with the number of names."""

    def __init__(self) -> None:
        self._arrays = new_stack(_FIRST_TIMES)

    def see(self, words: U64, start: int, stop: int) -> None:
        """Accesses from ``start`` to ``stop``, in order."""
        while (start := see_accesses(self._arrays, words, start, stop)) < stop:
            larger = new_stack(2 * len(self._arrays.depths))
            move_stack(self._arrays, larger)
            self._arrays = larger

    def forget(self, words: U64) -> None:
        """These names leave their places free."""
        forget_names(self._arrays, words)

    @property
    def found(self) -> I64:
        """Accesses by depth."""
        return np.trim_zeros(self._arrays.depths, "b")

    @property
    def cold(self) -> int:
        """Accesses to what was not in the stack."""
        return int(self._arrays.numbers[COLD])


class Stacks:
    """An LRU stack for each owner."""

    def __init__(self) -> None:
        self._by_owner: dict[int, Stack] = defaultdict(Stack)
        self._accesses = 0

    def see(self, owner: int, words: U64, count: int) -> None:
        """As ``Structure`` has it."""
        self.see_part(owner, words, 0, count)

    def see_part(self, owner: int, words: U64, start: int, stop: int) -> None:
        """Accesses from ``start`` to ``stop`` of an owner."""
        self._accesses += stop - start
        self._by_owner[owner].see(words, start, stop)

    def forget(self, words: U64) -> None:
        """As ``Structure`` has it."""
        for stack in self._by_owner.values():
            stack.forget(words)

    def curves(self, scales: list[Scale]) -> list[Curve]:
        """As ``Structure`` has it."""
        return [Curve(scale, self._accesses, self.cold, 0, None, self.depths(), []) for scale in scales]

    @property
    def cold(self) -> int:
        """Accesses to what was not in its owner's stack."""
        return sum(stack.cold for stack in self._by_owner.values())

    def depths(self, rate: float = 1.0) -> Depths:
        """Of all owners together. ``rate``: share of the names whose accesses came here."""
        found = [stack.found for stack in self._by_owner.values()]
        whole = np.zeros(max((len(one) for one in found), default=0), np.int64)
        for one in found:
            whole[: len(one)] += one
        return Depths(whole, self.cold, rate)


class SampledStacks:
    """The LRU stacks of a sample of the names, which a hash chooses, and of disjoint parts of it (SHARDS)."""

    def __init__(self, rate: float, seed: int) -> None:
        self._rate = rate
        self._seed = seed
        self._limit = np.uint64(int(rate * (1 << _WORD_BITS)))
        self._whole = Stacks()
        self._parts = [Stacks() for _ in range(CLASSES)]
        self._picked = [np.zeros(0, np.uint64), np.zeros(0, np.uint64)]
        self._accesses = 0

    def see(self, owner: int, words: U64, count: int) -> None:
        """As ``Structure`` has it."""
        self._accesses += count
        if len(self._picked[0]) < len(words):
            self._picked = [np.zeros_like(words), np.zeros_like(words)]
        sample, parts = self._picked
        seed = np.uint64(splitmix64(self._seed + (owner << 32)))
        size = in_sample(words, count, seed, self._limit, sample)
        self._whole.see(owner, sample, size)
        ends = np.zeros(CLASSES, np.int64)
        by_class(sample, size, seed, ends, parts)
        for part, start, stop in zip(self._parts, (0, *ends.tolist()), ends.tolist(), strict=False):
            part.see_part(owner, parts, start, stop)

    def forget(self, words: U64) -> None:
        """As ``Structure`` has it."""
        for stacks in (self._whole, *self._parts):
            stacks.forget(words)

    def curves(self, scales: list[Scale]) -> list[Curve]:
        """As ``Structure`` has it. Raises ConfigError if there are too few names in the sample to tell anything."""
        names, rate = self._whole.cold, self._rate
        if self._accesses and names < _FEWEST_NAMES:
            raise ConfigError(
                f"--sample {rate:g} is a sample of {names:,} out of about {names / rate:,.0f}: fewer than "
                f"{_FEWEST_NAMES} do not tell how far off they are"
            )
        depths = self._whole.depths(rate)
        classes = [part.depths(rate / CLASSES) for part in self._parts]
        return [Curve(scale, self._accesses, round(names / rate), 0, None, depths, classes) for scale in scales]


class Sets:
    """Caches of one line size with one or several numbers of sets, for each owner."""

    def __init__(self, sets: list[int], ways: int, page_lines: int, lines: Callable[[], int]) -> None:
        """``page_lines``: see ``SetLists``; ``lines`` tells how many lines all frames have that are known so far."""
        self._sets = sets
        self._ways = ways
        self._page_lines = page_lines
        self._lines = lines
        self._lists: dict[int, list[SetLists]] = {}
        self._seen: dict[int, U64] = {}
        self._accesses = 0
        self._cold = 0

    def see(self, owner: int, words: U64, count: int) -> None:
        """As ``Structure`` has it."""
        if owner not in self._lists:
            self._lists[owner] = [new_lists(sets, self._ways, self._page_lines) for sets in self._sets]
            self._seen[owner] = np.zeros(0, np.uint64)
        self._accesses += count
        self._seen[owner] = _with_bits(self._seen[owner], self._lines())
        self._cold += count_new(words, count, self._seen[owner])
        for lists in self._lists[owner]:
            see_lines(lists, words, count)

    def forget(self, words: U64) -> None:
        """Lines stay in caches."""

    def curves(self, scales: list[Scale]) -> list[Curve]:
        """As ``Structure`` has it."""
        return [self._curve(scale, place) for place, scale in enumerate(scales)]

    def _curve(self, scale: Scale, place: int) -> Curve:
        depths, elsewhere = np.zeros(self._ways + 1, np.int64), 0
        for lists in self._lists.values():
            depths += lists[place].depths
            elsewhere += int(lists[place].elsewhere[0])
        found = Depths(depths[:-1], int(depths[-1]))
        return Curve(scale, self._accesses, self._cold, elsewhere, self._ways, found, [])


def _with_bits(words: U64, bits: int) -> U64:
    """The same words, at least so many bits long (doubling)."""
    if bits <= _WORD_BITS * len(words):
        return words
    longer = np.zeros(max(2 * len(words), -(-bits // _WORD_BITS)), np.uint64)
    longer[: len(words)] = words
    return longer
