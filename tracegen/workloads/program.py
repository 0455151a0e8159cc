"""What a traced program is: a generator that yields its references and its system calls, in order.

A program is called with its ``Process`` and yields steps. ``References`` are instructions that it executes with the
data that they touch; every other step is something that it asks of the OS or of the other programs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.schema import Segment


class References(NamedTuple):
    """User references in order, arrays of one length; the columns of a trace but for CPU and process.

    The first is a FETCH. Chunks of 10,000 to 100,000 rows are best: memory holds one of each process.
    """

    kind: npt.NDArray[np.uint8]
    vaddr: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    arg: npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Fork:
    """Start a child, which begins with the parent's segments and runs ``program``."""

    program: "Program"
    name: str


@dataclass(frozen=True)
class Exec:
    """Become another program: its file, and the segments of its image, data and stack (their asid is filled in)."""

    file: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Wait:
    """Wait until a child has ended, if one is still running."""


@dataclass(frozen=True)
class Open:
    """Open a file; 0 = a path that does not exist."""

    file: int


@dataclass(frozen=True)
class Stat:
    """Ask for the attributes of a file; 0 = a path that does not exist."""

    file: int


@dataclass(frozen=True)
class Close:
    """Close a file."""

    file: int


@dataclass(frozen=True)
class Read:
    """Read bytes of a file into the program's memory."""

    file: int
    offset: int
    size: int
    buffer: int


@dataclass(frozen=True)
class Write:
    """Write bytes of the program's memory to a file."""

    file: int
    offset: int
    size: int
    buffer: int


@dataclass(frozen=True)
class Preload:
    """Find a whole file in memory, as if an earlier run had read it: no request, no instructions.

    One of disk 0, the root disk, is in the memory of every OS instance, its pages dealt out to the CPUs.
    """

    file: int


@dataclass(frozen=True)
class Map:
    """Map a segment (its asid is filled in), with the system call for it: brk if it grows the heap, else mmap."""

    segment: Segment
    grows_heap: bool = False


@dataclass(frozen=True)
class Unmap:
    """Unmap [start, end)."""

    start: int
    end: int


@dataclass(frozen=True)
class Resident:
    """Pages of [start, end), mapped, that the program touched before the trace begins: no fault, no row."""

    start: int
    end: int


@dataclass(frozen=True)
class Leave:
    """The trace ends while the program runs on: no exit, and its memory stays. Its last step."""


@dataclass(frozen=True)
class OtherCall:
    """Any other system call."""


@dataclass(frozen=True)
class Barrier:
    """Wait until ``participants`` programs have come to barrier ``number``; then it is open again for the next time."""

    number: int
    participants: int


Step = (
    References
    | Fork
    | Exec
    | Wait
    | Open
    | Stat
    | Close
    | Read
    | Write
    | Preload
    | Map
    | Unmap
    | Resident
    | Leave
    | OtherCall
    | Barrier
)
Program = Callable[["Process"], Iterator[Step]]


@dataclass(frozen=True)
class Process:
    """Who runs a program. ``file(name, size, disk)`` gives the number of a file, the same for the same name."""

    asid: int
    instance: int
    file: Callable[[str, int, int], int]
