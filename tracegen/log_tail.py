"""Reads one log of lackey while it is written, into the files of one image of a raw capture."""

import ctypes
import os
import re
import stat
from io import FileIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from discotrace.tracegen.atomic import output_errors
from discotrace.tracegen.lackey import FETCH, LackeyParser, Parsed, References, TextLine
from discotrace.tracegen.raw_format import NOT_REGULAR, Mapping, RawCapture, RawImage

PIECE_BYTES = 1 << 20  # read from one log at a time, so that new logs do not wait
FREE_BYTES = 16 << 20  # read from a log between two returns of its disk space
ROW_GROUP_ROWS = 1 << 17
SCHEMA = pa.schema([("kind", pa.uint8()), ("vaddr", pa.uint64()), ("size", pa.uint32()), ("arg", pa.uint32())])

# How valgrind prints a path: sys_openat ( 4294967196, 0x4034bb0(/lib/libc.so.6), 524288 )
PATH_ARGUMENT = re.compile(r"0x[0-9a-f]+\(([^)]+)\)")

# Where valgrind puts itself on x86-64 (coregrind/m_aspacemgr): its program at 0x58000000, its data above 64 GiB up
# to the program's stack, which ends a little above 0x1fff000000.
VALGRIND_PROGRAM = re.compile(r"/lackey-[\w-]*linux$")
VALGRIND_DATA = range(0x10_0000_0000, 0x1F_0000_0000)
CLIENT_END = 0x20_0000_0000

# linux/falloc.h: FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02


class LogTail:
    """One log and the image that it is read into. ``superseded`` is set when an exec has replaced the program."""

    def __init__(self, capture: RawCapture, image: RawImage, log: Path) -> None:
        """``image`` is filled in as the log is read; ``log`` is removed at the end."""
        self.image = image
        self.superseded = False
        self._capture = capture
        self._path = log
        self._parser = LackeyParser()
        self._freed = 0
        self._sampled = False
        self._after_banner = False
        self._at_limit = False
        self._directory = capture.working_directory
        self._waiting: list[References] = []
        self._waiting_rows = 0
        self._log = FileIO(log, "r+")  # unbuffered: the writer goes on
        with output_errors(capture.directory):
            self._calls = TextIOWrapper(FileIO(capture.calls_path(image), "w"), encoding="utf-8")
            self._references = pq.ParquetWriter(capture.references_path(image), SCHEMA, compression="zstd")

    def read(self, room: int) -> int | None:
        """Reads and stores the next piece, at most ``room`` instructions of it or a run more.

        Returns the instructions stored, None if the log has nothing new.
        """
        piece = self._log.read(PIECE_BYTES)
        if not piece:
            return None
        at = self._log.tell()
        if at - self._freed >= FREE_BYTES:
            free_space(self._log.fileno(), at)
            self._freed = at
        return self._store(self._parser.feed(piece), room)

    def finish(self, room: int) -> int:
        """Stores what the end of the log completes, as ``read``, and closes everything."""
        stored = self._store(self._parser.finish(), room)
        self.close()
        return stored

    def has_ended(self) -> bool:
        """True if the writer has gone and the log is read to its end."""
        if not self.superseded and is_alive(self.image.pid):
            return False
        return os.fstat(self._log.fileno()).st_size == self._log.tell()

    def close(self) -> None:
        """Completes the image's files and removes the log. May be called twice."""
        if self._log.closed:
            return
        with output_errors(self._capture.directory):
            if self._waiting_rows:
                self._write_references()
            self._references.close()
            self._calls.close()
        self._log.close()
        self._path.unlink(missing_ok=True)

    def _store(self, parsed: Parsed, room: int) -> int:
        references = self._within_limit(parsed.references, room)
        stored = int(references.arg.sum(dtype=np.int64))
        seen = int(parsed.references.arg.sum(dtype=np.int64))
        if seen and not self._sampled:
            self._sample()
        for line in parsed.texts:
            self._take_text(line)
        image = self.image
        if parsed.malformed and not image.malformed_lines:
            image.first_malformed_byte = parsed.malformed[0]
        image.malformed_lines += len(parsed.malformed)
        image.instructions += stored
        image.dropped_instructions += seen - stored
        image.rows += len(references.kind)
        self._waiting.append(references)
        self._waiting_rows += len(references.kind)
        if self._waiting_rows >= ROW_GROUP_ROWS:
            self._write_references()
        return stored

    def _within_limit(self, references: References, room: int) -> References:
        kept = 0 if self._at_limit else rows_within(references, room)
        self._at_limit = self._at_limit or kept < len(references.kind)
        return References(
            references.kind[:kept], references.vaddr[:kept], references.size[:kept], references.arg[:kept]
        )

    def _write_references(self) -> None:
        columns = [pa.array(np.concatenate(parts)) for parts in zip(*self._waiting, strict=True)]
        with output_errors(self._capture.directory):
            self._references.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))
        self._waiting, self._waiting_rows = [], 0

    # ---- text -------------------------------------------------------------------------------------------------

    def _take_text(self, line: TextLine) -> None:
        if line.text.startswith("=="):
            self._take_banner(line.text)
            return
        if not self._after_banner and line.text.startswith(" -->"):
            # The result of the fork that began this program: its own log starts in the middle of that call.
            self.image.forked = True
        self._after_banner = True
        self._note_paths(line.text)
        with output_errors(self._capture.directory):
            self._calls.write(f"{line.row}\t{line.text.rstrip()}\n")

    def _take_banner(self, text: str) -> None:
        _, _, words = text.partition("== ")
        key, _, value = words.partition(": ")
        if key == "Command" and not self.image.command:
            self.image.command = value
        elif key == "Parent PID" and not self.image.parent_pid:
            self.image.parent_pid = int(value)

    def _note_paths(self, text: str) -> None:
        """Notes the sizes that the files of a system call have now: temporary files will be gone later."""
        for path in PATH_ARGUMENT.findall(text):
            absolute = os.path.join(self._directory, path)
            self._note(absolute)
            if "sys_chdir" in text and "Success" in text:
                self._directory = absolute

    def _note(self, path: str) -> None:
        try:
            status = os.stat(path)
        except OSError:
            return
        size = status.st_size if stat.S_ISREG(status.st_mode) else NOT_REGULAR
        _, known = self._capture.files.get(path, ("", NOT_REGULAR))
        self._capture.files[path] = (os.path.realpath(path), max(size, known))

    # ---- the process ------------------------------------------------------------------------------------------

    def _sample(self) -> None:
        """Notes the mappings and the working directory that the program has now, if it still runs."""
        self._sampled = True
        try:
            self._directory = os.readlink(f"/proc/{self.image.pid}/cwd")
            self.image.mappings = client_mappings(Path(f"/proc/{self.image.pid}/maps").read_text())
        except OSError:
            return
        for mapping in self.image.mappings:
            if mapping.path:
                self._note(mapping.path)


def rows_within(references: References, room: int) -> int:
    """How many rows to keep for ``room`` instructions: up to the run that reaches them, with its data."""
    runs = np.flatnonzero(references.kind == FETCH)
    starts = np.cumsum(references.arg[runs], dtype=np.int64) - references.arg[runs]
    beyond = int(np.searchsorted(starts, room))
    return int(runs[beyond]) if beyond < len(runs) else len(references.kind)


def client_mappings(text: str) -> list[Mapping]:
    """The mappings of the program, without valgrind's own, from the text of /proc/PID/maps."""
    kept: list[Mapping] = []
    tool_end = 0  # valgrind's program and the anonymous memory that follows it
    for line in text.splitlines():
        words = line.split(maxsplit=5)
        start, end = (int(part, 16) for part in words[0].split("-"))
        path = words[5] if len(words) == 6 and words[5].startswith("/") else ""
        if VALGRIND_PROGRAM.search(path) or (start == tool_end and not path):
            tool_end = end
        elif end <= CLIENT_END and start not in VALGRIND_DATA:
            kept.append(Mapping(start, end, words[1][1] == "w", int(words[2], 16), path))
    return kept


def is_alive(pid: int) -> bool:
    """True while the process can still do something: one that waits to be reaped cannot."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")


_libc = ctypes.CDLL(None)


def free_space(descriptor: int, end: int) -> None:
    """Gives back the disk space of a file's bytes 0 to ``end``; its length and the rest stay as they are.

    Truncating would race with the writer. A file system that cannot do it keeps the space until the log is removed.
    """
    _libc.fallocate(descriptor, KEEP_SIZE_PUNCH_HOLE, ctypes.c_long(0), ctypes.c_long(end))
