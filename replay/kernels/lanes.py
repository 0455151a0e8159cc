"""The lanes: cache hierarchies side by side, which see the same accesses. ``docs/model.md`` sections 6 and 7."""

import numpy as np

from discotrace.replay.counts import Event
from discotrace.replay.kernels.cache import access_lines, drop_frame_lines
from discotrace.replay.kernels.compile import inlined, kernel
from discotrace.replay.kernels.front import come_to_front
from discotrace.replay.kernels.numbers import signed
from discotrace.replay.kernels.state import Caches, Lane

_FIELDS = len(Lane._fields)


@inlined
def in_lane(c: Caches, number: int) -> Caches:
    """The caches as the functions for one lane take them."""
    at, of = number * _FIELDS, c.lanes
    lane = Lane(
        number,
        of[at + 1],
        of[at + 2],
        of[at + 3],
        of[at + 4],
        of[at + 5],
        of[at + 6],
        of[at + 7],
        of[at + 8],
        of[at + 9],
    )
    return Caches(
        c.params,
        lane,
        c.lanes,
        c.counts,
        c.node_counts,
        c.front,
        c.front_shapes,
        c.l1,
        c.shapes,
        c.l2,
        c.directory,
        c.frames,
    )


@inlined
def count_hits(c: Caches, base: int, fetches: int, loads: int, stores: int) -> None:
    """Accesses that the front has answered are hits in every lane. ``base``: counters of the first lane."""
    for number in range(c.params.lanes):
        first = base + c.lanes[number * _FIELDS + 1]
        c.counts[first + Event.L1I_HITS] += fetches
        c.counts[first + Event.L1D_LOAD_HITS] += loads
        c.counts[first + Event.L1D_STORE_HITS] += stores


@kernel
def access_all(
    c: Caches, cpu: int, base: int, access: int, vaddr: np.uint64, maddr: np.uint64, size: np.uint64
) -> None:
    """Access the L1 lines of ``size`` bytes, all in one page: at ``vaddr``, which is ``maddr`` by frame slots.

    ``base``: counters of the first lane.
    """
    place = come_to_front(c, cpu, access, vaddr, maddr, size)
    dirty = 1
    for number in range(c.params.lanes):
        of_lane = in_lane(c, signed(number))
        dirty &= access_lines(of_lane, cpu, base + of_lane.lane.counter, access, vaddr, maddr, size)
    if c.front[place] >= 0:
        c.front[place] |= dirty


@kernel
def drop_lines_of_frame(c: Caches, frame: int) -> None:
    """All lines of a frame leave every cache and the directory; nothing is written back or counted."""
    for number in range(c.params.lanes):
        drop_frame_lines(in_lane(c, signed(number)), frame)
