"""What ``replay --sample`` does: intervals of a trace instead of all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discotrace.cli.console import out, print_json, progress, remark
from discotrace.cli.folders import pasts_folder
from discotrace.tracegen.errors import ConfigError

if TYPE_CHECKING:
    from discotrace.analysis.configuration import Configuration
    from discotrace.analysis.counts_file import CountsFile
    from discotrace.analysis.sampling.run import Asked


def sampled_counts(
    trace: str, configuration: Configuration, systems: str, asked: Asked, command: str, quiet: bool
) -> CountsFile:
    """Replay intervals of a trace under systems, named with commas between; first read all of it, if need be."""
    from discotrace.analysis.sampling.pasts import Pasts
    from discotrace.analysis.sampling.run import sampled, unwatched
    from discotrace.tracegen.reader import TraceReader

    names = list(dict.fromkeys(name.strip() for name in systems.split(",") if name.strip()))
    pasts = Pasts(pasts_folder())
    with TraceReader(trace) as reader:
        if pasts.missing_rows(reader) and not quiet:
            remark("reading the whole trace, once: later samples of it begin at once ...")
        return sampled(reader, pasts, configuration, names, asked, command, unwatched if quiet else progress)


def print_estimates(counts: CountsFile, json_output: bool) -> None:
    """Price counts of a sample with the configuration that they carry and print the answer."""
    from discotrace.analysis.sampling.report import json_of, table_of
    from discotrace.analysis.sampling.stored import estimates_of, remarks_of

    found = estimates_of(counts)
    if json_output:
        print_json(json_of(counts, found))
        return
    console = out()
    console.print(table_of(counts, found))
    for line in remarks_of(counts, found):
        console.print(line, markup=False, soft_wrap=True)


def check_not_with_sample(**given: object) -> None:
    """Raises ConfigError for an option that is given and a sample cannot have."""
    for option, value in given.items():
        if value:
            raise ConfigError(f"--sample cannot be had with --{option}: replay all of the trace")
