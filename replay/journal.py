"""What memory held at each time of a replay: which frame each virtual page had, which pages of files were there.

Written down during a replay of an outline (``tracegen.outline``), it says what there is when a replay begins in the
middle of the trace.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from discotrace.replay.buffer_cache import FilePage
from discotrace.replay.memory import MachineMemory
from discotrace.replay.now import Now

STILL = 1 << 62  # instead of the row at which something ended


class Journal:
    """Lists of what came and went, each with the row at which it came and the row at which it ended."""

    def __init__(
        self, now: Now, memory: MachineMemory, dealt: Callable[[], int], slot: Callable[[int, int], int]
    ) -> None:
        """``dealt``: how many frames have been dealt out; ``slot``: of a page of a VM."""
        self._now = now
        self._memory = memory
        self._dealt = dealt
        self._slot = slot
        self.pages: list[tuple[int, int, int, int, int]] = []  # row, key, vpn, node, index of the frame
        self.pages_until: list[int] = []
        self.files: list[tuple[int, ...]] = []  # row, file, page of it, row when it left, when written, node, index
        self.dealt: list[tuple[int, int]] = []  # row, frames dealt out when it was done
        self._of_page: dict[tuple[int, int], int] = {}
        self._there: dict[FilePage, list[int]] = {}  # row, guest page, row when written

    def mapped(self, key: int, vpn: int, slot: int) -> None:
        """A virtual page has a frame, or another one than before."""
        if (key, vpn) in self._of_page:
            self.unmapped(key, vpn)
        frame = self._memory.frames[slot]
        self._of_page[key, vpn] = len(self.pages)
        self.pages.append((self._now.row, key, vpn, frame.node, frame.index))
        self.pages_until.append(STILL)
        self.dealt.append((self._now.row, self._dealt()))

    def unmapped(self, key: int, vpn: int) -> None:
        """A virtual page is not mapped any more."""
        self.pages_until[self._of_page.pop((key, vpn))] = self._now.row

    def came_in(self, page: FilePage, gfn: int) -> None:
        """A page of a file came into memory."""
        self._there[page] = [self._now.row, gfn, STILL]
        self.dealt.append((self._now.row, self._dealt()))

    def wrote(self, page: FilePage) -> None:
        """A page of a file was written for the first time since it came."""
        self._there[page][2] = self._now.row

    def left(self, page: FilePage) -> None:
        """A page of a file is about to leave memory."""
        self._write_down(page, self._now.row)

    def close(self) -> None:
        """What is there stays."""
        for page in list(self._there):
            self._write_down(page, STILL)

    def _write_down(self, page: FilePage, until: int) -> None:
        row, gfn, written = self._there.pop(page)
        frame = self._memory.frames[self._slot(0, gfn)]
        self.files.append((row, *page, until, written, frame.node, frame.index))


def columns(rows: Sequence[tuple[int, ...]], width: int) -> list[npt.NDArray[np.int64]]:
    """Columns of rows, also of none."""
    return list(np.array(rows, np.int64).reshape(-1, width).T)
