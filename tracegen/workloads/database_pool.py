"""The buffer pool: which pages of the tables are in which frames, and which leaves for another.

Pages of a scan are the first to leave again, so that a scan does not wash out the pool; pages of customers and their
index are bound to the pool and never leave. All servers of an instance share it.
"""

import numpy as np
import numpy.typing as npt

NOWHERE = -1
GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, are as evenly spread as can be


class Pool:
    """Frames and their pages. ``frame_of``: frame of each page, -1 = not in the pool."""

    def __init__(self, rng: np.random.Generator, pages: int, frames: int, first_bound: int) -> None:
        """In the frames: pages from ``first_bound`` on, and as many others as fit, evenly spaced.

        Any stretch of frames has pages from all over the tables, as many of each partition, so that the hand takes as
        many from each: with pages at random a run of few queries would read a fifth more, or less, than a long one.
        """
        absent = np.linspace(rng.random(), first_bound, max(0, pages - frames), endpoint=False).astype(np.int64)
        held = np.setdiff1d(np.arange(pages), absent)
        self.frame_of: npt.NDArray[np.int64] = np.full(pages, NOWHERE, np.int64)
        self.frame_of[held] = np.argsort(np.argsort((held * GOLDEN + rng.random()) % 1))
        self._page_in = np.full(frames, NOWHERE, np.int64)
        self._page_in[self.frame_of[held]] = held
        self._first_bound = first_bound
        self._pins = np.zeros(frames, np.int64)
        self._hand = 0

    def resident_run(self, pages: range) -> range:
        """The pages at the beginning that are all in the pool."""
        absent = np.flatnonzero(self.frame_of[pages.start : pages.stop] == NOWHERE)
        return range(pages.start, pages.start + int(absent[0])) if len(absent) else pages

    def pin(self, pages: range) -> None:
        """Keep resident pages from leaving."""
        self._pins[self.frame_of[pages.start : pages.stop]] += 1

    def unpin(self, pages: range) -> None:
        """The opposite of ``pin``."""
        self._pins[self.frame_of[pages.start : pages.stop]] -= 1

    def load(self, pages: range) -> None:
        """Bring in all that are absent."""
        for page in pages:
            if self.frame_of[page] == NOWHERE:
                self.replace(page)

    def replace(self, page: int) -> int:
        """Give a page the frame of the next one in turn that may leave. Returns the frame."""
        while self._pins[self._hand] or self._page_in[self._hand] >= self._first_bound:
            self._hand = (self._hand + 1) % len(self._pins)
        frame = self._hand
        self._hand = (self._hand + 1) % len(self._pins)
        if self._page_in[frame] != NOWHERE:
            self.frame_of[self._page_in[frame]] = NOWHERE
        self._page_in[frame] = page
        self.frame_of[page] = frame
        return frame
