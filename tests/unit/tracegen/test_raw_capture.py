"""Recording: what is kept of logs and of /proc, raw captures on disk, and real programs under valgrind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from discotrace.tracegen import raw_capture
from discotrace.tracegen.errors import CaptureError, OutputError
from discotrace.tracegen.histories import build_histories
from discotrace.tracegen.lackey import FETCH, LOAD, References
from discotrace.tracegen.log_catcher import LogCatcher
from discotrace.tracegen.log_tail import LogTail, client_mappings, free_space, is_alive, rows_within
from discotrace.tracegen.raw_capture import Progress, capture_raw, check_command, find_valgrind
from discotrace.tracegen.raw_format import NOT_REGULAR, Limits, Mapping, RawCapture, RawImage, load_raw

ALL = 10**12
NOBODY = 2**22 + 1  # above the largest process number of Linux

MAPS = """\
00108000-0010c000 r--p 00000000 fe:00 260180                             /usr/bin/my prog
00127000-00128000 rw-p 0001e000 fe:00 260180                             /usr/bin/my prog
04035000-04056000 rwxp 00000000 00:00 0
58000000-58001000 r--p 00000000 fe:00 341618                             /usr/libexec/valgrind/lackey-amd64-linux
58001000-58002000 rw-p 00000000 00:00 0
58010000-58011000 rw-p 00000000 00:00 0
1002001000-100278c000 rwxp 00000000 00:00 0
1ffeffe000-1fff001000 rw-p 00000000 00:00 0
7feb5ef0e000-7feb5ef12000 r--p 00000000 00:00 0                          [vvar]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""

LOG = b"""\
==7== Lackey, an example Valgrind tool
==7== Command: prog -x: y
==7== Parent PID: 5
==7==
I  1000,4
I  1004,4
 L 2000,8
SYSCALL[7,1](257) sys_openat ( 4294967196, 0x40(data.txt), 0 ) --> [async] ...
SYSCALL[7,1](257) ... [async] --> Success(0x3)
I  1008,4
 S 2000,8
 L zz,8
I  1010,4
==7== Exit code:       0
"""


def references(*rows: tuple[int, int]) -> References:
    kind, arg = zip(*rows, strict=True)
    zeros = np.zeros(len(rows))
    return References(
        np.array(kind, np.uint8), zeros.astype(np.uint64), zeros.astype(np.uint32), np.array(arg, np.uint32)
    )


def raw(directory: Path, limits: Limits | None = None) -> RawCapture:
    directory.mkdir(exist_ok=True)
    return RawCapture(directory, ["prog"], str(directory), 0, "valgrind-3.19.0", limits or Limits(ALL, ALL))


def tailed(tmp_path: Path, log: bytes, room: int = ALL) -> tuple[RawCapture, RawImage]:
    capture, image = raw(tmp_path / "raw"), RawImage(0, NOBODY)
    (tmp_path / "raw" / "data.txt").write_bytes(b"x" * 77)
    (tmp_path / "log").write_bytes(log)
    tail = LogTail(capture, image, tmp_path / "log")
    stored = 0
    while (more := tail.read(room - stored)) is not None:
        stored += more
    assert tail.has_ended()
    tail.finish(room - stored)
    return capture, image


# ---- parts ----------------------------------------------------------------------------------------------------


def test_client_mappings__leave_valgrind_out() -> None:
    assert client_mappings(MAPS) == [
        Mapping(0x108000, 0x10C000, False, 0, "/usr/bin/my prog"),
        Mapping(0x127000, 0x128000, True, 0x1E000, "/usr/bin/my prog"),
        Mapping(0x4035000, 0x4056000, True, 0, ""),
        Mapping(0x58010000, 0x58011000, True, 0, ""),
        Mapping(0x1FFEFFE000, 0x1FFF001000, True, 0, ""),
    ]


@pytest.mark.parametrize(("room", "kept"), [(-1, 1), (0, 1), (1, 3), (5, 3), (6, 4), (7, 6), (100, 6)])
def test_rows_within__an_instruction_keeps_its_data(room: int, kept: int) -> None:
    assert rows_within(references((LOAD, 0), (FETCH, 5), (LOAD, 0), (FETCH, 1), (FETCH, 3), (LOAD, 0)), room) == kept


def test_is_alive() -> None:
    assert is_alive(os.getpid())
    assert not is_alive(NOBODY)
    child = subprocess.Popen(["true"])
    deadline = time.monotonic() + 10
    while is_alive(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(child.pid)  # a zombie until it is reaped
    child.wait()


def test_free_space__keeps_length_and_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * (1 << 20) + b"rest")
    with path.open("r+b") as file:
        free_space(file.fileno(), 1 << 20)
    assert path.stat().st_size == (1 << 20) + 4
    assert path.read_bytes().endswith(b"rest")


def test_catcher__renames_logs_by_appearance(tmp_path: Path) -> None:
    with LogCatcher(tmp_path) as catcher:
        (tmp_path / "12").write_text("first")
        found = list(catcher.caught())
        (tmp_path / "12").write_text("second")
        (tmp_path / "9").write_text("third")
        found += catcher.caught()
    assert [pid for pid, _ in found] == [12, 9, 12] or [pid for pid, _ in found] == [12, 12, 9]
    assert sorted(log.read_text() for _, log in found) == ["first", "second", "third"]


def test_tail__stores_references_calls_banner_and_sizes(tmp_path: Path) -> None:
    capture, image = tailed(tmp_path, LOG)
    assert (image.command, image.parent_pid, image.forked) == ("prog -x: y", 5, False)
    assert (image.instructions, image.dropped_instructions, image.rows) == (4, 0, 5)
    assert (image.malformed_lines, image.first_malformed_byte) == (1, LOG.index(b" L zz"))
    assert pq.read_table(capture.references_path(image)).column("arg").to_pylist() == [2, 0, 1, 0, 1]
    lines = capture.calls_path(image).read_text().splitlines()
    assert [line.partition("\t")[0] for line in lines] == ["2", "2"]
    assert capture.files[str(capture.directory / "data.txt")] == (str(capture.directory / "data.txt"), 77)
    assert not (tmp_path / "log").exists()


def test_tail__a_log_that_begins_with_a_result_is_that_of_a_forked_child(tmp_path: Path) -> None:
    _, image = tailed(tmp_path, LOG.replace(b"I  1000,4\n", b" --> [pre-success] Success(0x0)\nI  1000,4\n", 1))
    assert image.forked


def test_tail__what_comes_after_the_limit_is_counted_only(tmp_path: Path) -> None:
    capture, image = tailed(tmp_path, LOG, room=1)
    assert (image.instructions, image.dropped_instructions, image.rows) == (2, 2, 2)
    assert pq.read_table(capture.references_path(image)).num_rows == 2
    assert len(capture.calls_path(image).read_text().splitlines()) == 2


def test_tail__directories_have_no_size(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    capture, _ = tailed(tmp_path, b"SYSCALL[7,1](4) sys_newstat ( 0x40(.), 0x50 )[sync] --> Success(0x0)\n")
    assert [size for _, size in capture.files.values()] == [NOT_REGULAR]


# ---- the directory --------------------------------------------------------------------------------------------


def test_raw_capture__comes_back_as_it_was_saved(tmp_path: Path) -> None:
    capture = raw(tmp_path / "raw", Limits(5, 6))
    capture.images.append(RawImage(0, 7, 5, "prog", mappings=client_mappings(MAPS)))
    capture.files["/a"] = ("/b", 3)
    capture.save()
    assert load_raw(tmp_path / "raw") == capture


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"raw_version": 1}', '{"raw_version": 99}'])
def test_raw_capture__what_is_none_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "capture.json").write_text(text)
    with pytest.raises(CaptureError, match="raw capture"):
        load_raw(tmp_path)


def test_raw_capture__instructions_are_counted_per_process(tmp_path: Path) -> None:
    capture = raw(tmp_path)
    capture.images = [RawImage(0, 7, instructions=10), RawImage(1, 7, instructions=5), RawImage(2, 8, instructions=4)]
    assert (capture.instructions(ALL), capture.instructions(12), capture.instructions(3)) == (19, 16, 6)


# ---- what the user may lack -----------------------------------------------------------------------------------


def test_missing_valgrind__says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CaptureError, match="apt-get install valgrind"):
        find_valgrind()


@pytest.mark.parametrize(("command", "message"), [([], "no command"), (["no-such-program"], "no-such-program")])
def test_missing_command(command: list[str], message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        check_command(command)


# ---- real programs --------------------------------------------------------------------------------------------

needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


@pytest.mark.valgrind
@needs_valgrind
def test_real__processes_pipes_and_status(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []
    capture = capture_raw(
        ["sh", "-c", "(echo one; echo two) | cat; ls / > /dev/null; exit 3"],
        tmp_path / "raw",
        Limits(ALL, ALL),
        seen.append,
        tmp_path,
    )
    assert capfd.readouterr().out == "one\ntwo\n"
    assert capture.exit_status == 3
    assert load_raw(tmp_path / "raw") == capture
    histories = build_histories(capture, ALL)
    assert [(h.parent, h.name) for h in histories] == [(0, "sh"), (1, "sh"), (1, "cat"), (1, "ls")]
    assert all(h.instructions > 1000 for h in histories)
    pipes = [type(s.action).__name__ for h in histories for s in h.steps].count("PipeTransfer")
    assert pipes >= 2
    assert seen
    assert [entry.name for entry in tmp_path.iterdir()] == ["raw"]
    assert sum(image.malformed_lines for image in capture.images) == 0


@pytest.mark.valgrind
@needs_valgrind
def test_real__limits_keep_the_order_of_processes(tmp_path: Path) -> None:
    capture = capture_raw(["sh", "-c", "ls / > /dev/null; true | cat"], tmp_path / "raw", Limits(250_000, 50_000))
    assert [history.name for history in build_histories(capture, ALL)] == ["sh", "ls", "sh", "cat"]
    totals: dict[int, int] = {}
    for image in capture.images:
        totals[image.pid] = totals.get(image.pid, 0) + image.instructions
    assert all(total < 50_100 for total in totals.values())


@pytest.mark.valgrind
@needs_valgrind
def test_real__an_interrupt_stops_the_program_and_keeps_what_was_recorded(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from discotrace.tracegen.raw_capture import *;"
        "from discotrace.tracegen.raw_format import Limits;"
        "print(capture_raw(['sh', '-c', 'sleep 60; echo late'], Path(sys.argv[1]), Limits(10**12, 10**12)).interrupted)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "raw")], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "raw" / "0002.calls").exists():
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output.strip() == "True"
    assert load_raw(tmp_path / "raw").interrupted


@pytest.mark.valgrind
@needs_valgrind
def test_real__a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        capture_raw(["true"], tmp_path / "file" / "raw", Limits(ALL, ALL))


def test_a_command_that_valgrind_cannot_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raw_capture, "find_valgrind", lambda: shutil.which("false"))
    with pytest.raises(CaptureError, match="recorded nothing"):
        capture_raw(["true"], tmp_path / "raw", Limits(ALL, ALL))
