"""The engine: feeds rows to a system's compiled loop and does what the loop comes back for.

The only place that knows all parts of a replay. One ``Replay`` is one system on one machine over one trace.
"""

from dataclasses import dataclass

import numpy as np

from discotrace.replay.counts import N_CONTEXTS, Counts, Event, WindowCounts
from discotrace.replay.kernels import reference, walk
from discotrace.replay.kernels.compile import bound
from discotrace.replay.kernels.entries import page_map_insert, page_map_insert_all, page_map_remove
from discotrace.replay.kernels.state import (
    EMPTY,
    INVALID,
    PageMap,
    State,
    new_frames,
    new_keys,
    new_state,
    with_room_for_frames,
)
from discotrace.replay.machine import Machine
from discotrace.replay.pages import Mapping, Pages
from discotrace.replay.system import ReplayKernel, System, Translations
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import COLUMN_DTYPES, Kind, Rows, TraceMeta

N_EVENTS = len(Event)
FAULTS = {
    walk.UNKNOWN_KIND: "kind {kind} is unknown",
    walk.CPU_RANGE: "vcpu {vcpu} is out of range: the metadata declares {cpus} CPUs",
    walk.UNDECLARED: "process {asid} is not declared in the metadata",
    walk.NESTING: "service {arg} does not nest: EXIT of a service not entered last, or more than 15 inside each other",
    walk.UNKNOWN_SERVICE: "service {arg} is unknown",
    walk.UNKNOWN_CLASS: "privileged class {arg} is unknown",
    walk.BAD_SIZE: "a reference of size 0",
}


@dataclass(eq=False)  # not frozen: Python itself assigns to the attributes of an exception
class RowFault(Exception):  # noqa: N818 - a fault of a row, not yet an error of the program
    """A row that breaks the format, by its number in the trace; the reader knows where in the file that is."""

    row: int
    message: str


class Replay:
    """One replay. ``feed`` rows in order, then ``finish``."""

    def __init__(self, meta: TraceMeta, machine: Machine, system: System, window: int) -> None:
        """``machine`` has its CPUs resolved (``Machine.for_trace``); ``window`` is in instructions of the trace."""
        self.system = system
        self._meta = meta
        self._window = window
        self._pages = Pages(meta, machine.page_bytes)
        self._mapped = 0
        self._state: State = new_state(system.numbers, machine, meta.cpus, [p.asid for p in meta.processes])
        self._cursor = np.zeros(reference.CURSOR_LENGTH, np.int64)
        self._cursor[reference.WINDOW_END] = window
        self._trap = np.zeros(reference.TRAP_LENGTH, np.uint64)
        self._closed: list[WindowCounts] = []
        self._rows_before = 0
        self._run: ReplayKernel | None = None  # compiled, or loaded from the cache, when the first rows come
        self._insert_page = bound(page_map_insert, self._state.pages, 0, 0, 0)
        self._remove_page = bound(page_map_remove, self._state.pages, 0, 0)

    def feed(self, rows: Rows) -> None:
        """Replay the next rows of the trace.

        Raises RowFault for a row that breaks the format, ConfigError when memory is full.
        """
        rows = _as_kernels_take_them(rows)
        if self._run is None:
            self._run = bound(self.system.replay_rows, self._state, rows, 0, self._cursor, self._trap)
        self._cursor[reference.ROW] = 0
        stop = len(rows.kind)
        while True:
            code = self._run(self._state, rows, stop, self._cursor, self._trap)
            if code == walk.END:
                break
            self._act(code, rows)
        self._rows_before += stop

    def finish(self) -> Counts:
        """Counts of the whole replay."""
        self._close_window()
        return Counts(self._closed, self._state.params.cpus)

    @property
    def misses_by_page(self) -> np.ndarray:
        """L2 misses per frame and CPU [frames, C], as FLASH's counters have them at the end."""
        slots = len(self.system.memory.frames)
        cpus = self._state.params.cpus
        return self._state.caches.frames.misses[: slots * cpus].reshape(slots, cpus)

    def _act(self, code: int, rows: Rows) -> None:
        row = int(self._cursor[reference.ROW])
        try:
            if code == walk.WINDOW:
                self._close_window()
            elif code == walk.MAP_PAGE:
                self._map_page()
            elif code == walk.EVENT:
                self._handle_event(rows, row)
                self._cursor[reference.ROW] += 1
            else:
                values = {name: int(getattr(rows, name)[row]) for name in Rows._fields}
                raise TraceError(FAULTS[code].format(**values, cpus=self._meta.cpus))
        except TraceError as fault:
            raise RowFault(self._rows_before + row, str(fault)) from fault

    def _map_page(self) -> None:
        key, vpn, vaddr, cpu, context = self._trap.tolist()
        mapping, is_new = self._pages.map(key, vpn, vaddr, lambda: self.system.allocate(cpu))
        s = self._state = with_room_for_frames(self._state, len(self.system.memory.frames))
        frame = self.system.memory.frames[mapping.slot]
        s.caches.frames.mfn[mapping.slot] = frame.mfn
        s.caches.frames.home[mapping.slot] = frame.node
        base = (cpu * N_CONTEXTS + context) * N_EVENTS
        s.counts[base + Event.PAGES_MAPPED] += 1
        s.counts[base + Event.FRAMES_ALLOCATED] += is_new
        self._insert(key, vpn, mapping)

    def _insert(self, key: int, vpn: int, mapping: Mapping) -> None:
        pages = self._state.pages
        self._mapped += 1
        if 2 * self._mapped > len(pages.frame):
            places = 2 * len(pages.frame)
            larger = PageMap(new_keys(places), new_keys(places), new_frames(places))
            page_map_insert_all(pages, larger)
            self._state = self._state._replace(pages=larger)
        self._insert_page(self._state.pages, key, vpn, mapping.slot)

    def _handle_event(self, rows: Rows, row: int) -> None:
        kind, segment = rows.kind[row], int(rows.arg[row])
        if kind == Kind.MAP:
            self._pages.begin_segment(segment)
        elif kind == Kind.UNMAP:
            key, gone = self._pages.end_segment(segment)
            self._remove(key, gone)
            self._invalidate(key, gone)
        else:
            for key, gone in self._pages.end_process(int(rows.asid[row])):
                self._remove(key, gone)

    def _remove(self, key: int, gone: dict[int, Mapping]) -> None:
        for vpn, mapping in gone.items():
            self._remove_page(self._state.pages, key, vpn)
            if mapping.private:
                self.system.free(mapping.slot)
        self._mapped -= len(gone)

    def _invalidate(self, key: int, gone: dict[int, Mapping]) -> None:
        """Pages that are unmapped become invalid in every TLB."""
        self._state.recent.fill(EMPTY)
        shift = self._state.params.group_shift
        for table in [Translations(*self._state.tlb), *self.system.translations()]:
            for at in np.flatnonzero(table.key == key):
                for page in range(1 << shift):
                    if (int(table.group[at]) << shift) + page in gone:
                        table.frame[2 * at + page] = INVALID

    def _close_window(self) -> None:
        instructions = int(self._cursor[reference.TRACE_INSTRUCTIONS])
        window = int(self._cursor[reference.WINDOW_END]) // self._window - 1
        places = np.flatnonzero(self._state.counts)
        if len(places):
            self._closed.append(WindowCounts(window, places, self._state.counts[places]))
            self._state.counts.fill(0)
        self._cursor[reference.WINDOW_END] = (instructions // self._window + 1) * self._window


def _as_kernels_take_them(rows: Rows) -> Rows:
    """Contiguous, read-only columns of the format's types: one signature for rows of any origin."""
    columns = []
    for column, dtype in zip(rows, COLUMN_DTYPES.values(), strict=True):
        view = np.ascontiguousarray(column, dtype).view()
        view.setflags(write=False)
        columns.append(view)
    return Rows._make(columns)
