"""The engine: feeds rows to a system's compiled loop and does what the loop comes back for.

The only loop over a trace. One ``Replay`` is one system on one machine over one trace.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from discotrace.replay.counts import Counts, WindowCounts
from discotrace.replay.crash import Crash, Loss
from discotrace.replay.footprint import Footprints
from discotrace.replay.kernels import reference, walk
from discotrace.replay.kernels.compile import bound
from discotrace.replay.system import ReplayKernel, System
from discotrace.tracegen.errors import TraceError
from discotrace.tracegen.schema import COLUMN_DTYPES, Kind, Rows, TraceMeta

FAULTS = {
    walk.UNKNOWN_KIND: "kind {kind} is unknown",
    walk.CPU_RANGE: "vcpu {vcpu} is out of range: the metadata declares {cpus} CPUs",
    walk.UNDECLARED: "process {asid} is not declared in the metadata",
    walk.NESTING: "service {arg} does not nest: EXIT of a service not entered last, or more than 15 inside each other",
    walk.UNKNOWN_SERVICE: "service {arg} is unknown",
    walk.UNKNOWN_CLASS: "privileged class {arg} is unknown",
    walk.BAD_SIZE: "a reference of size 0",
    walk.BAD_LOCK: "lock {arg} is released by who does not hold it, or taken while 16 others are held",
}


@dataclass(eq=False)  # not frozen: Python itself assigns to the attributes of an exception
class RowFault(Exception):  # noqa: N818 - a fault of a row, not yet an error of the program
    """A row that breaks the format, by its number in the trace; the reader knows where in the file that is."""

    row: int
    message: str


class Replay:
    """One replay. ``feed`` rows in order, then ``finish``."""

    def __init__(self, meta: TraceMeta, system: System, window: int, crash: Crash | None = None) -> None:
        """``window`` is in instructions of the trace. Natively a crash ends the machine, whichever VM it names."""
        self.system = system
        self._meta = meta
        self._window = window
        self._crash = crash
        self._window_end = window
        self._cooling = system.machine.migration.reset_instructions * system.machine.cpu.count
        self._cooling_end = self._cooling
        self._cursor = np.zeros(reference.CURSOR_LENGTH, np.int64)
        self._cursor[reference.WINDOW_END] = min(self._window_end, self._cooling_end)
        self._trap = np.zeros(reference.TRAP_LENGTH, np.uint64)
        self._closed: list[list[WindowCounts]] = [[] for _ in range(system.hardware.lanes)]
        self._rows_before = 0
        self._rows_lost = 0
        self._run: ReplayKernel | None = None  # compiled, or loaded from the cache, when the first rows come

    def begin_at(self, row: int, instructions: int) -> None:
        """The rows to come are not the first: so many rows and instructions of the trace lie before.

        What was counted so far is left out.
        """
        self._close_window()
        self._closed = [[] for _ in range(self.system.hardware.lanes)]
        self._rows_before = row
        self.pass_to(instructions)
        self._window_end = (instructions // self._window + 1) * self._window
        self._cooling_end = (instructions // self._cooling + 1) * self._cooling
        self._cursor[reference.WINDOW_END] = min(self._window_end, self._cooling_end)

    def pass_to(self, instructions: int) -> None:
        """So many instructions of the trace lie before the rows to come, whether they were replayed or not."""
        self._cursor[reference.TRACE_INSTRUCTIONS] = instructions

    def feed(self, rows: Rows) -> None:
        """Replay the next rows of the trace.

        Raises RowFault for a row that breaks the format, ConfigError when memory is full.
        """
        rows = _as_kernels_take_them(rows)
        if self._run is None:
            state = self.system.hardware.state
            self._run = bound(self.system.replay_rows, state, rows, 0, self._cursor, self._trap)
        count = len(rows.kind)
        if self._crash and self._rows_before <= self._crash.row < self._rows_before + count:
            at = self._crash.row - self._rows_before
            self._replay(rows, 0, at)
            self.system.now.row = self._crash.row
            self.system.crash(self._crash.vm)
            self._replay(rows, at, count)
            self._rows_lost += self._rows_of_dead(rows.asid[at:])
        else:
            self._replay(rows, 0, count)
            self._rows_lost += self._rows_of_dead(rows.asid)
        self._rows_before += count

    def finish(self) -> Counts:
        """Counts of the whole replay with the machine's own caches."""
        return self.finish_lanes()[0]

    def finish_lanes(self) -> list[Counts]:
        """The same with these caches, and with those that the system was given beside them, in their order."""
        if self._crash and not self.system.loss:
            self.system.crash(self._crash.vm)
        self.system.end_of_trace()
        self._close_window()
        system = self.system
        seats, nodes, disks = system.parts.seats, system.machine.nodes, system.disk_counters.disks
        return [Counts(windows, seats, nodes, disks) for windows in self._closed]

    @property
    def footprints(self) -> Footprints:
        """How much memory was in use, and for what."""
        return self.system.meter.footprints

    @property
    def loss(self) -> Loss | None:
        """What the crash cost; None if there was none."""
        return self.system.loss and replace(self.system.loss, rows=self._rows_lost)

    @property
    def misses_by_page(self) -> npt.NDArray[np.uint32]:
        """L2 misses per frame and CPU [frames, C], as FLASH's counters have them at the end."""
        slots, cpus = len(self.system.memory.frames), self.system.parts.cpus
        return self.system.hardware.frames.misses[: slots * cpus].reshape(slots, cpus)

    def _replay(self, rows: Rows, start: int, stop: int) -> None:
        assert self._run is not None
        self._cursor[reference.ROW] = start
        while True:
            code = self._run(self.system.hardware.state, rows, stop, self._cursor, self._trap)
            if code == walk.END:
                break
            self._act(code, rows)

    def _act(self, code: int, rows: Rows) -> None:
        row = int(self._cursor[reference.ROW])
        key, vpn, vaddr, cpu, base, vm = self._trap.tolist()
        self.system.now.set(self._rows_before + row, int(self._cursor[reference.TRACE_INSTRUCTIONS]), cpu, vm, base)
        try:
            if code == walk.WINDOW:
                self._pass_boundary()
            elif code == walk.MAP_PAGE:
                self.system.map_page(key, vpn, vaddr)
            elif code == walk.WRITE_FAULT:
                self.system.write_fault(key, vpn)
            elif code == walk.HOT:
                self.system.now.row -= 1  # the row that made them hot is done
                self.system.cool(self.system.hardware.take_hot())
            elif code == walk.EVENT:
                self._handle_event(rows, row)
                self._cursor[reference.ROW] += 1
            else:
                values = {name: int(getattr(rows, name)[row]) for name in Rows._fields}
                raise TraceError(FAULTS[code].format(**values, cpus=self._meta.cpus))
            self.system.meter.settle()
        except TraceError as fault:
            raise RowFault(self._rows_before + row, str(fault)) from fault

    def _handle_event(self, rows: Rows, row: int) -> None:
        kind, asid, vaddr = int(rows.kind[row]), int(rows.asid[row]), int(rows.vaddr[row])
        size, arg = int(rows.size[row]), int(rows.arg[row])
        if kind == Kind.MAP:
            self.system.begin_segment(arg)
        elif kind == Kind.UNMAP:
            self.system.end_segment(arg)
        elif kind == Kind.PROCESS_EXIT:
            self.system.end_process(asid)
        elif kind == Kind.FILE_READ:
            self.system.file_read(arg, vaddr, size)
        elif kind == Kind.RESIDENT:
            self.system.make_resident(asid, arg, vaddr, size)
        else:
            self.system.file_write(arg, vaddr, size)

    def _pass_boundary(self) -> None:
        """The trace's instructions have reached the end of a window, or the time at which hot pages cool, or both."""
        instructions = int(self._cursor[reference.TRACE_INSTRUCTIONS])
        if instructions >= self._window_end:
            self._close_window()
        if instructions >= self._cooling_end:
            self.system.cool_all()
            self._cooling_end = (instructions // self._cooling + 1) * self._cooling
        self._cursor[reference.WINDOW_END] = min(self._window_end, self._cooling_end)

    def _close_window(self) -> None:
        system = self.system
        window = self._window_end // self._window - 1
        at_disks = system.disk_counters.take()
        lanes = zip(self._closed, system.hardware.take_counts(), system.hardware.take_node_counts(), strict=True)
        for closed, events, at_nodes in lanes:
            if len(events.places):  # without events there is nothing at nodes or disks
                closed.append(WindowCounts(window, events, at_nodes, at_disks))
        instructions = int(self._cursor[reference.TRACE_INSTRUCTIONS])
        self._window_end = (instructions // self._window + 1) * self._window

    def _rows_of_dead(self, asids: npt.NDArray[np.uint32]) -> int:
        """How many of these rows a crash leaves out: those of dead processes, or of a dead machine all."""
        if not self.system.loss:
            return 0
        return int(np.isin(asids, self.system.loss.processes).sum()) if self.system.parts.vms > 1 else len(asids)


def _as_kernels_take_them(rows: Rows) -> Rows:
    """Contiguous, read-only columns of the format's types: one signature for rows of any origin."""
    columns = []
    for column, dtype in zip(rows, COLUMN_DTYPES.values(), strict=True):
        view = np.ascontiguousarray(column, dtype).view()
        view.setflags(write=False)
        columns.append(view)
    return Rows._make(columns)
