"""Several instances of a recorded workload side by side: copies of its processes, and the files of their own.

All instances run under one guest kernel. They share the programs, libraries and headers that they read, as users of
one machine do; what a workload works on, each instance has for itself, on a disk of its own.
"""

from dataclasses import replace
from typing import NamedTuple

from discotrace.tracegen.descriptors import OpenFile
from discotrace.tracegen.raw_format import NOT_REGULAR, RawCapture
from discotrace.tracegen.steps import Action, Fork, History, PipeTransfer, Seek, Step, Transfer, Wait

SHARED_DISK = 0


def cpus_of_instance(instance: int, instances: int, cpus: int) -> range:
    """The virtual CPUs of an instance: an even part of all, or one that several instances share where CPUs are few.

    Every CPU belongs to an instance. Two instances have either the same CPUs or none in common.
    """
    first = instance * cpus // instances
    return range(first, max(first + 1, (instance + 1) * cpus // instances))


def copy_histories(histories: list[History], instances: int) -> list[History]:
    """The histories of all instances, one instance after the other; instance 0 has the asids of the originals.

    ``histories``: asid = place in the list + 1, as ``build_histories`` makes them.
    """
    return [copy for instance in range(instances) for copy in _Copier(histories, instance).copies()]


class _Copier:
    """Copies histories so that nothing that changes or has a number is shared between instances."""

    def __init__(self, histories: list[History], instance: int) -> None:
        self._histories = histories
        self._instance = instance
        self._first_asid = instance * len(histories)
        actions = (step.action for history in histories for step in history.steps)
        pipes = max((action.pipe for action in actions if isinstance(action, PipeTransfer)), default=0)
        self._first_pipe = instance * pipes
        self._open_files: dict[OpenFile, OpenFile] = {}

    def copies(self) -> list[History]:
        return [
            replace(
                history,
                asid=self._first_asid + history.asid,
                parent=self._first_asid + history.parent if history.parent else 0,
                steps=[Step(step.position, self._action(step.action)) for step in history.steps],
                instance=self._instance,
            )
            for history in self._histories
        ]

    def _action(self, action: Action) -> Action:
        match action:
            case Fork(child):
                return Fork(self._first_asid + child)
            case Wait(child, blocks) if child:
                return Wait(self._first_asid + child, blocks)
            case PipeTransfer(pipe):
                return replace(action, pipe=self._first_pipe + pipe)
            case Transfer(file) | Seek(file):
                return replace(action, file=self._open_files.setdefault(file, OpenFile(file.path)))
        return action


class PlacedFile(NamedTuple):
    """A file as a trace names it; ``size`` in bytes."""

    name: str
    size: int
    disk: int


class InstanceFiles:
    """Where the files of a capture are found by the instances of its workload.

    An instance has files of its own: the working directory of the recorded command with everything below it, and
    the regular files elsewhere that the recorded programs wrote or made. They are on disk 1 + instance, and their
    names begin with the instance's number in brackets. All others are shared, on disk 0; so is everything if there
    is one instance alone.
    """

    def __init__(self, capture: RawCapture, histories: list[History], instances: int) -> None:
        """``histories``: those of the capture, of which instance does not matter."""
        self._below = capture.working_directory.rstrip("/") + "/"
        self._sizes = dict(capture.files.values())
        self._written = {path for history in histories for path in history.written}
        self._instances = instances

    def place(self, path: str, instance: int) -> PlacedFile:
        """The file behind an absolute path, "" not allowed. Files below the working directory get a relative name."""
        size = self._sizes.get(path, 0)
        name = path.removeprefix(self._below)
        if self._instances > 1 and self._is_own(path, size):
            return PlacedFile(f"[{instance}] {name}", max(0, size), 1 + instance)
        return PlacedFile(name, max(0, size), SHARED_DISK)

    def _is_own(self, path: str, size: int) -> bool:
        return f"{path}/".startswith(self._below) or (path in self._written and size != NOT_REGULAR)
