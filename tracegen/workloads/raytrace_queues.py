"""Queues of tiles, one per process: each takes from its own and then steals from the others'."""

import numpy as np

from discotrace.tracegen.schema import Kind
from discotrace.tracegen.workloads import raytrace_layout as at
from discotrace.tracegen.workloads.program import References
from discotrace.tracegen.workloads.raytrace_kernels import LOAD, STORE, Blocks
from discotrace.tracegen.workloads.raytrace_layout import Places

LOCK_BYTES = 4


class TileQueues:
    """The tiles 0 .. ``tiles`` - 1, in equal stretches. All processes share the object: first come, first served."""

    def __init__(self, tiles: int, queues: int) -> None:
        bounds = [number * tiles // queues for number in range(queues + 1)]
        self._heads, self._tails = bounds[:-1], bounds[1:]

    def take(self, own: int) -> tuple[int, list[tuple[int, bool]]]:
        """A tile, -1 if there is none; and the queues that were asked, with whether they had one.

        The own queue gives its first, the others', asked in turn from the next on, their last.
        """
        asked = []
        for step in range(len(self._heads)):
            number = (own + step) % len(self._heads)
            has_one = self._heads[number] < self._tails[number]
            asked.append((number, has_one))
            if has_one:
                if step == 0:
                    self._heads[number] += 1
                    return self._heads[number] - 1, asked
                self._tails[number] -= 1
                return self._tails[number], asked
        return -1, asked


def take_references(places: Places, text: Blocks, tile: int, asked: list[tuple[int, bool]]) -> References:
    """What taking a tile does to memory: look at head and tail, and if there is one, again under the queue's lock."""
    rows: list[tuple[int, int, int, int]] = []

    def add(block: int, *data: tuple[int, int, int]) -> None:
        start, instructions = int(text[block, 0]), int(text[block, 1])
        rows.append((Kind.FETCH, start, 4 * instructions, instructions))
        rows.extend((kind, vaddr, size, 0) for kind, vaddr, size in data)

    for number, has_one in asked:
        queue = places.queues + number * at.QUEUE_BYTES
        add(at.TAKE_NOTHING, (LOAD, queue + at.QUEUE_HEAD, 8))
        if has_one:
            add(at.TAKE_LOCK, (LOAD, queue, LOCK_BYTES), (STORE, queue, LOCK_BYTES))
            entry = places.entries + tile * at.INDEX_BYTES
            end = at.QUEUE_HEAD if number == asked[0][0] else at.QUEUE_TAIL
            add(
                at.TAKE_TILE,
                (LOAD, queue + at.QUEUE_HEAD, 8),
                (LOAD, entry, at.INDEX_BYTES),
                (STORE, queue + end, 4),
                (STORE, queue, LOCK_BYTES),
            )
    kind, vaddr, size, arg = zip(*rows, strict=True)
    return References(
        np.array(kind, np.uint8), np.array(vaddr, np.uint64), np.array(size, np.uint32), np.array(arg, np.uint32)
    )
