"""Which stretches of its address space a captured program has mapped."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

PAGE_BYTES = 4096


@dataclass(frozen=True)
class Area:
    """[start, end) in bytes, whole pages. ``backing`` as in the trace format.

    ``source``: the path of the file (backing ``file``) or the name of the shared object (backing ``shared``).
    """

    start: int
    end: int
    backing: str = "anonymous"
    source: str = ""
    offset: int = 0
    writable: bool = True


class AreaMap:
    """The areas of one program, without overlaps."""

    def __init__(self, areas: tuple[Area, ...] = ()) -> None:
        """Later areas replace what they overlap."""
        self._areas: list[Area] = []
        self._starts = self._ends = np.empty(0, np.uint64)
        for area in areas:
            self.add(area)

    def __iter__(self) -> Iterator[Area]:
        """All areas by address, as they are now."""
        return iter(tuple(self._areas))

    def copy(self) -> "AreaMap":
        """What a forked child gets."""
        return AreaMap(tuple(self._areas))

    def add(self, area: Area) -> None:
        """Maps an area in place of what it overlaps."""
        self.remove(area.start, area.end)
        self._areas.insert(bisect_right([a.start for a in self._areas], area.start), area)
        self._index()

    def remove(self, start: int, end: int) -> None:
        """Unmaps [start, end)."""
        self._areas = [piece for area in self._areas for piece in outside(area, start, end)]
        self._index()

    def overlapping(self, start: int, end: int) -> list[Area]:
        """The parts of areas inside [start, end)."""
        return [inside(area, start, end) for area in self._areas if area.start < end and start < area.end]

    def uncovered(self, first: npt.NDArray[np.uint64], last: npt.NDArray[np.uint64]) -> list[Area]:
        """Anonymous areas for the pages of the bytes ``first`` to ``last`` (arrays) that lie in no area, ascending.

        A reference must not be longer than two pages.
        """
        ends = np.concatenate((first, last))
        if len(self._areas):
            at = np.searchsorted(self._starts, ends, side="right") - 1
            ends = ends[(at < 0) | (ends >= self._ends[at])]
        pages = np.unique(ends // np.uint64(PAGE_BYTES)).tolist()
        return [Area(page * PAGE_BYTES, (page + 1) * PAGE_BYTES) for page in pages]

    def _index(self) -> None:
        self._starts = np.array([area.start for area in self._areas], np.uint64)
        self._ends = np.array([area.end for area in self._areas], np.uint64)


def inside(area: Area, start: int, end: int) -> Area:
    """The part of an area in [start, end), which it overlaps."""
    start, end = max(start, area.start), min(end, area.end)
    offset = area.offset + (start - area.start if area.backing != "anonymous" else 0)
    return replace(area, start=start, end=end, offset=offset)


def outside(area: Area, start: int, end: int) -> list[Area]:
    """What is left of an area without [start, end): none, one or two pieces."""
    if end <= area.start or area.end <= start:
        return [area]
    pieces = [(area.start, start), (end, area.end)]
    return [inside(area, low, high) for low, high in pieces if low < high]


def page_down(address: int) -> int:
    """The start of the page that holds an address."""
    return address // PAGE_BYTES * PAGE_BYTES


def page_up(address: int) -> int:
    """An address rounded up to whole pages."""
    return -(-address // PAGE_BYTES) * PAGE_BYTES
