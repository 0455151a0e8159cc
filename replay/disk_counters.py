"""What is asked of each disk, whoever asks in whatever context. ``docs/model.md`` section 15."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from discotrace.replay.counts import Counters, DiskEvent, non_zero
from discotrace.tracegen.schema import File


class DiskCounters:
    """Counters [seats, disks, disk events] of the disks on which the files of a trace are."""

    def __init__(self, files: list[File], seats: int) -> None:
        self.disks = sorted({file.disk for file in files})  # their numbers in the trace
        place = {disk: number for number, disk in enumerate(self.disks)}
        self._disk = {file.id: place[file.disk] for file in files}
        self._counts = np.zeros(seats * len(self.disks) * len(DiskEvent), np.int64)
        self._nobody = np.zeros_like(self._counts)  # whose counts nobody looks at

    def count(self, seat: int, file: int, event: DiskEvent, times: int) -> None:
        """Count an event at the disk of a file."""
        self._counts[(seat * len(self.disks) + self._disk[file]) * len(DiskEvent) + event] += times

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """What happens inside is on nobody's account."""
        counts, self._counts = self._counts, self._nobody
        try:
            yield
        finally:
            self._counts = counts

    def take(self) -> Counters:
        """The counters that are not zero; they are afterwards."""
        taken = non_zero(self._counts)
        self._counts[taken.places] = 0
        return taken
