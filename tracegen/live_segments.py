"""Which segments hold at the moment, in the address spaces of all processes and of the kernel."""

from bisect import bisect_left, bisect_right

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.schema import Segment

NO_SEGMENT = -1


class _Space:
    """The segments of one asid, ordered by start; bounds are inclusive so that the last address fits into 64 bits."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.lasts: list[int] = []
        self.numbers: list[int] = []
        self._arrays: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.int64]] | None = None

    def arrays(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        if self._arrays is None:
            self._arrays = (
                np.array(self.starts, np.uint64),
                np.array(self.lasts, np.uint64),
                np.array(self.numbers, np.int64),
            )
        return self._arrays

    def insert(self, place: int, start: int, last: int, number: int) -> None:
        self.starts.insert(place, start)
        self.lasts.insert(place, last)
        self.numbers.insert(place, number)
        self._arrays = None

    def delete(self, place: int) -> None:
        del self.starts[place], self.lasts[place], self.numbers[place]
        self._arrays = None


class LiveSegments:
    """The segments that hold, known by their number in the metadata. Those of one asid never overlap."""

    def __init__(self) -> None:
        self._spaces: dict[int, _Space] = {}

    def add(self, number: int, segment: Segment) -> int:
        """Makes a segment hold: NO_SEGMENT. If another one is in its way nothing changes and that one is returned."""
        space = self._spaces.setdefault(segment.asid, _Space())
        place = bisect_left(space.starts, segment.start)
        if place and space.lasts[place - 1] >= segment.start:
            return space.numbers[place - 1]
        if place < len(space.starts) and space.starts[place] < segment.end:
            return space.numbers[place]
        space.insert(place, segment.start, segment.end - 1, number)
        return NO_SEGMENT

    def remove(self, number: int, segment: Segment) -> bool:
        """Ends a segment; false if it did not hold."""
        space = self._spaces.get(segment.asid)
        if space is None:
            return False
        place = bisect_left(space.starts, segment.start)
        if place == len(space.starts) or space.numbers[place] != number:
            return False
        space.delete(place)
        return True

    def remove_all(self, asid: int) -> None:
        """Ends every segment of an asid."""
        self._spaces.pop(asid, None)

    def find(self, key: npt.NDArray[np.uint32], vaddr: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Number of the segment that holds at each address, or NO_SEGMENT.

        ``key`` is the asid that owns the address: the process for user addresses, 0 for kernel addresses. Shapes
        (n,), (n,) -> (n,).
        """
        found = np.full(len(key), NO_SEGMENT, np.int64)
        for asid in np.unique(key).tolist():
            space = self._spaces.get(asid)
            if space is None or not space.starts:
                continue
            starts, lasts, numbers = space.arrays()
            mine = np.flatnonzero(key == asid)
            place = np.searchsorted(starts, vaddr[mine], side="right") - 1
            inside = (place >= 0) & (vaddr[mine] <= lasts[place])
            found[mine[inside]] = numbers[place[inside]]
        return found

    def covers(self, key: int, first: int, last: int) -> bool:
        """Whether all bytes from ``first`` to ``last`` (inclusive) lie in segments that hold."""
        space = self._spaces.get(key)
        if space is None:
            return False
        place = bisect_right(space.starts, first) - 1
        if place < 0 or space.lasts[place] < first:
            return False
        while space.lasts[place] < last:
            place += 1
            if place == len(space.starts) or space.starts[place] != space.lasts[place - 1] + 1:
                return False
        return True
