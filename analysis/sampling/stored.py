"""Counts of a sample as a counts file, whose metadata say which intervals of the trace they are of."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from discotrace.analysis.configuration import from_tables
from discotrace.analysis.counts_file import CountsFile
from discotrace.analysis.pricing import Codes
from discotrace.analysis.remarks import remarks
from discotrace.analysis.report import site_of
from discotrace.analysis.sampling.choice import INTERVALS, UNIT_WINDOWS, Choice
from discotrace.analysis.sampling.estimate import Estimate, Layer, estimates, layers
from discotrace.analysis.sampling.pasts import moves_pages
from discotrace.tracegen.errors import ConfigError

SAMPLE = "sample"
ENTRIES = ("intervals", "interval_windows", "first_windows", "trace_windows", "seed", "design_effect", "disks")


def about_sample(choice: Choice, disks: Mapping[str, Codes]) -> dict[str, Any]:
    """What prices must know of a sample beside counts; ``disks`` [disks, disk events] as asked by the whole trace."""
    return {
        SAMPLE: {
            "intervals": len(choice.firsts),
            "interval_windows": UNIT_WINDOWS,
            "first_windows": list(choice.firsts),
            "trace_windows": choice.windows,
            "seed": choice.seed,
            "design_effect": choice.design_effect,
            "disks": {system: asked.tolist() for system, asked in disks.items()},
        }
    }


def is_sample(counts: CountsFile) -> bool:
    """Whether these are counts of intervals and not of a whole trace. Raises ConfigError for another version's."""
    if SAMPLE not in counts.about:
        return False
    if missing := [key for key in ENTRIES if key not in counts.about[SAMPLE]]:
        raise ConfigError(
            f"the counts are those of a sample without {', '.join(missing)}, of another version: sample again"
        )
    return True


def layers_of(counts: CountsFile, system: str) -> list[Layer]:
    """See ``estimate.layers``."""
    return layers(system, counts.of_system(system), _choice(counts), site_of(counts), _disks(counts, system))


def estimates_of(counts: CountsFile) -> list[Estimate]:
    """Estimates of each system, priced with the configuration that the counts carry."""
    systems, prices = counts.about["systems"], from_tables(counts.about["configuration"]).prices
    tables = {system: counts.of_system(system) for system in systems}
    disks = {system: _disks(counts, system) for system in systems}
    return estimates(tables, _choice(counts), site_of(counts), prices, disks)


def remarks_of(counts: CountsFile, found: list[Estimate]) -> list[str]:
    """What a reader of the estimates must know beside them: as of a replay, and what moved before an interval."""
    lines = remarks(counts.about, [one.outcome for one in found])
    intervals = counts.about[SAMPLE]["intervals"]
    if intervals < INTERVALS:
        lines.append(
            f"{intervals} intervals are few: what ± says may be too narrow; {INTERVALS} were tried (docs/scaling.md)"
        )
    if counts.about[SAMPLE]["design_effect"] > 1:
        lines.append(
            "the trace repeats itself in step with the intervals: what ± says may be too narrow; give another number "
            "of intervals"
        )
    machine = from_tables(counts.about["configuration"]).machine
    if any(moves_pages(system, machine) for system in counts.about["systems"]):
        lines.append(
            f"an interval begins with pages where policy {machine.placement.policy} has moved them by the misses of "
            "the trail alone, and without copies of them (docs/scaling.md)"
        )
    return lines


def _choice(counts: CountsFile) -> Choice:
    of = counts.about[SAMPLE]
    return Choice(tuple(of["first_windows"]), of["trace_windows"], of["seed"], of["design_effect"])


def _disks(counts: CountsFile, system: str) -> Codes:
    return np.array(counts.about[SAMPLE]["disks"][system], np.int64)
