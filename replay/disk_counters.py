"""What is asked of each disk, whoever asks in whatever context. ``docs/model.md`` section 15."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from discotrace.replay.counts import Counters, DiskEvent, non_zero
from discotrace.tracegen.schema import File


class DiskCounters:
    """Counters [seats, disks, disk events] of the disks on which the files of a trace are."""

    def __init__(self, files: list[File], seats: int) -> None:
        self.disks = sorted({file.disk for file in files})  # their numbers in the trace
        first = {disk: number * len(DiskEvent) for number, disk in enumerate(self.disks)}
        self._first = {file.id: first[file.disk] for file in files}
        self._of_seat = len(self.disks) * len(DiskEvent)
        self._counts = np.zeros(seats * self._of_seat, np.int64)
        self._nobody = [0] * self._of_seat  # whose counts nobody looks at
        self._into: npt.NDArray[np.int64] | list[int] = self._counts

    def count(self, seat: int, file: int, event: DiskEvent, times: int) -> None:
        """Count an event at the disk of a file."""
        self._into[seat * self._of_seat + self._first[file] + event] += times

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """What happens inside is on nobody's account, which is that of seat 0."""
        into, self._into = self._into, self._nobody
        try:
            yield
        finally:
            self._into = into

    def take(self) -> Counters:
        """The counters that are not zero; they are afterwards."""
        taken = non_zero(self._counts)
        self._counts[taken.places] = 0
        return taken
