"""Makes the histories of all processes of a raw capture: who forked whom, and what each asked of the system."""

from collections import deque
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from discotrace.tracegen.file_calls import FileCalls, FileNames
from discotrace.tracegen.memory_calls import MemoryCalls
from discotrace.tracegen.raw_format import RawCapture, RawImage, raw_errors
from discotrace.tracegen.steps import STRUCTURE, Action, Exec, Exit, Fork, History, Other, Step, Wait
from discotrace.tracegen.syscalls import Call, parse_calls

WNOHANG = 1  # sys/wait.h
P_PID = 1


def build_histories(capture: RawCapture, instructions_per_process: int) -> list[History]:
    """The processes of a capture in the order of their start; asid = place in the list + 1.

    Beyond ``instructions_per_process`` only the steps that others may depend on are kept. A process whose fork
    was not seen has parent 0.
    """
    return _Builder(capture, instructions_per_process).build()


@dataclass
class _Process:
    """A process under construction. ``images`` empty = a child that valgrind did not log."""

    history: History
    pid: int
    images: list[RawImage]
    files: FileCalls
    memory: MemoryCalls
    children: dict[int, int] = field(default_factory=dict)  # pid -> asid


class _Builder:
    def __init__(self, capture: RawCapture, instructions_per_process: int) -> None:
        self._capture = capture
        self._limit = instructions_per_process
        names = FileNames({path: real for path, (real, _) in capture.files.items()})
        files = FileCalls(capture.working_directory, names, count(1))
        self._fresh = (files, MemoryCalls(files.path_of, count(1)))
        self._images = group_images(capture.images)
        self._waiting: deque[_Process] = deque()
        self._histories: list[History] = []

    def build(self) -> list[History]:
        while self._images or self._waiting:
            if not self._waiting:
                # The root, or a process whose fork was not seen.
                self._adopt(self._images[0][0].pid, None)
            self._complete(self._waiting.popleft())
        return self._histories

    def _adopt(self, pid: int, parent: _Process | None) -> int:
        """A new process, forked by ``parent`` as it is now; returns its asid."""
        images = next((images for images in self._images if images[0].pid == pid), [])
        if images:
            self._images.remove(images)
        files, memory = (parent.files, parent.memory) if parent else self._fresh
        files = files.copy()
        name = process_name(images, parent.history.name if parent else str(pid))
        history = History(
            len(self._histories) + 1, parent.history.asid if parent else 0, name, [image.number for image in images]
        )
        self._histories.append(history)
        self._waiting.append(_Process(history, pid, images, files, memory.copy(files.path_of)))
        return history.asid

    def _complete(self, process: _Process) -> None:
        history = process.history
        is_within = True
        for image in process.images:
            base = history.instructions
            calls = read_calls(self._capture, image)
            positions = call_positions(self._capture, image, calls) + base
            if not image.forked:
                self._add(process, base, is_within, self._exec(process, image, calls))
            for call, position in zip(calls, positions.tolist(), strict=True):
                is_recorded = is_within and call.row <= image.rows and position <= self._limit
                self._add(process, position, is_recorded, self._action(process, call))
            history.instructions = min(base + image.instructions, self._limit)
            is_within = is_within and not image.dropped_instructions and history.instructions < self._limit
        history.written = frozenset(process.files.written)
        history.steps = [Step(min(step.position, history.instructions), step.action) for step in history.steps]
        history.steps.append(Step(history.instructions, Exit()))

    @staticmethod
    def _add(process: _Process, position: int, is_recorded: bool, action: Action) -> None:
        if is_recorded or isinstance(action, STRUCTURE):
            process.history.steps.append(Step(position, action))

    @staticmethod
    def _exec(process: _Process, image: RawImage, calls: list[Call]) -> Exec:
        areas = process.memory.exec(image.mappings, calls)
        # The program's file is mapped below everything else.
        program = next((area.source for area in areas if area.backing == "file"), image.command.split(" ")[0])
        return Exec(process.files.exec(program), areas)

    def _action(self, process: _Process, call: Call) -> Action:
        if call.child:
            asid = process.children[call.child] = self._adopt(call.child, process)
            return Fork(asid)
        if call.name in ("wait4", "waitid"):
            return _wait(process, call)
        if call.name in process.memory.handlers:
            return process.memory.handlers[call.name](call)
        if call.name in process.files.handlers:
            return process.files.handlers[call.name](call)
        return Other()


def _wait(process: _Process, call: Call) -> Wait:
    """The child that was found is waited for; where a signal hides which one it was, the one asked for, or any."""
    if call.name == "wait4":
        asked, options = call.descriptor(0), call.argument(2)
        found = process.children.get(call.value, 0)
    else:
        asked, options = call.descriptor(1) if call.argument(0) == P_PID else 0, call.argument(3)
        found = 0
    if found:
        return Wait(found, True)
    # A waitid that succeeds returns 0, as a wait4 that found nothing.
    may_block = not options & WNOHANG and (call.result is None or (call.name == "waitid" and call.succeeded))
    return Wait(process.children.get(asked, 0), may_block)


def group_images(images: list[RawImage]) -> list[list[RawImage]]:
    """Images by process, in the order of their start. An image that was forked starts a process, also of a used pid."""
    groups: list[list[RawImage]] = []
    latest: dict[int, list[RawImage]] = {}
    for image in images:
        if image.forked or image.pid not in latest:
            latest[image.pid] = []
            groups.append(latest[image.pid])
        latest[image.pid].append(image)
    return groups


def process_name(images: list[RawImage], parent: str) -> str:
    """The last program that the process ran; that of its parent if valgrind did not log it."""
    return images[-1].command.split(" ")[0].rpartition("/")[2] if images else parent


def read_calls(capture: RawCapture, image: RawImage) -> list[Call]:
    """The system calls of an image."""
    path = capture.calls_path(image)
    with raw_errors(path), open(path, encoding="utf-8") as lines:
        return parse_calls(lines)


def call_positions(capture: RawCapture, image: RawImage, calls: list[Call]) -> npt.NDArray[np.int64]:
    """How many recorded instructions of the image come before each call."""
    rows = np.array([call.row for call in calls], np.int64)
    positions = np.full(len(rows), image.instructions, np.int64)
    start, instructions = 0, 0
    path = capture.references_path(image)
    with raw_errors(path):
        for batch in pq.ParquetFile(path).iter_batches(columns=["arg"]):  # arg is 0 for data
            after = instructions + np.cumsum(batch.column("arg").to_numpy(), dtype=np.int64)
            here = (rows > start) & (rows <= start + len(after))
            positions[here] = after[rows[here] - start - 1]
            start += len(after)
            instructions = int(after[-1])
    positions[rows == 0] = 0
    return positions
