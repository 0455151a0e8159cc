"""Where the cache hierarchies that a replay runs side by side lie in its arrays, and the front that they share.

``kernels/state.py`` has the arrays, ``kernels/front.py`` says what the front is.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from discotrace.replay.counts import SEAT_COUNTERS
from discotrace.replay.kernels.state import SHAPE, U64, Lane
from discotrace.replay.machine import Cache, Hierarchy

_ACCESSES = 3  # FETCH, LOAD, STORE


def lane_table(hierarchies: Sequence[Hierarchy], cpus: int, seats: int, page_shift: int, frames: int) -> list[Lane]:
    """The lane of each hierarchy, with room for so many frames in the directory."""
    l2_first = accumulate((cpus * lines_of(one.l2) for one in hierarchies), initial=0)
    page_lines = [1 << (page_shift - log2(one.l2.line_b)) for one in hierarchies]
    line_first = accumulate((frames * count for count in page_lines), initial=0)
    return [
        Lane(
            number=number,
            counter=number * seats * SEAT_COUNTERS,
            shape=number * _ACCESSES * SHAPE,
            l1_lines=_l1_lines(one),
            l2=l2,
            l2_ways=one.l2.ways,
            l2_sets=one.l2.sets,
            l2_shift=log2(one.l2.line_b),
            l2_inclusive=int(one.l2.inclusive),
            line=line,
        )
        for number, (one, l2, line) in enumerate(zip(hierarchies, l2_first, line_first, strict=False))
    ]


def lane_shapes(hierarchies: Sequence[Hierarchy], cpus: int) -> U64:
    """Shapes of the first-level caches: [lanes, access, SHAPE] of FIRST, MASK, WAYS, SHIFT."""
    shapes: list[tuple[int, int, int, int]] = []
    first = 0
    for one in hierarchies:
        fetch = (first, one.l1i.sets - 1, one.l1i.ways, log2(one.l1i.line_b))
        data = (first + lines_of(one.l1i), one.l1d.sets - 1, one.l1d.ways, log2(one.l1d.line_b))
        shapes += [fetch, data, data]
        first += cpus * _l1_lines(one)
    return np.array(shapes, np.uint64).ravel()


def front_shapes(hierarchies: Sequence[Hierarchy]) -> U64:
    """Shapes of the front's two parts: [access, FRONT_SHAPE] of FIRST, MASK, LOWEST, SHIFT, COLOUR_FROM, COLOURS."""
    fetch, data = _front_parts(hierarchies)
    return np.array([0, *fetch, *(2 * [fetch.mask + 1, *data])], np.uint64)


def front_lines(hierarchies: Sequence[Hierarchy]) -> int:
    """Places of a CPU in the front."""
    return sum(part.mask + 1 for part in _front_parts(hierarchies))


def lines_of(cache: Cache) -> int:
    """Lines that a cache holds."""
    return cache.sets * cache.ways


def log2(power: int) -> int:
    """The logarithm of a power of two."""
    return power.bit_length() - 1


def _l1_lines(one: Hierarchy) -> int:
    return lines_of(one.l1i) + lines_of(one.l1d)


class _FrontPart(NamedTuple):
    """A part of the front, in the order of its shape."""

    mask: int
    lowest: int
    shift: int
    colour_from: int
    colours: int


def _front_parts(hierarchies: Sequence[Hierarchy]) -> tuple[_FrontPart, _FrontPart]:
    """The parts for L1I and for L1D."""
    return _front_part([one.l1i for one in hierarchies]), _front_part([one.l1d for one in hierarchies])


def _front_part(caches: Sequence[Cache]) -> _FrontPart:
    """A line is the shortest of all. Bits with which all choose a set choose a place; with which some do, the colour.

    So two addresses that some lane keeps in one set have the same place.
    """
    lowest = max(log2(cache.line_b) for cache in caches)
    ends = [log2(cache.line_b * cache.sets) for cache in caches]
    common = max(lowest, min(ends))
    return _FrontPart(
        mask=(1 << common - lowest) - 1,
        lowest=lowest,
        shift=min(log2(cache.line_b) for cache in caches),
        colour_from=common,
        colours=(1 << max(0, max(ends) - common)) - 1,
    )
