"""The open files of a captured process, followed through its system calls.

Valgrind prints descriptors but not what ``pipe`` stores: its two are the lowest free ones, which is why descriptors are
followed from the first process on. Valgrind leaves some of its own open across an exec; they show as a gap when the
program opens a file, and count as taken from then on.
"""

from dataclasses import dataclass

from discotrace.tracegen.syscalls import Call

O_CLOEXEC = 0o2000000  # fcntl.h on x86-64
F_DUPFD, F_SETFD, F_DUPFD_CLOEXEC = 0, 2, 1030
FD_CLOEXEC = 1


@dataclass(eq=False)
class OpenFile:
    """An open file, shared by the descriptors that were copied from each other, across forks.

    ``path`` of a file, "" for all else; ``pipe`` number of a pipe, 0 for all else. ``offset`` is for whoever walks
    the calls in global order.
    """

    path: str = ""
    pipe: int = 0
    offset: int = 0


class Descriptors:
    """Descriptor -> open file of one process."""

    def __init__(self) -> None:
        """Standard input, output and error, of which nothing is known."""
        unknown = OpenFile()
        self._open = {0: unknown, 1: unknown, 2: unknown}
        self._close_on_exec: set[int] = set()

    def copy(self) -> "Descriptors":
        """What a forked child gets: the same open files."""
        child = Descriptors()
        child._open = dict(self._open)
        child._close_on_exec = set(self._close_on_exec)
        return child

    def get(self, descriptor: int) -> OpenFile:
        """The open file behind a descriptor; one without path or pipe if it is not known."""
        return self._open.get(descriptor, OpenFile())

    def exec(self) -> None:
        """Closes what an exec closes."""
        for descriptor in self._close_on_exec:
            self._open.pop(descriptor, None)
        self._close_on_exec.clear()

    def opened(self, descriptor: int, file: OpenFile, flags: int) -> None:
        """The kernel gave the lowest free descriptor: those below that seem free belong to valgrind."""
        for below in range(descriptor):
            self._open.setdefault(below, OpenFile())
        self._put(descriptor, file, bool(flags & O_CLOEXEC))

    def pipe(self, number: int, flags: int) -> None:
        """Both ends of a new pipe."""
        file = OpenFile(pipe=number)
        for _ in range(2):
            self._put(self._lowest_free(), file, bool(flags & O_CLOEXEC))

    def close(self, descriptor: int) -> OpenFile:
        """Forgets a descriptor and returns what it was."""
        self._close_on_exec.discard(descriptor)
        return self._open.pop(descriptor, OpenFile())

    def duplicate(self, call: Call) -> None:
        """Follows a successful dup, dup2, dup3 or fcntl."""
        source = call.descriptor(0)
        command = call.argument(1)
        if call.name in ("dup", "dup2", "dup3"):
            closes = call.name == "dup3" and bool(call.argument(2) & O_CLOEXEC)
            if call.value != source:
                self._put(call.value, self.get(source), closes)
        elif command in (F_DUPFD, F_DUPFD_CLOEXEC):
            self._put(call.value, self.get(source), command == F_DUPFD_CLOEXEC)
        elif command == F_SETFD:
            self._put(source, self.get(source), bool(call.argument(2) & FD_CLOEXEC))

    def _lowest_free(self) -> int:
        descriptor = 0
        while descriptor in self._open:
            descriptor += 1
        return descriptor

    def _put(self, descriptor: int, file: OpenFile, close_on_exec: bool) -> None:
        self._open[descriptor] = file
        self._close_on_exec.discard(descriptor)
        if close_on_exec:
            self._close_on_exec.add(descriptor)
