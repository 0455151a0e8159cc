"""What a captured process asked of the system, with descriptors and addresses resolved: one step after another."""

from dataclasses import dataclass, field

from discotrace.tracegen.areas import Area
from discotrace.tracegen.descriptors import OpenFile


@dataclass(frozen=True)
class Exec:
    """Another program starts in the process: its file and the areas that it begins with."""

    path: str
    areas: tuple[Area, ...]


@dataclass(frozen=True)
class Fork:
    """A child begins as a copy; ``child`` is its asid."""

    child: int


@dataclass(frozen=True)
class Wait:
    """The process asks for an ended child. ``child``: asid, 0 = any. It blocks until there is one if ``blocks``."""

    child: int
    blocks: bool


@dataclass(frozen=True)
class Exit:
    """The process ends."""


@dataclass(frozen=True)
class Open:
    """A file is opened; "" = there is none of that name."""

    path: str


@dataclass(frozen=True)
class Stat:
    """The attributes of a file are asked for; "" = there is none of that name."""

    path: str


@dataclass(frozen=True)
class Close:
    """A descriptor is closed; "" = it was no file."""

    path: str


@dataclass(frozen=True)
class Transfer:
    """Bytes between a file and the process. ``offset`` None = where the file stands; ``buffer`` 0 = not known."""

    file: OpenFile
    writes: bool
    size: int
    buffer: int
    offset: int | None


@dataclass(frozen=True)
class PipeTransfer:
    """Bytes between a pipe and the process. ``buffer`` 0 = not known."""

    pipe: int
    writes: bool
    size: int
    buffer: int


@dataclass(frozen=True)
class Seek:
    """A file is set to an offset."""

    file: OpenFile
    offset: int


@dataclass(frozen=True)
class Remap:
    """mmap, munmap, mprotect, mremap or brk (``grows_heap``): [start, end) unmapped, then areas mapped."""

    grows_heap: bool
    removed: tuple[tuple[int, int], ...] = ()
    added: tuple[Area, ...] = ()


@dataclass(frozen=True)
class Other:
    """Any other system call."""


Action = Exec | Fork | Wait | Exit | Open | Stat | Close | Transfer | PipeTransfer | Seek | Remap | Other

# What other processes may depend on: kept when a process runs on after its limit.
STRUCTURE = (Fork, Wait, Exit, PipeTransfer)


@dataclass(frozen=True)
class Step:
    """An action of a process after ``position`` instructions of it."""

    position: int
    action: Action


@dataclass
class History:
    """A captured process: its steps in order, the last of them Exit, and how many instructions it has.

    ``images``: the numbers of its images, whose references follow each other. ``written``: paths of the files that
    it wrote or made, in steps that were not kept too. ``instance``: the copy of the workload, from 0.
    """

    asid: int
    parent: int
    name: str
    images: list[int] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    instructions: int = 0
    written: frozenset[str] = frozenset()
    instance: int = 0
