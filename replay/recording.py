"""A pass over a trace that records what the native system accesses, in order, and hands it on: no caches, no counts."""

from typing import Protocol

import numpy as np

from discotrace.replay.engine import Replay
from discotrace.replay.kernels.recording import FULL, Accesses, Recorder, record_rows
from discotrace.replay.kernels.state import U64
from discotrace.replay.machine import Cache, Machine
from discotrace.replay.native import NativeSystem
from discotrace.tracegen.schema import Rows, TraceMeta

TRANSLATIONS, LINES, PAGES = "translations", "lines", "pages"  # may be recorded: see ``kernels.recording.Recorder``
NO_WINDOWS = 1 << 62  # a window longer than any trace
_ROOM = 1 << 16  # accesses of an owner at least, so that handing them on costs little


class AccessReader(Protocol):
    """Whoever wants the accesses."""

    def read(self, owner: int, words: U64, count: int) -> None:
        """The next ``count`` accesses of a CPU, or of all for pages: two of ``words`` each. They are not kept."""

    def freed(self, slots: list[int]) -> None:
        """After the accesses so far these frames were freed: what they hold from now on is another page."""


class RecordingSystem(NativeSystem):
    """The native system, writing down one of TRANSLATIONS, LINES, PAGES."""

    replay_rows = staticmethod(record_rows)

    def __init__(self, meta: TraceMeta, machine: Machine, what: str) -> None:
        super().__init__(meta, machine)
        self.accesses = _room_for_accesses(1 if what == PAGES else machine.cpu.count, machine)
        recorded = {name: _no_room(machine) for name in (TRANSLATIONS, LINES, PAGES)} | {what: self.accesses}
        recorder = Recorder(**recorded, fetch_shift=_log2(machine.l1i), data_shift=_log2(machine.l1d))
        self.hardware.state = self.hardware.state._replace(system=recorder)
        self.just_freed: list[int] = []

    def free(self, vm: int, gfn: int) -> None:
        """The frame may be another page's next."""
        super().free(vm, gfn)
        self.just_freed.append(gfn)


class Recording(Replay):
    """The pass: ``feed`` rows in order, then ``close``."""

    def __init__(self, meta: TraceMeta, system: RecordingSystem, reader: AccessReader) -> None:
        super().__init__(meta, system, NO_WINDOWS)
        self._recording = system
        self._reader = reader

    def close(self) -> None:
        """Hand on what is left."""
        accesses = self._recording.accesses
        for owner in np.flatnonzero(accesses.written).tolist():
            words = accesses.words[2 * owner * accesses.room : 2 * (owner + 1) * accesses.room]
            self._reader.read(owner, words, int(accesses.written[owner]))
        accesses.written.fill(0)

    def _act(self, code: int, rows: Rows) -> None:
        if code == FULL:
            self.close()
            return
        super()._act(code, rows)
        if self._recording.just_freed:
            self.close()
            self._reader.freed(self._recording.just_freed)
            self._recording.just_freed.clear()


def _room_for_accesses(owners: int, machine: Machine) -> Accesses:
    """Room for two pages at least, of each of which every line may be accessed, and one of a page table besides."""
    of_page = machine.page_bytes // min(machine.l1i.line_b, machine.l1d.line_b) + 1
    room = max(_ROOM, 2 * of_page)
    return Accesses(np.zeros(2 * owners * room, np.uint64), np.zeros(owners, np.int64), room, room - of_page)


def _no_room(machine: Machine) -> Accesses:
    return Accesses(np.zeros(0, np.uint64), np.zeros(machine.cpu.count, np.int64), 0, 0)


def _log2(cache: Cache) -> int:
    return cache.line_b.bit_length() - 1
