"""The one definition of a trace: columns, kinds, services, address regions, metadata.

``docs/trace-format.md`` says the same in prose. A trace is a table of records in the global order in which the
CPUs committed them. A record is a reference (FETCH, LOAD, STORE) or an event (every other kind).
"""

import json
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.errors import TraceError

FORMAT_VERSION = 1
METADATA_KEY = b"discotrace"


class Kind(IntEnum):
    """What a record is. ``docs/trace-format.md`` gives the meaning of vaddr, size and arg for each."""

    FETCH = 0
    LOAD = 1
    STORE = 2
    ENTER = 8
    EXIT = 9
    PRIVILEGED = 10
    LOCK = 11
    UNLOCK = 12
    BARRIER = 13
    SWITCH = 14
    IDLE = 15
    ZERO_PAGE = 16
    FREE_PAGE = 17
    FILE_READ = 18
    FILE_WRITE = 19
    PROCESS_EXIT = 20
    MAP = 21
    UNMAP = 22
    RESIDENT = 23


LAST_REFERENCE = Kind.STORE


class Service(IntEnum):
    """An OS entry with a beginning and an end. The numbers are part of the format and never change."""

    DEMAND_ZERO = 1
    QUICK_FAULT = 2
    OPEN = 3
    UTLB_MISS = 4  # never in a trace: replay counts the refill handler's work under it
    WRITE = 5
    READ = 6
    EXECVE = 7
    FORK = 8
    EXIT = 9
    SWITCH = 10
    TICK = 11
    MMAP = 12
    BRK = 13
    CLOSE = 14
    STAT = 15
    PAGE_IN = 16
    COPY_ON_WRITE = 17
    WAIT = 18
    SYSCALL = 19


class Privileged(IntEnum):
    """Classes of privileged instruction (``arg`` of PRIVILEGED), as the monitor tells them apart."""

    REGISTER = 0  # read or write of a CP0 register without side effect: can be patched to a load or store
    INTERRUPT = 1  # enable or disable interrupts: can be patched
    RETURN = 2  # return from exception (eret): always traps
    WIRED = 3  # write of a wired TLB entry; vaddr = a page that it maps from now on, 0 = none
    TLB = 4  # any other TLB instruction (probe, read, invalidate)


# Regions of the 64-bit MIPS address space (R10000 User's Manual, chapter 16). User addresses have the top bit
# clear. KSEG0 and XKPHYS are not translated natively; KSEG2 is, and so is everything else above the top bit.
KERNEL_BASE = 1 << 63
XKPHYS_START, XKPHYS_END = 0xA800_0000_0000_0000, 0xC000_0000_0000_0000
KSEG0_START, KSEG0_END = 0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_C000_0000
KSEG2_START = 0xFFFF_FFFF_C000_0000

KERNEL_ASID = 0  # segments of the kernel belong to it; translations of kernel addresses are global

COLUMN_DTYPES: dict[str, npt.DTypeLike] = {
    "vcpu": np.uint16,
    "asid": np.uint32,
    "kind": np.uint8,
    "vaddr": np.uint64,
    "size": np.uint32,
    "arg": np.uint32,
}


class Rows(NamedTuple):
    """A stretch of records as columns: one-dimensional arrays of equal length, dtypes of ``COLUMN_DTYPES``."""

    vcpu: npt.NDArray[np.uint16]
    asid: npt.NDArray[np.uint32]
    kind: npt.NDArray[np.uint8]
    vaddr: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    arg: npt.NDArray[np.uint32]


def rows_from_records(records: list[tuple[int, int, int, int, int, int]]) -> Rows:
    """Rows from (vcpu, asid, kind, vaddr, size, arg) tuples: for tests and small hand-made traces."""
    columns = list(zip(*records, strict=True)) if records else [()] * len(COLUMN_DTYPES)
    return Rows(*(np.array(c, dtype=d) for c, d in zip(columns, COLUMN_DTYPES.values(), strict=True)))


def concat_rows(parts: list[Rows]) -> Rows:
    """One Rows out of several, in order. An empty list gives zero records."""
    if not parts:
        return rows_from_records([])
    return Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def slice_rows(rows: Rows, start: int, stop: int) -> Rows:
    """Records ``start`` to ``stop`` (exclusive) as views."""
    return Rows._make(column[start:stop] for column in rows)


@dataclass(frozen=True)
class Process:
    """A process of the trace. ``parent`` 0 = started from outside; ``instance`` = copy of the workload it is in."""

    asid: int
    name: str
    parent: int = 0
    instance: int = 0


BACKINGS = ("anonymous", "file", "shared")


@dataclass(frozen=True)
class Segment:
    """A stretch of one address space, [start, end) in bytes.

    Page identity follows from it: ``file`` and not writable -> the page of file ``object``; ``shared`` -> the page
    of shared object ``object``; all else is private to the asid. ``by_event`` segments hold from their MAP event
    on, the others from the first record; both until their UNMAP event or the exit of their process.
    """

    asid: int
    start: int
    end: int
    backing: str
    object: int = 0
    offset: int = 0
    writable: bool = True
    by_event: bool = False


@dataclass(frozen=True)
class File:
    """A file that the traced programs use; ``size`` in bytes, ``disk`` = number of the disk that holds it."""

    id: int
    name: str
    size: int
    disk: int = 0


@dataclass
class TraceMeta:
    """What a trace says of itself. Mutable while a trace is made: processes, segments and files are appended."""

    cpus: int
    processes: list[Process] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """JSON with sorted keys, so that equal metadata gives equal bytes. Addresses are hexadecimal strings."""
        tree = asdict(self)
        for segment in tree["segments"]:
            segment["start"], segment["end"] = hex(segment["start"]), hex(segment["end"])
        return json.dumps(tree, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> "TraceMeta":
        """The inverse of ``to_json``.

        Raises TraceError when the text is not such JSON, or comes from a later version of the format.
        """
        try:
            tree = json.loads(text)
            version = tree["format_version"]
            if not isinstance(version, int) or version < 1:
                raise TraceError(f"metadata: format_version is {version!r}, expected a positive integer")
            if version > FORMAT_VERSION:
                raise TraceError(
                    f"trace has format version {version}, this program reads up to {FORMAT_VERSION}: upgrade discotrace"
                )
            return cls(
                cpus=_positive(tree["cpus"], "cpus"),
                processes=[Process(**p) for p in tree["processes"]],
                segments=[
                    Segment(**(s | {"start": int(s["start"], 16), "end": int(s["end"], 16)})) for s in tree["segments"]
                ],
                files=[File(**f) for f in tree["files"]],
                provenance=dict(tree["provenance"]),
                format_version=version,
            )
        except (KeyError, TypeError, ValueError) as fault:
            reason = f"{type(fault).__name__}: {fault}"
            raise TraceError(f"metadata is not that of a discotrace trace: {reason}") from fault


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise TraceError(f"metadata: {name} is {value!r}, expected a positive integer")
    return value
