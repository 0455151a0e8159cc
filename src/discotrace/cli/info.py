"""The verb ``info``: what is in a trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discotrace.cli.console import out, print_json, progress
from discotrace.cli.options import Changes, Json, Trace
from discotrace.cli.pictures import check_picture, write_picture
from discotrace.cli.replaying import configured, replay_progress
from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from discotrace.analysis.configuration import Configuration
    from discotrace.analysis.sharing_misses import ClassMisses
    from discotrace.tracegen.reader import TraceReader
    from discotrace.tracegen.schema import TraceMeta
    from discotrace.tracegen.summary import Summarizer, Summary, WorkingSet

_LARGEST = 10  # processes listed in the text
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = ".:-=+*%@"
_MACHINE = "flash"


def info(
    trace: Trace,
    misses: Annotated[bool, typer.Option("--misses", help="Add L2 misses by sharing; needs a native replay.")] = False,
    picture: Annotated[
        str | None, typer.Option("--picture", help="Write a picture of the trace to this .svg or .png file.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option("--machine", "-m", help="Preset name or TOML file, for the misses: flash by default.")
    ] = None,
    changes: Changes = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the picture if it is there.")] = False,
    json_output: Json = False,
) -> None:
    """Show what is in a trace: records, processes, footprint, sharing, OS services, working sets over time.

    Original references are what the traced programs did: instructions, and rows of LOAD and STORE. Footprint counts
    the 4 KiB pages that were touched: virtual once per address space, distinct once per page of a file or shared
    object. Sharing tells pages that one CPU alone uses, that several read, and that several use and some write.
    """
    from discotrace.tracegen.reader import TraceReader

    draws = picture is not None
    if not (misses or draws) and (machine or changes):
        raise ConfigError("--machine and --set are about the misses: add --misses or --picture")
    configuration = configured(machine or _MACHINE, changes, None, False) if misses or draws else None
    if picture is not None:
        check_picture(picture, force, "discotrace.analysis.trace_picture")
    with TraceReader(trace) as reader:
        summarizer = _summarized(reader)
        summary = summarizer.finish()
        missed = None if configuration is None else _missed(reader, configuration, summarizer)
        if picture is not None:
            _draw(picture, reader, summary, missed or [], machine or _MACHINE)
        if json_output:
            print_json(_as_tree(reader, summary) | {"misses": _misses_tree(configuration, missed)})
        else:
            _print_text(reader, summary, missed)


def _draw(picture: str, reader: TraceReader, summary: Summary, missed: list[ClassMisses], machine: str) -> None:
    from discotrace.analysis.trace_picture import picture as drawn

    write_picture(picture, drawn(Path(reader.source).stem, summary, missed, Path(machine).stem, Path(picture).suffix))


def _missed(reader: TraceReader, configuration: Configuration, summarizer: Summarizer) -> list[ClassMisses]:
    with replay_progress(reader, quiet=False) as advance:
        from discotrace.analysis.sharing_misses import misses_by_class

        return misses_by_class(reader, configuration.machine, summarizer.classes_of_pages(), advance)


def _misses_tree(configuration: Configuration | None, missed: list[ClassMisses] | None) -> dict[str, object] | None:
    from dataclasses import asdict

    if configuration is None or missed is None:
        return None
    return {
        "system": "native",
        "configuration": configuration.to_tables(),
        "by_class": [asdict(one) for one in missed],
    }


def _summarized(reader: TraceReader) -> Summarizer:
    from discotrace.tracegen.rules import CHECK_ROWS
    from discotrace.tracegen.summary import Summarizer

    summarizer = Summarizer(reader.meta, reader.rows)
    with progress(reader.rows, "reading", "rows") as advance:
        for rows in reader.batches(CHECK_ROWS):
            summarizer.add(rows)
            advance(len(rows.kind))
    return summarizer


def _as_tree(reader: TraceReader, summary: Summary) -> dict[str, object]:
    from dataclasses import asdict

    meta = reader.meta
    by_asid = summary.instructions_by_asid
    return {
        "schema": 1,
        "trace": reader.source,
        "format_version": meta.format_version,
        "file_bytes": reader.file_bytes,
        "row_groups": reader.row_groups,
        "records": summary.records,
        "records_by_kind": {kind.name.lower(): count for kind, count in summary.records_by_kind.items()},
        "instructions": summary.instructions,
        "user_instructions": summary.user_instructions,
        "idle_instructions": summary.idle_instructions,
        "original_references": summary.original_references,
        "file_bytes_per_original_reference": _bytes_per_reference(reader, summary),
        "cpus": meta.cpus,
        "instructions_by_cpu": summary.instructions_by_cpu,
        "processes": [asdict(process) | {"instructions": by_asid.get(process.asid, 0)} for process in meta.processes],
        "footprint": [asdict(footprint) for footprint in summary.footprint],
        "sharing": [asdict(one) for one in summary.sharing],
        "services": [
            {"service": use.name, "entries": use.entries, "instructions": use.instructions} for use in summary.services
        ],
        "files": {"count": len(meta.files), "size_bytes": sum(file.size for file in meta.files)},
        "working_set": asdict(summary.working_set),
        "provenance": meta.provenance,
    }


def _bytes_per_reference(reader: TraceReader, summary: Summary) -> float | None:
    return reader.file_bytes / summary.original_references if summary.original_references else None


def _print_text(reader: TraceReader, summary: Summary, missed: list[ClassMisses] | None) -> None:
    console = out()
    for table in (
        _overview(reader, summary),
        _kinds(summary),
        _processes(reader.meta, summary),
        _footprint(summary),
        _sharing(summary, missed),
        _services(summary),
    ):
        console.print(table)
        console.print()
    bars = _BARS if console.encoding.startswith("utf") else _ASCII_BARS
    for line in _working_set(summary.working_set, bars):
        console.print(line, markup=False, soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose other columns are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


def _overview(reader: TraceReader, summary: Summary) -> Table:
    from rich.table import Table
    from rich.text import Text

    meta = reader.meta
    density = _bytes_per_reference(reader, summary)
    table = Table.grid(padding=(0, 2))
    for name, value in (
        ("trace", reader.source),
        ("records", f"{summary.records:,}"),
        ("instructions", f"{summary.instructions:,}"),
        ("idle instructions", f"{summary.idle_instructions:,}"),
        ("original references", f"{summary.original_references:,}"),
        ("CPUs", f"{meta.cpus}"),
        ("processes", f"{len(meta.processes):,}"),
        ("files", f"{len(meta.files):,} of {sum(file.size for file in meta.files) // 1024:,} KiB in all"),
        ("file size", f"{reader.file_bytes:,} bytes" + (f", {density:.3f} per original reference" if density else "")),
        *((f"made by: {key}", f"{value}") for key, value in sorted(meta.provenance.items())),
    ):
        table.add_row(Text(name), Text(value))
    return table


def _kinds(summary: Summary) -> Table:
    table = _table("Records by kind", "kind", "records", "share")
    for kind, count in summary.records_by_kind.items():
        if count:
            table.add_row(kind.name, f"{count:,}", _share(count, summary.records))
    return table


def _processes(meta: TraceMeta, summary: Summary) -> Table:
    from rich.text import Text

    executed = summary.instructions_by_asid
    largest = sorted(meta.processes, key=lambda process: (-executed.get(process.asid, 0), process.asid))[:_LARGEST]
    table = _table(f"Largest of {len(meta.processes):,} processes", "name", "asid", "instructions", "share")
    for process in largest:
        count = executed.get(process.asid, 0)
        table.add_row(Text(process.name), f"{process.asid}", f"{count:,}", _share(count, summary.instructions))
    return table


def _footprint(summary: Summary) -> Table:
    table = _table("Footprint", "segments", "virtual KiB", "distinct KiB")
    for footprint in summary.footprint:
        table.add_row(footprint.sort.replace("_", " "), f"{footprint.virtual_kib:,}", f"{footprint.distinct_kib:,}")
    return table


def _sharing(summary: Summary, missed: list[ClassMisses] | None) -> Table:
    """With misses two more columns, and a row for the page tables, to which a trace has no references."""
    columns = [] if missed is None else ["L2 misses", "share"]
    table = _table("Sharing between CPUs", "pages", "KiB", "references", "share", *columns)
    every = sum(one.references for one in summary.sharing)
    counts = {(one.space, one.sharing): one.l2_misses for one in missed or []}
    all_missed = sum(counts.values())
    for one in summary.sharing:
        name = f"{one.space}, {one.sharing.replace('_', '-')}"
        cells = [f"{one.kib:,}", f"{one.references:,}", _share(one.references, every)]
        count = counts.pop((one.space, one.sharing), 0)
        table.add_row(name, *cells, *([] if missed is None else [f"{count:,}", _share(count, all_missed)]))
    for (space, _), count in counts.items():
        table.add_row(space, "", "", "", f"{count:,}", _share(count, all_missed))
    return table


def _services(summary: Summary) -> Table:
    table = _table("OS services", "service", "entries", "instructions", "share")
    for use in sorted(summary.services, key=lambda use: -use.instructions):
        share = _share(use.instructions, summary.instructions)
        table.add_row(use.name.upper(), f"{use.entries:,}", f"{use.instructions:,}", share)
    user = summary.user_instructions
    table.add_row("(outside services)", "", f"{user:,}", _share(user, summary.instructions))
    return table


def _working_set(working_set: WorkingSet, bars: str) -> list[str]:
    lines = [f"Working sets: virtual KiB touched in each {working_set.slice_records:,} records"]
    for name, kib in (
        ("user code", working_set.user_code_kib),
        ("user data", working_set.user_data_kib),
        ("kernel", working_set.kernel_kib),
    ):
        if kib:
            lines.append(f"{name:<10}{_picture(kib, bars)}  {min(kib):,} to {max(kib):,} KiB")
    return lines


def _picture(values: list[int], bars: str) -> str:
    """One character a value: a blank for 0, the last of ``bars`` for the largest."""
    top = max(values) or 1
    return "".join(bars[-(-value * len(bars) // top) - 1] if value else " " for value in values)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
