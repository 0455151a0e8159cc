"""The verb ``curve``: the miss ratio of every size at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.console import out, print_json, remark
from discotrace.cli.options import Changes, Json, MachineName, Quiet, Trace
from discotrace.cli.pictures import check_picture, write_picture
from discotrace.cli.replaying import configured, free_target, provenance, replay_progress
from discotrace.tracegen.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from discotrace.analysis.curve.measure import Measured
    from discotrace.analysis.curve.question import Question

_SUFFIXES = (".csv", ".parquet")


def curve(
    trace: Trace,
    what: Annotated[str, typer.Option("--what", help="tlb, l1 (l1i and l1d), l1i, l1d, l2 or pages.")],
    machine: MachineName = "flash",
    changes: Changes = None,
    sets: Annotated[
        str | None,
        typer.Option(help="Sets of a cache: a power of two; 1 = fully associative; all.", show_default="the machine's"),
    ] = None,
    max_ways: Annotated[
        int | None, typer.Option(help="Ways of each set that are told at most.", show_default="64")
    ] = None,
    sample: Annotated[
        float | None, typer.Option(help="Look at this share of entries, lines or pages only.", show_default="all")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Chooses the sample.", show_default="0")] = None,
    all_sizes: Annotated[bool, typer.Option("--all-sizes", help="Table of every size at which misses change.")] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Write every size to this .csv or .parquet file.")
    ] = None,
    picture: Annotated[str | None, typer.Option("--picture", help="Write a picture to this .svg or .png file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite output and picture.")] = False,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the miss ratio of every size of the TLB, a cache or the memory, from one pass over a trace.

    What is accessed is what a native replay accesses. Each size is an LRU memory of its own: a cache of the machine's
    sets with more or fewer ways, or with --sets 1 any number of lines; a TLB of any number of entries; any number of
    pages, the curve of page faults.
    """
    from discotrace.analysis.curve.question import Question

    question = Question(what, _sets(sets), max_ways, sample, seed)
    target = None if output is None else _target(output, trace, force)
    if picture is not None:
        check_picture(picture, force, "discotrace.analysis.curve.picture")
    about, measured = _measured(trace, machine, changes, question, quiet)
    _write(target, picture, about, measured, Path(trace).stem, Path(machine).stem)
    from discotrace.analysis.curve.report import curve_json, curve_tables, heading, remarks

    if json_output:
        print_json(curve_json(about, measured))
        return
    console = out()
    console.print(heading(about), markup=False, soft_wrap=True)
    for table in curve_tables(measured, all_sizes):
        console.print(table)
    for line in remarks(measured):
        console.print(line, markup=False, soft_wrap=True)
    if target is not None and not quiet:
        remark(f"wrote {target}")


def _sets(sets: str | None) -> int | None:
    from discotrace.analysis.curve.question import ALL_SETS

    if sets is None:
        return None
    if sets == "all":
        return ALL_SETS
    if not (sets.isdecimal() and len(sets) < 9 and int(sets) > 0):
        raise ConfigError(f"--sets is {sets!r}, expected a power of two, or all")
    return int(sets)


def _target(output: str, trace: str, force: bool) -> Path:
    if Path(output).suffix not in _SUFFIXES:
        raise OutputError(f"--output is {output!r}, expected the name of a file that ends in {' or '.join(_SUFFIXES)}")
    return free_target(output, trace, force)


def _measured(
    trace: str, machine: str, changes: list[str] | None, question: Question, quiet: bool
) -> tuple[dict[str, object], Measured]:
    """How the answer can be made again, and the curves."""
    from discotrace.tracegen.reader import TraceReader

    configuration = configured(machine, changes, None, False)
    with TraceReader(trace) as reader, replay_progress(reader, quiet, "record_rows", "reading") as advance:
        from discotrace.analysis.curve.measure import measured

        found = measured(reader, configuration.machine, question, advance)
        return provenance(reader, found.machine, configuration), found


def _write(
    target: Path | None, picture: str | None, about: dict[str, object], measured: Measured, trace: str, machine: str
) -> None:
    if target is not None:
        from discotrace.analysis.curve.curve_file import write

        write(target, measured.curves, about)
    if picture is not None:
        from discotrace.analysis.curve.picture import picture as drawn

        content = drawn(trace, machine, measured.machine.cpu.count, measured.curves, Path(picture).suffix)
        write_picture(picture, content)
