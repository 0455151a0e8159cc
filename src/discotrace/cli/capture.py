"""The verb ``capture``: records a real program and makes a trace of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.console import err, out
from discotrace.tracegen.errors import CaptureError, OutputError

if TYPE_CHECKING:
    from discotrace.tracegen.merge import MergeResult
    from discotrace.tracegen.raw_capture import Progress
    from discotrace.tracegen.raw_format import Limits, RawCapture
    from discotrace.tracegen.scheduler import ScheduleParameters


def capture(
    output: Annotated[Path, typer.Option("--output", "-o", help="Trace file to write.")],
    *,
    command: Annotated[
        list[str] | None, typer.Argument(help="The program and its arguments, after --.", show_default=False)
    ] = None,
    cpus: Annotated[int, typer.Option(help="Virtual CPUs of the trace.")] = 2,
    instances: Annotated[
        int, typer.Option(help="How often the program runs, side by side, on CPUs and with files of its own.")
    ] = 1,
    cold: Annotated[
        bool, typer.Option("--cold", help="Nothing is in memory: the programs' files are read from disk.")
    ] = False,
    max_instructions: Annotated[
        int | None, typer.Option(help="Instructions of all programs together to keep.", show_default="all")
    ] = None,
    max_instructions_per_process: Annotated[
        int | None, typer.Option(help="Instructions of each process to keep.", show_default="all")
    ] = None,
    quantum: Annotated[
        int, typer.Option(help="Instructions that a process runs before another that is ready gets its CPU.")
    ] = 2_000_000,
    interleave: Annotated[
        int, typer.Option(help="Instructions that a CPU runs before the next one's stand in the trace.")
    ] = 1_000,
    raw: Annotated[
        Path | None, typer.Option(help="Directory to keep the raw capture in, for --from.", show_default=False)
    ] = None,
    from_raw: Annotated[
        Path | None,
        typer.Option("--from", help="Make the trace of an earlier raw capture; no command.", show_default=False),
    ] = None,
    work_dir: Annotated[
        Path | None, typer.Option(help="Directory for temporary files.", show_default="the system's")
    ] = None,
    compression: Annotated[
        int, typer.Option(help="Level of zstd: 19 makes the file a fifth smaller, much slower.", min=1, max=22)
    ] = 9,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Run a program under valgrind and make a trace of everything it does.

    Children are followed. System calls, page faults and scheduling go through the model of the guest kernel. The
    program runs to its end, thousands of times slower than usual, with its own input and output. Ctrl-C ends it
    early; the trace then has what was recorded until then.
    """
    from discotrace.tracegen.raw_format import Limits
    from discotrace.tracegen.scheduler import ScheduleParameters

    schedule = ScheduleParameters(cpus=cpus, quantum=quantum, interleave=interleave)
    limits = Limits(
        _positive(max_instructions, "--max-instructions"),
        _positive(max_instructions_per_process, "--max-instructions-per-process"),
    )
    _positive(instances, "--instances")
    _check_paths(command, output, raw, from_raw, force)
    with ExitStack() as resources:
        if from_raw is None:
            recorded = _record(command or [], raw or resources.enter_context(_temporary(work_dir)), limits, work_dir)
        else:
            recorded = _load(from_raw)
        result = _merge(recorded, output, schedule, limits, instances, cold, compression)
    _report(recorded, result, output)


def _positive(value: int | None, option: str) -> int:
    from discotrace.tracegen.raw_format import NO_LIMIT

    if value is not None and value < 1:
        raise CaptureError(f"{option} is {value}, expected at least 1")
    return NO_LIMIT if value is None else value


def _check_paths(command: list[str] | None, output: Path, raw: Path | None, from_raw: Path | None, force: bool) -> None:
    """Finds what would make the end fail, before minutes of recording."""
    from discotrace.tracegen.raw_format import DESCRIPTION

    if from_raw is not None and (command or raw is not None):
        raise CaptureError("--from makes a trace of an earlier raw capture: leave out the command and --raw")
    if from_raw is None and not command:
        raise CaptureError("there is no command to capture: give it after --, as in: discotrace capture -- make -j2")
    if not output.absolute().parent.is_dir():
        raise OutputError(f"cannot write {output}: there is no directory {output.parent}, make it first")
    if output.exists() and not force:
        raise OutputError(f"{output} is there already: choose another name, or replace it with --force")
    if raw is not None and (raw / DESCRIPTION).exists() and not force:
        raise OutputError(f"{raw} holds a raw capture already: use it with --from, or replace it with --force")


@contextmanager
def _temporary(work_dir: Path | None) -> Iterator[Path]:
    from tempfile import TemporaryDirectory, gettempdir

    from discotrace.tracegen.atomic import output_errors

    with output_errors(work_dir or gettempdir()):
        directory = TemporaryDirectory(prefix="discotrace-raw-", dir=work_dir)
    with directory:
        yield Path(directory.name)


def _record(command: list[str], directory: Path, limits: Limits, work_dir: Path | None) -> RawCapture:
    from discotrace.tracegen.raw_capture import capture_raw

    with _recording_status() as show:
        return capture_raw(command, directory, limits, show, work_dir)


def _load(directory: Path) -> RawCapture:
    from discotrace.tracegen.raw_format import load_raw

    return load_raw(directory)


@contextmanager
def _recording_status() -> Iterator[Callable[[Progress], None]]:
    """A line on standard error, if that is a terminal, that says how far the recording is."""
    console = err()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting") as status:

        def show(progress: Progress) -> None:
            rate = progress.instructions / max(progress.seconds, 1e-9) / 1e6
            status.update(
                f"recorded {progress.instructions / 1e6:,.1f} M instructions at {rate:.2f} M/s, "
                f"{progress.processes_alive} of {progress.processes_seen} processes running"
            )

        yield show


def _merge(
    recorded: RawCapture,
    output: Path,
    schedule: ScheduleParameters,
    limits: Limits,
    instances: int,
    cold: bool,
    level: int,
) -> MergeResult:
    from discotrace.cli.console import progress
    from discotrace.tracegen.merge import merge
    from discotrace.version import VERSION

    total = min(limits.instructions, instances * recorded.instructions(limits.instructions_per_process))
    with progress(total, "merging", "instructions") as advance:
        return merge(
            recorded,
            output,
            schedule,
            limits,
            version=VERSION,
            instances=instances,
            cold=cold,
            compression_level=level,
            progress=advance,
        )


def _report(recorded: RawCapture, result: MergeResult, output: Path) -> None:
    remarks = err()
    malformed = sum(image.malformed_lines for image in recorded.images)
    for count, remark in (
        (recorded.interrupted, "the program was interrupted: the trace ends there"),
        (
            recorded.exit_status != 0 and not recorded.interrupted,
            f"the program ended with status {recorded.exit_status}",
        ),
        (malformed, f"{malformed} lines of valgrind could not be read"),
        (result.guessed_pages, f"{result.guessed_pages} pages that no system call explains were taken as anonymous"),
        (result.released, f"{result.released} times a process went on although what it waited for was not recorded"),
    ):
        if count:
            remarks.print(f"note: {remark}", markup=False, soft_wrap=True)
    out().print(
        f"wrote {output}: {result.rows:,} rows, {result.processes} processes, {result.instructions:,} instructions of"
        f" programs and {result.kernel_instructions:,} of the kernel; next: discotrace replay {output}",
        markup=False,
        soft_wrap=True,
    )
