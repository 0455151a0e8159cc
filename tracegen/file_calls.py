"""Follows the files of one captured process through its system calls."""

import os
from collections.abc import Callable, Mapping
from itertools import count

from discotrace.tracegen.descriptors import Descriptors, OpenFile
from discotrace.tracegen.steps import Action, Close, Open, Other, PipeTransfer, Seek, Stat, Transfer
from discotrace.tracegen.syscalls import Call

AT_FDCWD = -100  # fcntl.h on x86-64
O_ACCMODE, O_CREAT = 0o3, 0o100

# Calls that give a descriptor of something that is no file of a trace.
OTHER_DESCRIPTORS = (
    *("socket", "accept", "accept4", "epoll_create", "epoll_create1", "eventfd", "eventfd2", "inotify_init"),
    *("inotify_init1", "memfd_create", "signalfd", "signalfd4", "timerfd_create", "pidfd_open"),
)
STAT_BY_PATH = ("stat", "lstat", "newstat", "newlstat", "access", "readlink")
STAT_BELOW_DIRECTORY = ("newfstatat", "statx", "faccessat", "faccessat2", "readlinkat")
STAT_BY_DESCRIPTOR = ("fstat", "newfstat")


class FileNames:
    """The files that a capture found."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """``known``: absolute path as used -> path without links."""
        self._known = dict(known)
        self._real = set(known.values())

    def real(self, path: str) -> str:
        """An absolute path without links, as far as it is known."""
        plain = os.path.normpath(path)
        return self._known.get(path) or self._known.get(plain) or plain

    def existing(self, path: str) -> str:
        """The same, "" for a path that was not found."""
        real = self.real(path)
        return real if real in self._real else ""


class FileCalls:
    """Working directory and descriptors of one process; ``handlers`` take a call and follow it."""

    def __init__(self, directory: str, names: FileNames, pipe_numbers: "count[int]") -> None:
        """``directory``: absolute. ``pipe_numbers`` number the pipes of all processes together."""
        self._directory = directory
        self._names = names
        self._pipe_numbers = pipe_numbers
        self._descriptors = Descriptors()
        self.written: set[str] = set()  # files that this process opened for writing, created or gave their name
        self.handlers: dict[str, Callable[[Call], Action]] = {
            "open": self._open,
            "creat": self._open,
            "openat": self._open_below,
            "openat2": self._open_below,
            "close": self._close,
            "read": self._read,
            "pread64": self._read,
            "readv": self._read,
            "write": self._write,
            "pwrite64": self._write,
            "writev": self._write,
            "lseek": self._seek,
            "dup": self._duplicate,
            "dup2": self._duplicate,
            "dup3": self._duplicate,
            "fcntl": self._duplicate,
            "pipe": self._pipe,
            "pipe2": self._pipe,
            "chdir": self._change_directory,
            "fchdir": self._change_directory,
            "rename": self._rename,
            "renameat": self._rename,
            "renameat2": self._rename,
            **dict.fromkeys(OTHER_DESCRIPTORS, self._open_other),
            **dict.fromkeys(STAT_BY_PATH, self._stat),
            **dict.fromkeys(STAT_BELOW_DIRECTORY, self._stat_below),
            **dict.fromkeys(STAT_BY_DESCRIPTOR, self._stat_descriptor),
        }

    def copy(self) -> "FileCalls":
        """The state of a forked child."""
        child = FileCalls(self._directory, self._names, self._pipe_numbers)
        child._descriptors = self._descriptors.copy()
        return child

    def exec(self, program: str) -> str:
        """Another program starts; returns its path without links."""
        self._descriptors.exec()
        return self._names.real(os.path.join(self._directory, program))

    def path_of(self, descriptor: int) -> str:
        """The path behind a descriptor, "" if it is no file."""
        return self._descriptors.get(descriptor).path

    # ---- opening and closing ----------------------------------------------------------------------------------

    def _open(self, call: Call) -> Action:
        return self._opened(call, self._absolute(call), call.argument(1))

    def _open_below(self, call: Call) -> Action:
        return self._opened(call, self._absolute_below(call), call.argument(2))

    def _opened(self, call: Call, path: str, flags: int) -> Action:
        if not call.succeeded:
            return Open("")
        real = self._names.real(path)
        if may_write(call, flags):
            self.written.add(real)
        self._descriptors.opened(call.value, OpenFile(path=real), flags)
        return Open(real)

    def _open_other(self, call: Call) -> Action:
        if call.succeeded:
            self._descriptors.opened(call.value, OpenFile(), 0)
        return Other()

    def _pipe(self, call: Call) -> Action:
        if call.succeeded:
            self._descriptors.pipe(next(self._pipe_numbers), call.argument(1))
        return Other()

    def _duplicate(self, call: Call) -> Action:
        if call.succeeded:
            self._descriptors.duplicate(call)
        return Other()

    def _close(self, call: Call) -> Action:
        return Close(self._descriptors.close(call.descriptor(0)).path if call.succeeded else "")

    # ---- contents ---------------------------------------------------------------------------------------------

    def _read(self, call: Call) -> Action:
        return self._transfer(call, writes=False)

    def _write(self, call: Call) -> Action:
        return self._transfer(call, writes=True)

    def _transfer(self, call: Call, writes: bool) -> Action:
        file = self._descriptors.get(call.descriptor(0))
        # The vector calls point to a list of buffers, which valgrind does not print.
        buffer = 0 if call.name.endswith("v") else call.argument(1)
        if file.pipe and call.value:
            return PipeTransfer(file.pipe, writes, call.value, buffer)
        if file.path and call.succeeded:
            offset = call.argument(3) if call.name.startswith("p") else None
            return Transfer(file, writes, call.value, buffer, offset)
        return Other()

    def _seek(self, call: Call) -> Action:
        file = self._descriptors.get(call.descriptor(0))
        return Seek(file, call.value) if call.succeeded and file.path else Other()

    # ---- names ------------------------------------------------------------------------------------------------

    def _stat(self, call: Call) -> Action:
        return Stat(self._names.existing(self._absolute(call)))

    def _stat_below(self, call: Call) -> Action:
        return Stat(self._names.existing(self._absolute_below(call)))

    def _stat_descriptor(self, call: Call) -> Action:
        return Stat(self.path_of(call.descriptor(0)))

    def _change_directory(self, call: Call) -> Action:
        path = self._absolute(call) if call.paths else self.path_of(call.descriptor(0))
        if call.succeeded and path:
            self._directory = os.path.normpath(path)
        return Other()

    def _rename(self, call: Call) -> Action:
        """What the new name stands for was made by the program."""
        directory = AT_FDCWD if call.name == "rename" else call.descriptor(2)
        if call.succeeded and len(call.paths) == 2:
            self.written.add(self._names.real(self._below(directory, call.paths[1])))
        return Other()

    def _absolute(self, call: Call) -> str:
        return os.path.join(self._directory, call.paths[0] if call.paths else "")

    def _absolute_below(self, call: Call) -> str:
        """The path of a call whose first argument is the directory."""
        return self._below(call.descriptor(0), call.paths[0] if call.paths else "")

    def _below(self, directory: int, path: str) -> str:
        """A path below the directory behind a descriptor; an empty path is that descriptor itself."""
        if directory == AT_FDCWD:
            return os.path.join(self._directory, path)
        return os.path.join(self.path_of(directory), path) if path else self.path_of(directory)


def may_write(call: Call, flags: int) -> bool:
    """Whether a call opens a file for writing or creates it. What openat2 asks for valgrind does not print."""
    return call.name == "creat" or (call.name != "openat2" and bool(flags & (O_ACCMODE | O_CREAT)))
