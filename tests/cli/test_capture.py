"""`capture`: what it refuses before it records, and a real program from recording to trace."""

import shutil
from pathlib import Path

import pytest

from discotrace.cli.capture import capture
from discotrace.tracegen.errors import CaptureError, ConfigError, DiscotraceError, OutputError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.rules import check_rows
from discotrace.tracegen.schema import concat_rows


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, CaptureError, "no command"),
        ({"command": ["true"], "cpus": 0}, ConfigError, "cpus"),
        ({"command": ["true"], "quantum": 0}, ConfigError, "quantum"),
        ({"command": ["true"], "max_instructions": 0}, CaptureError, "--max-instructions"),
        ({"command": ["true"], "instances": 0}, CaptureError, "--instances"),
        ({"command": ["true"], "from_raw": Path("raw")}, CaptureError, "--from"),
        ({"raw": Path("other"), "from_raw": Path("raw")}, CaptureError, "--from"),
        ({"from_raw": Path("nowhere")}, CaptureError, "nowhere"),
        ({"command": ["no-such-program"]}, CaptureError, "no-such-program"),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, options: dict[str, object], error: type[DiscotraceError], message: str
) -> None:
    with pytest.raises(error, match=message):
        capture(tmp_path / "t.parquet", **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        capture(tmp_path / "t.parquet", command=["true"])
    assert (tmp_path / "t.parquet").read_text() == "mine"


def test_a_raw_capture_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "capture.json").write_text("{}")
    with pytest.raises(OutputError, match="--from"):
        capture(tmp_path / "t.parquet", command=["true"], raw=tmp_path / "raw")


def test_a_missing_directory_is_noticed_before_recording(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no directory"):
        capture(tmp_path / "none" / "t.parquet", command=["true"])


@pytest.mark.valgrind
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_a_real_program_becomes_a_valid_trace(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    raw, trace, again = tmp_path / "raw", tmp_path / "t.parquet", tmp_path / "u.parquet"
    capture(trace, command=["sh", "-c", "echo hi | cat; ls / > /dev/null; exit 1"], raw=raw)
    captured = capfd.readouterr()
    assert captured.out.startswith("hi\n")
    assert "next: discotrace replay" in captured.out.splitlines()[-1]
    assert "status 1" in captured.err
    with TraceReader(trace) as reader:
        assert check_rows(reader.meta, concat_rows(list(reader.batches()))) == []
        assert {process.name for process in reader.meta.processes} >= {"sh", "cat", "ls"}
        assert reader.meta.provenance["guessed_pages"] == 0

    capture(again, from_raw=raw)
    assert again.read_bytes() == trace.read_bytes()
    capture(again, from_raw=raw, cpus=4, max_instructions_per_process=50_000, force=True)
    with TraceReader(again) as reader:
        assert reader.meta.cpus == 4
        assert check_rows(reader.meta, concat_rows(list(reader.batches()))) == []
    capture(again, from_raw=raw, instances=2, max_instructions_per_process=50_000, force=True)
    with TraceReader(again) as reader:
        assert {process.instance for process in reader.meta.processes} == {0, 1}
        assert reader.meta.provenance["instances"] == 2
        assert check_rows(reader.meta, concat_rows(list(reader.batches()))) == []
