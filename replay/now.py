"""The row that is being replayed: whose it is, and where what happens on its account is counted."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import numpy.typing as npt

from discotrace.replay.counts import SEAT_COUNTERS, DiskEvent, Event
from discotrace.replay.disk_counters import DiskCounters

_AS_IT_IS = nullcontext()


class Now:
    """Set by the engine before it lets a system act."""

    def __init__(self, counts: npt.NDArray[np.int64], disk_counters: DiskCounters) -> None:
        self._counts: npt.NDArray[np.int64] | list[int] = counts
        self._nobody = [0] * len(Event)  # whose counts nobody looks at; a list is four times as fast
        self._disk_counters = disk_counters
        self.row = 0  # number in the trace
        self.instructions = 0  # of the trace, before the row
        self.cpu = 0
        self.vm = 0
        self.base = 0  # of the counters of the VM on this CPU, under the lock held, in the current context

    def count(self, event: Event, times: int = 1) -> None:
        """Count an event in the current context."""
        self._counts[self.base + event] += times

    def count_at_disk(self, event: DiskEvent, file: int, times: int = 1) -> None:
        """Count an event at the disk of a file."""
        self._disk_counters.count(self.base // SEAT_COUNTERS, file, event, times)

    def uncounted(self) -> AbstractContextManager[None]:
        """What happens inside is on nobody's account."""
        return _AS_IT_IS if self._counts is self._nobody else self._on_nobodys_account()

    @contextmanager
    def _on_nobodys_account(self) -> Iterator[None]:
        counts, base = self._counts, self.base
        self._counts, self.base = self._nobody, 0
        try:
            with self._disk_counters.uncounted():
                yield
        finally:
            self._counts, self.base = counts, base

    def set(self, row: int, instructions: int, cpu: int, vm: int, base: int) -> None:
        """Another row, or another moment of it."""
        self.row, self.instructions, self.cpu, self.vm, self.base = row, instructions, cpu, vm, base
