"""Makes a trace out of a raw capture: schedules its processes on virtual CPUs and lets the guest kernel serve them."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.areas import Area, AreaMap
from discotrace.tracegen.descriptors import OpenFile
from discotrace.tracegen.guest_kernel import GuestKernel
from discotrace.tracegen.histories import build_histories
from discotrace.tracegen.instances import InstanceFiles, copy_histories
from discotrace.tracegen.raw_format import Limits, RawCapture
from discotrace.tracegen.reference_stream import ReferenceStream
from discotrace.tracegen.scheduler import Decision, Idle, Perform, Run, ScheduleParameters, Scheduler, Switch, Tick
from discotrace.tracegen.schema import Kind, Process, Rows, Segment, TraceMeta, concat_rows
from discotrace.tracegen.steps import (
    Action,
    Close,
    Exec,
    Exit,
    Fork,
    History,
    Open,
    Other,
    PipeTransfer,
    Remap,
    Seek,
    Stat,
    Transfer,
    Wait,
)
from discotrace.tracegen.warm_files import warm_files
from discotrace.tracegen.writer import COMPRESSION_LEVEL, TraceWriter

LONGEST_PIECE = 4096  # bytes of a buffer looked at in one go, as AreaMap.uncovered wants them


@dataclass
class MergeResult:
    """What became of a raw capture. ``instructions`` are the programs', ``kernel_instructions`` those of the model.

    ``guessed_pages``: pages that a program touched and no system call explains, mapped as anonymous memory.
    ``released``: processes that were scheduled although what they waited for had not happened.
    """

    rows: int = 0
    instructions: int = 0
    kernel_instructions: int = 0
    processes: int = 0
    guessed_pages: int = 0
    released: int = 0


def merge(
    capture: RawCapture,
    path: str | os.PathLike[str],
    schedule: ScheduleParameters,
    limits: Limits,
    *,
    version: str,
    instances: int = 1,
    cold: bool = False,
    compression_level: int = COMPRESSION_LEVEL,
    progress: Callable[[int], None] = lambda _: None,
) -> MergeResult:
    """Writes the trace of a raw capture, whose workload runs ``instances`` times side by side.

    Files that the workload uses and did not make are in memory when the trace begins, unless ``cold``.
    ``version`` of discotrace goes into the provenance; ``progress`` is told how many instructions of programs have
    been added.

    The trace ends with the slice of the schedule in which ``limits.instructions`` is reached. Equal captures and
    parameters give equal traces. Raises CaptureError when the raw capture is damaged, OutputError when ``path``
    cannot be written.
    """
    meta = TraceMeta(schedule.cpus, provenance=_provenance(capture, schedule, limits, version))
    if instances > 1:
        meta.provenance["instances"] = instances
    if cold:
        meta.provenance["cold"] = True
    recorded = build_histories(capture, min(limits.instructions_per_process, limits.instructions))
    histories = copy_histories(recorded, instances)
    warm = frozenset[str]() if cold else warm_files(recorded)
    with TraceWriter(path, meta, compression_level=compression_level) as writer:
        merger = Merger(capture, histories, InstanceFiles(capture, recorded, instances), warm, meta, writer.write)
        result = merger.run(Scheduler(histories, schedule), limits.instructions, progress)
        meta.provenance["guessed_pages"] = result.guessed_pages
        meta.provenance["released_processes"] = result.released
    result.rows = writer.rows
    return result


def _provenance(capture: RawCapture, schedule: ScheduleParameters, limits: Limits, version: str) -> dict[str, object]:
    return {
        "generator": "capture",
        "version": version,
        "command": capture.command,
        "exit_status": capture.exit_status,
        "interrupted": capture.interrupted,
        "valgrind": capture.valgrind,
        "recorded": capture.limits.set_ones(),
        "parameters": asdict(schedule) | limits.set_ones(),
    }


@dataclass
class _Running:
    """A process that has started: where its references stand and what it has mapped."""

    stream: ReferenceStream
    areas: AreaMap


class Merger:
    """Carries out the scheduler's decisions on a guest kernel, which writes to ``emit``."""

    def __init__(
        self,
        capture: RawCapture,
        histories: list[History],
        files: InstanceFiles,
        warm: frozenset[str],
        meta: TraceMeta,
        emit: Callable[[Rows], None],
    ) -> None:
        """``histories`` are those of all instances of ``capture``; ``meta`` is filled in on the way.

        ``warm``: paths of files that have been in memory since before the trace.
        """
        self._capture = capture
        self._histories = {history.asid: history for history in histories}
        self._files = files
        self._warm = warm
        self._emit = emit
        self._emitted_instructions = 0
        self._kernel = GuestKernel(meta, self._count)
        self._meta = meta
        self._running: dict[int, _Running] = {}
        self._shared: dict[tuple[int, str], int] = {}  # shared objects by instance and name
        self._result = MergeResult(processes=len(histories))

    def run(self, scheduler: Scheduler, limit: int, progress: Callable[[int], None]) -> MergeResult:
        """Follows the schedule to its end, or until ``limit`` instructions of programs are done."""
        for history in self._histories.values():
            if not history.parent:
                self._start(history)
        for decision in scheduler:
            before = self._emitted_instructions
            ran = self._carry_out(decision)
            scheduler.charge(decision.vcpu, self._emitted_instructions - before - ran)
            self._result.instructions += ran
            progress(ran)
            if self._result.instructions >= limit:
                break
        self._kernel.finish()
        self._result.kernel_instructions = self._emitted_instructions - self._result.instructions
        self._result.released = scheduler.released
        return self._result

    def _count(self, rows: Rows) -> None:
        runs = (rows.kind == Kind.FETCH) | (rows.kind == Kind.ZERO_PAGE)
        self._emitted_instructions += int(rows.arg[runs].sum(dtype=np.int64))
        self._emit(rows)

    def _carry_out(self, decision: Decision) -> int:
        """Performs one decision; returns the instructions of the program among those emitted."""
        match decision:
            case Run(vcpu, asid, _, stop):
                return self._run(vcpu, asid, stop)
            case Perform(vcpu, asid, action):
                self._perform(vcpu, asid, action)
            case Switch(vcpu, old, new):
                self._kernel.switch(vcpu, old, new)
            case Tick(vcpu, asid):
                self._kernel.tick(vcpu, asid)
            case Idle(vcpu, instructions):
                self._kernel.idle(vcpu, instructions)
        return 0

    def _start(self, history: History) -> None:
        images = [self._capture.images[number] for number in history.images]
        stream = ReferenceStream([self._capture.references_path(image) for image in images])
        self._running[history.asid] = _Running(stream, AreaMap())
        self._kernel.start_process(Process(history.asid, history.name, history.parent, history.instance))

    # ---- references -------------------------------------------------------------------------------------------

    def _run(self, vcpu: int, asid: int, stop: int) -> int:
        running = self._running[asid]
        parts = running.stream.take(stop)
        if not parts:
            return 0
        rows = concat_rows(parts)
        self._cover(vcpu, asid, rows.vaddr, rows.vaddr + (rows.size - np.uint32(1)))
        self._kernel.user(vcpu, asid, rows)
        return int(rows.arg.sum(dtype=np.int64))

    def _cover(self, vcpu: int, asid: int, first: npt.NDArray[np.uint64], last: npt.NDArray[np.uint64]) -> None:
        """Maps what the process touches and the capture does not explain."""
        for area in self._running[asid].areas.uncovered(first, last):
            self._result.guessed_pages += 1
            self._map(vcpu, asid, area)

    def _map(self, vcpu: int, asid: int, area: Area) -> None:
        self._running[asid].areas.add(area)
        self._kernel.map(vcpu, asid, self._segment(asid, area))

    def _segment(self, asid: int, area: Area) -> Segment:
        number = 0
        if area.backing == "file":
            number = self._file(asid, area.source)
        elif area.backing == "shared":
            name = self._histories[asid].instance, area.source
            number = self._shared.setdefault(name, len(self._shared) + 1)
        return Segment(asid, area.start, area.end, area.backing, number, area.offset, area.writable)

    def _file(self, asid: int, path: str) -> int:
        """The number of the file that a process means by a path; 0 for no path."""
        if not path:
            return 0
        number = self._kernel.add_file(*self._files.place(path, self._histories[asid].instance))
        if path in self._warm:
            self._kernel.warm_file(number)
        return number

    # ---- system calls -----------------------------------------------------------------------------------------

    def _perform(self, vcpu: int, asid: int, action: Action) -> None:
        kernel = self._kernel
        match action:
            case Exec():
                self._exec(vcpu, asid, action)
            case Fork(child):
                self._fork(vcpu, asid, child)
            case Wait():
                kernel.wait(vcpu, asid)
            case Exit():
                kernel.exit(vcpu, asid)
                del self._running[asid]
            case Open(path):
                kernel.open(vcpu, asid, self._file(asid, path))
            case Stat(path):
                kernel.stat(vcpu, asid, self._file(asid, path))
            case Close(path):
                kernel.close(vcpu, asid, self._file(asid, path))
            case Transfer():
                self._transfer(vcpu, asid, action)
            case PipeTransfer():
                self._pipe_transfer(vcpu, asid, action)
            case Seek(file, offset):
                file.offset = offset
                kernel.syscall(vcpu, asid)
            case Remap():
                self._remap(vcpu, asid, action)
            case Other():
                kernel.syscall(vcpu, asid)

    def _exec(self, vcpu: int, asid: int, action: Exec) -> None:
        self._kernel.execve(vcpu, asid, self._file(asid, action.path))
        self._running[asid].areas = AreaMap()
        for area in action.areas:
            self._map(vcpu, asid, area)

    def _fork(self, vcpu: int, asid: int, child: int) -> None:
        self._start(self._histories[child])
        self._kernel.fork(vcpu, asid, child)
        self._running[child].areas = self._running[asid].areas.copy()

    def _remap(self, vcpu: int, asid: int, action: Remap) -> None:
        if action.grows_heap:
            self._kernel.brk_call(vcpu, asid)
        else:
            self._kernel.mmap_call(vcpu, asid)
        for start, end in action.removed:
            self._running[asid].areas.remove(start, end)
            self._kernel.unmap(vcpu, asid, start, end)
        for area in action.added:
            self._map(vcpu, asid, area)

    def _transfer(self, vcpu: int, asid: int, action: Transfer) -> None:
        offset = _position(action.file, action.offset, action.size)
        if not action.buffer:
            self._kernel.syscall(vcpu, asid)
            return
        self._cover_buffer(vcpu, asid, action.buffer, action.size)
        serve = self._kernel.write if action.writes else self._kernel.read
        serve(vcpu, asid, self._file(asid, action.file.path), offset, action.size, action.buffer)

    def _pipe_transfer(self, vcpu: int, asid: int, action: PipeTransfer) -> None:
        if not action.buffer:
            self._kernel.syscall(vcpu, asid)
            return
        self._cover_buffer(vcpu, asid, action.buffer, action.size)
        serve = self._kernel.pipe_write if action.writes else self._kernel.pipe_read
        serve(vcpu, asid, action.size, action.buffer)

    def _cover_buffer(self, vcpu: int, asid: int, buffer: int, size: int) -> None:
        first = np.arange(buffer, buffer + size, LONGEST_PIECE, dtype=np.uint64)
        last = np.minimum(first + np.uint64(LONGEST_PIECE - 1), np.uint64(buffer + max(size, 1) - 1))
        self._cover(vcpu, asid, first, last)


def _position(file: OpenFile, offset: int | None, size: int) -> int:
    """Where a transfer begins; one without an offset of its own moves the file's."""
    if offset is not None:
        return offset
    start = file.offset
    file.offset += size
    return start
