"""Which accesses reach a structure, out of those that are recorded."""

from typing import Protocol

import numpy as np

from discotrace.replay.kernels.accesses import of_one_cache
from discotrace.replay.kernels.set_lists import SetLists, first_level_misses, new_lists
from discotrace.replay.kernels.state import U64
from discotrace.replay.machine import Cache, Machine
from discotrace.replay.recording import RecordingSystem

Picked = tuple[U64, int]  # words [accesses, 2], and how many of them


class Source(Protocol):
    """Picks accesses."""

    def pick(self, owner: int, words: U64, count: int) -> Picked:
        """Those among the next ``count`` recorded accesses of an owner. They are kept until the next call."""


class Everything:
    """All that is recorded: TLB accesses, or accesses of pages."""

    def pick(self, owner: int, words: U64, count: int) -> Picked:
        """As ``Source`` has it."""
        return words, count


class OfOneCache:
    """Accesses of L1I or of L1D: line, and index of at most so many sets."""

    def __init__(self, is_data: bool, sets: int) -> None:
        self._is_data = int(is_data)
        self._index_mask = np.uint64(sets - 1)
        self._picked = np.zeros(0, np.uint64)

    def pick(self, owner: int, words: U64, count: int) -> Picked:
        """As ``Source`` has it."""
        self._picked = _room_for(words, self._picked)
        return self._picked, of_one_cache(words, count, self._is_data, self._index_mask, self._picked)


class SecondLevel:
    """Accesses of L2: what the machine's own first-level caches miss. Nothing that leaves L2 leaves them."""

    def __init__(self, machine: Machine, system: RecordingSystem, sets: int) -> None:
        self._machine = machine
        self._system = system
        self._index_mask = np.uint64(sets - 1)
        self._caches: dict[int, tuple[SetLists, SetLists]] = {}
        self._missed = np.zeros(0, np.uint64)
        line_b = machine.l2.line_b
        fetch, data, page = line_b // machine.l1i.line_b, line_b // machine.l1d.line_b, machine.page_bytes // line_b
        self._shifts = _log2(fetch), _log2(data), _log2(page)

    def pick(self, owner: int, words: U64, count: int) -> Picked:
        """As ``Source`` has it."""
        self._missed = _room_for(words, self._missed)
        if owner not in self._caches:
            self._caches[owner] = self._cache(self._machine.l1i), self._cache(self._machine.l1d)
        mfn = self._system.hardware.frames.mfn
        misses = first_level_misses(
            *self._caches[owner], words, count, self._shifts, mfn, self._index_mask, self._missed
        )
        return self._missed, misses

    def _cache(self, cache: Cache) -> SetLists:
        return new_lists(cache.sets, cache.ways, self._machine.page_bytes // cache.line_b)


def _room_for(words: U64, picked: U64) -> U64:
    return picked if len(picked) >= len(words) else np.zeros_like(words)


def _log2(power: int) -> int:
    return power.bit_length() - 1
