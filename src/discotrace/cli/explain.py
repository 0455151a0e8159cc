"""The verb ``explain``: the history of a page, for a person who tunes a placement policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from discotrace.cli.console import out, print_json
from discotrace.cli.options import Changes, Json, MachineName, Nfs, Quiet, Trace, Vms
from discotrace.cli.replaying import configured, provenance, replay_progress
from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from discotrace.analysis.configuration import Configuration
    from discotrace.analysis.page_history import PageHistory

HOT = "hot"


def explain(
    page: Annotated[
        str, typer.Argument(help="7:0x7ff0123000 (of process 7), kernel:0x... or kernel2:0x... (of VM 2), or hot.")
    ],
    trace: Trace,
    machine: MachineName = "flash",
    system: Annotated[str, typer.Option("--system", "-s", help="System: disco or splashos.")] = "disco",
    vms: Vms = None,
    nfs: Nfs = False,
    changes: Changes = None,
    top: Annotated[int, typer.Option(min=1, help="Pages that hot lists.")] = 20,
    json_output: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain what became of a page: who missed on it, when it was moved, copied or collapsed, and why.

    With hot in place of a page: the pages with the most misses. Their first column can be given as PAGE.
    """
    about, pages = _explained(page, trace, system, configured(machine, changes, vms, nfs), top, quiet)
    from discotrace.analysis.page_report import actions_table, head_of, hot_table, pages_json, title

    if json_output:
        print_json(pages_json(about, pages))
        return
    console = out()
    if page == HOT:
        console.print(hot_table(about, pages))
    else:
        for line in (title(about), *head_of(pages[0])):
            console.print(line, markup=False, soft_wrap=True)
        console.print(actions_table(pages[0]))
    for line in about["remarks"]:
        console.print(line, markup=False, soft_wrap=True)


def _explained(
    page: str, trace: str, system: str, configuration: Configuration, top: int, quiet: bool
) -> tuple[dict[str, Any], list[PageHistory]]:
    """How the answer can be made again, and the pages that were asked for."""
    from discotrace.tracegen.reader import BATCH_ROWS, TraceReader

    with TraceReader(trace) as reader:
        with replay_progress(reader, quiet) as advance:
            from discotrace.analysis.fronts import Run
            from discotrace.analysis.page_history import Histories, page_of
            from discotrace.analysis.run import NO_WINDOWS, WITH_MONITOR, replay_runs
            from discotrace.monitor.history import KeptHistory

            if system not in WITH_MONITOR:
                raise ConfigError(f"no history of pages under {system!r}; known: {', '.join(WITH_MONITOR)}")
            page_bytes = configuration.machine.page_bytes
            wanted = None if page == HOT else page_of(page, page_bytes)
            history = KeptHistory()
            runs = [Run(system, system, configuration.machine, history)]
            replayed = replay_runs(reader, runs, NO_WINDOWS, advance, BATCH_ROWS)
        histories = Histories(history.actions, history.missed, reader.meta, page_bytes)
        pages = histories.hottest(top) if wanted is None else [histories.of(wanted)]
        about = provenance(reader, replayed[0].run.machine, configuration) | {"system": system}
    from discotrace.analysis.remarks import history_remarks

    return about | {"remarks": history_remarks(about, history.actions)}, pages
