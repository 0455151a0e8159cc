"""Runs a command under valgrind's tool lackey and stores what every program of it did.

Lackey writes one log per process, which can come to gigabytes; logs are read while they are written, and the space of
what has been read is given back.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from discotrace.tracegen.atomic import output_errors
from discotrace.tracegen.errors import CaptureError
from discotrace.tracegen.lackey import LackeyParser
from discotrace.tracegen.log_catcher import LogCatcher
from discotrace.tracegen.log_tail import LogTail, is_alive
from discotrace.tracegen.raw_format import Limits, RawCapture, RawImage

POLL_SECONDS = 0.005
PROGRESS_SECONDS = 0.2
STOP_SECONDS = 5.0  # after Ctrl-C, until processes that ignore SIGTERM are killed


@dataclass(frozen=True)
class Progress:
    """How far a capture is: instructions recorded, processes alive and seen, seconds since the start."""

    instructions: int
    processes_alive: int
    processes_seen: int
    seconds: float


def find_valgrind() -> str:
    """The path of valgrind. Raises CaptureError when it is not installed."""
    path = shutil.which("valgrind")
    if path is None:
        raise CaptureError(
            "valgrind is not installed and capture needs it: apt-get install valgrind, or dnf install valgrind"
        )
    # Debian's valgrind is a script that makes programs look for debug libraries first; the program itself is beside it.
    return shutil.which(path + ".bin") or path


def check_command(command: list[str]) -> None:
    """Raises CaptureError when there is no such program."""
    if not command:
        raise CaptureError("there is no command to capture: give it after --, as in: discotrace capture -- make -j2")
    if shutil.which(command[0]) is None:
        raise CaptureError(f"there is no program {command[0]!r} to capture: check its name and PATH")


def capture_raw(
    command: list[str],
    directory: Path,
    limits: Limits,
    progress: Callable[[Progress], None] = lambda _: None,
    work_directory: Path | None = None,
) -> RawCapture:
    """Runs ``command`` under lackey, to the end of all its processes, and fills ``directory`` with a raw capture.

    The command keeps its standard input, output and error, and runs to its end also when limits are reached.
    ``work_directory`` is for the logs while they are read; it needs little space. Ctrl-C stops the command and keeps
    what was recorded until then. Raises CaptureError when valgrind or the command is missing or nothing was
    recorded, OutputError when ``directory`` cannot be written.
    """
    check_command(command)
    valgrind = find_valgrind()
    LackeyParser().feed(b"I  0,1\n")  # compiles the parser now: later it must not keep new logs waiting
    with output_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    with output_errors(work_directory or tempfile.gettempdir()):
        logs = Path(tempfile.mkdtemp(prefix="discotrace-capture-", dir=work_directory))
    try:
        capture = RawCapture(directory, command, os.getcwd(), 0, valgrind_version(valgrind), limits)
        _Recorder(capture, logs, progress).run([valgrind, *lackey_options(logs), *command])
    finally:
        shutil.rmtree(logs, ignore_errors=True)
    if not capture.images:
        raise CaptureError(
            f"valgrind recorded nothing of {command[0]!r} (status {capture.exit_status}): see its output"
        )
    capture.save()
    return capture


def valgrind_version(valgrind: str) -> str:
    """As it prints it: "valgrind-3.19.0"."""
    return subprocess.run([valgrind, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def lackey_options(logs: Path) -> list[str]:
    """Valgrind's options, with one log per process in a directory."""
    log_file = str(logs).replace("%", "%%") + "/%p"
    return [
        # Options from the environment or a file could send the log elsewhere.
        "--command-line-only=yes",
        "--tool=lackey",
        "--trace-mem=yes",
        "--trace-children=yes",
        "--trace-syscalls=yes",
        "--vgdb=no",
        f"--log-file={log_file}",
        "--",
    ]


class _Recorder:
    """Runs the command and follows its logs until every process of it has ended."""

    def __init__(self, capture: RawCapture, logs: Path, progress: Callable[[Progress], None]) -> None:
        self._capture = capture
        self._catcher = LogCatcher(logs)
        self._progress = progress
        self._tails: list[LogTail] = []
        self._recorded: dict[int, int] = {}  # pid -> instructions
        self._started = self._reported = time.monotonic()

    def run(self, command: list[str]) -> None:
        with self._catcher, subprocess.Popen(command) as process:
            try:
                self._follow(process)
            except KeyboardInterrupt:
                self._capture.interrupted = True
                self._stop(process)
                self._drain()
            finally:
                self._stop(process)
                for tail in self._tails:
                    tail.close()
        self._capture.exit_status = process.returncode

    def _follow(self, process: "subprocess.Popen[bytes]") -> None:
        has_ended = False
        while self._tails or not has_ended:
            has_ended = process.poll() is not None
            self._take_new_logs()
            has_read = [self._read(tail) for tail in self._tails]
            self._close_ended()
            self._report()
            if not any(has_read):
                time.sleep(POLL_SECONDS)

    def _take_new_logs(self) -> None:
        for pid, log in self._catcher.caught():
            image = RawImage(len(self._capture.images), pid)
            for tail in self._tails:
                tail.superseded |= tail.image.pid == pid
            self._capture.images.append(image)
            self._tails.append(LogTail(self._capture, image, log))
            self._recorded.setdefault(pid, 0)

    def _room(self, pid: int) -> int:
        limits = self._capture.limits
        whole = limits.instructions - sum(self._recorded.values())
        return min(whole, limits.instructions_per_process - self._recorded[pid])

    def _read(self, tail: LogTail) -> bool:
        """Reads a piece of a log; True if there was one."""
        stored = tail.read(self._room(tail.image.pid))
        self._recorded[tail.image.pid] += stored or 0
        return stored is not None

    def _finish(self, tail: LogTail) -> None:
        self._recorded[tail.image.pid] += tail.finish(self._room(tail.image.pid))

    def _close_ended(self) -> None:
        for tail in [tail for tail in self._tails if tail.has_ended()]:
            self._finish(tail)
            self._tails.remove(tail)

    def _drain(self) -> None:
        self._take_new_logs()
        for tail in self._tails:
            while self._read(tail):
                pass
            self._finish(tail)

    def _stop(self, process: "subprocess.Popen[bytes]") -> None:
        """Ends the command's processes, if any are left."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            pids = {tail.image.pid for tail in self._tails} | {process.pid}
            for pid in filter(is_alive, pids):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + STOP_SECONDS
            while any(map(is_alive, pids)) and time.monotonic() < deadline:
                process.poll()
                time.sleep(POLL_SECONDS)

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported < PROGRESS_SECONDS:
            return
        self._reported = now
        alive = len({tail.image.pid for tail in self._tails})
        self._progress(Progress(sum(self._recorded.values()), alive, len(self._recorded), now - self._started))
