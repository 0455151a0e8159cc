"""A raw capture: what every program of a command did, as it is stored in a directory.

``capture.json`` describes it and is written last, so that a directory without it holds nothing whole. Each image (a
program from its start or fork to its end or exec) has ``NNNN.parquet`` with its references, columns kind, vaddr,
size and arg, and ``NNNN.calls`` with its system calls, one a line: the number of references before it, a tab, and the
text of valgrind.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from discotrace.tracegen.atomic import atomic_path
from discotrace.tracegen.errors import CaptureError

RAW_VERSION = 1
DESCRIPTION = "capture.json"
NO_LIMIT = 2**62  # more instructions than anything has
NOT_REGULAR = -1  # the size noted for directories, devices and the like


@dataclass(frozen=True)
class Mapping:
    """A line of /proc/PID/maps: [start, end), whether it can be written, and the file behind it ("" = none)."""

    start: int
    end: int
    writable: bool
    offset: int
    path: str


@dataclass
class RawImage:
    """One program of a raw capture. ``forked`` = it began as a copy of its parent, without an exec.

    ``instructions`` and ``rows`` were recorded, ``dropped_instructions`` came after the limit, as did system calls
    that stand after more than ``rows`` references.
    """

    number: int
    pid: int
    parent_pid: int = 0
    command: str = ""
    forked: bool = False
    instructions: int = 0
    dropped_instructions: int = 0
    rows: int = 0
    malformed_lines: int = 0
    first_malformed_byte: int = -1
    mappings: list[Mapping] = field(default_factory=list)


@dataclass(frozen=True)
class Limits:
    """How many instructions of the programs, without the kernel's, to keep of the whole and of each process.

    A limit ends with the run of instructions that reaches it.
    """

    instructions: int = NO_LIMIT
    instructions_per_process: int = NO_LIMIT

    def set_ones(self) -> dict[str, int]:
        """Those that are not NO_LIMIT, by name."""
        return {name: value for name, value in asdict(self).items() if value != NO_LIMIT}


@dataclass
class RawCapture:
    """A raw capture. ``files``: absolute path as used -> (path without links, size in bytes or NOT_REGULAR)."""

    directory: Path
    command: list[str]
    working_directory: str
    exit_status: int
    valgrind: str
    limits: Limits
    images: list[RawImage] = field(default_factory=list)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    interrupted: bool = False

    def references_path(self, image: RawImage) -> Path:
        """The Parquet file with the image's references."""
        return self.directory / f"{image.number:04d}.parquet"

    def calls_path(self, image: RawImage) -> Path:
        """The text file with the image's system calls."""
        return self.directory / f"{image.number:04d}.calls"

    def instructions(self, per_process: int) -> int:
        """How many were recorded, counting at most ``per_process`` of each process number."""
        totals: dict[int, int] = {}
        for image in self.images:
            totals[image.pid] = totals.get(image.pid, 0) + image.instructions
        return sum(min(total, per_process) for total in totals.values())

    def save(self) -> None:
        """Writes the description; the other files are there already."""
        tree = asdict(self) | {"raw_version": RAW_VERSION}
        del tree["directory"]
        with atomic_path(self.directory / DESCRIPTION) as path:
            path.write_text(json.dumps(tree, indent=1, sort_keys=True))


@contextmanager
def raw_errors(path: Path) -> Iterator[None]:
    """Turns what reading a file of a raw capture may raise into a CaptureError that names it."""
    try:
        yield
    except (OSError, UnicodeDecodeError, pa.ArrowException) as fault:
        reason = str(fault).split("\n", maxsplit=1)[0]
        raise CaptureError(f"{path}: the raw capture is damaged, capture again: {reason}") from fault


def load_raw(directory: Path) -> RawCapture:
    """Reads a raw capture. Raises CaptureError when ``directory`` does not hold one, or one that was not finished."""
    try:
        tree = json.loads((directory / DESCRIPTION).read_text())
        if tree.pop("raw_version") != RAW_VERSION:
            raise CaptureError(f"{directory}: the raw capture is of another version of discotrace: capture again")
        for image in tree["images"]:
            image["mappings"] = [Mapping(**mapping) for mapping in image["mappings"]]
        tree["images"] = [RawImage(**image) for image in tree["images"]]
        tree["limits"] = Limits(**tree["limits"])
        tree["files"] = {path: (real, size) for path, (real, size) in tree["files"].items()}
        return RawCapture(directory=directory, **tree)
    except OSError as fault:
        raise CaptureError(f"{directory} holds no finished raw capture: {DESCRIPTION}: {fault.strerror}") from fault
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise CaptureError(f"{directory / DESCRIPTION} does not describe a raw capture: {fault}") from fault
