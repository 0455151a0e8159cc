"""What ``replay --sample`` does: intervals of a trace instead of all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discotrace.cli.console import no_progress, out, print_json, progress, remark
from discotrace.cli.folders import pasts_folder
from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from discotrace.analysis.configuration import Configuration
    from discotrace.analysis.sampling.run import Asked, Sampled


def replay_sampled(
    trace: str, configuration: Configuration, systems: list[str], asked: Asked, quiet: bool, json_output: bool
) -> None:
    """Replay intervals of a trace and print the answer."""
    from discotrace.analysis.sampling.report import json_of, table_of

    found = _sampled(trace, configuration, systems, asked, quiet)
    if json_output:
        print_json(json_of(found))
        return
    console = out()
    console.print(table_of(found))
    for line in found.remarks:
        console.print(line, markup=False, soft_wrap=True)


def _sampled(trace: str, configuration: Configuration, systems: list[str], asked: Asked, quiet: bool) -> Sampled:
    from discotrace.analysis.sampling.pasts import Pasts
    from discotrace.analysis.sampling.run import sampled
    from discotrace.cli.replaying import command
    from discotrace.tracegen.reader import TraceReader

    pasts = Pasts(pasts_folder())
    with TraceReader(trace) as reader:
        missing = pasts.missing_rows(reader)
        if missing:
            if not quiet:
                remark("reading the whole trace, once: later samples of it begin at once ...")
            with no_progress() if quiet else progress(missing, "reading", "rows") as advance:
                pasts.outline(reader, advance)
        return sampled(reader, pasts, configuration, systems, asked, command())


def checked(systems: str, output: str | None, crash: str | None, services: bool) -> list[str]:
    """The systems that are asked for. Raises ConfigError for what a sample cannot give."""
    for option, given in (("--output", output), ("--crash", crash), ("--services", services)):
        if given:
            raise ConfigError(f"--sample cannot be had with {option}: replay all of the trace")
    return list(dict.fromkeys(name.strip() for name in systems.split(",") if name.strip()))
