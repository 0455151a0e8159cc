"""Which intervals of a trace are replayed: systematic sampling.

After Wunderlich, Wenisch, Falsafi and Hoe, "SMARTS: accelerating microarchitecture simulation via rigorous statistical
sampling" (ISCA 2003): many small units at equal distances, the first at random. Units here are longer and fewer, since
to begin one costs more than to go on; and caches are not warmed by all rows between them but by the last part of the
trace's trail (``tracegen.trail``).

Systematic samples of what repeats itself mislead where their distance is in step with it: all intervals are of one
phase then, look alike, and seem surer than they are. Rows and changes of memory of every unit are known from the
outline, so the number of intervals is one at which samples of these vary no more than independent units would: one
with a design effect (Kish, Survey Sampling, 1965) of 1 at most.
"""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.outline import Outline

INTERVALS = 25
UNIT_WINDOWS = 2  # windows of an interval; docs/scaling.md has what more cost
FEWEST = 5  # intervals: of less no spread is known
MORE = 4  # there may be one interval more for so many that are asked for
STARTS = 64  # of samples whose means are compared
PAGE_KIB = 4  # of the trace's format, by which the state of memory is known


@dataclass(frozen=True)
class Sample:
    """How a trace is to be sampled: in so many intervals; ``seed`` decides where the first begins."""

    intervals: int = INTERVALS
    seed: int = 1


@dataclass(frozen=True)
class Choice:
    """Intervals of ``UNIT_WINDOWS`` windows each. ``firsts``: their first windows, ascending; ``windows`` of the trace,
    the last one counted as the part of a window that it is. ``design_effect``: see there."""

    firsts: tuple[int, ...]
    windows: float
    seed: int
    design_effect: float

    @property
    def scale(self) -> float:
        """How many times as long as all intervals the trace is."""
        return self.windows / (len(self.firsts) * UNIT_WINDOWS)

    def interval_windows(self, first: int) -> range:
        """The windows of the interval that begins with one."""
        return range(first, first + UNIT_WINDOWS)


def check_sample(sample: Sample) -> None:
    """Raises ConfigError for too few intervals, and for a seed that is none."""
    if sample.intervals < FEWEST:
        raise ConfigError(
            f"{sample.intervals} intervals are too few to tell how far they differ: sample at least {FEWEST}"
        )
    if sample.seed < 0:
        raise ConfigError(f"the seed of a sample is {sample.seed}, expected 0 or more")


def check_machine(machine: Machine) -> None:
    """Raises ConfigError for a machine that cannot be sampled."""
    if machine.vm.count > 1:
        raise ConfigError("a sample is of one virtual machine: replay all of the trace, or leave out --vms")
    if machine.memory.page_kib != PAGE_KIB:
        raise ConfigError(f"a sample is with pages of {PAGE_KIB} KiB: replay all of the trace for memory.page_kib")


def chosen(outline: Outline, window: int, sample: Sample) -> Choice:
    """Choose intervals of a trace: as many as asked for, or up to a quarter more where fewer would be in step with it.

    Raises ConfigError where it has too few windows.
    """
    check_sample(sample)
    instructions, least = outline.total_instructions, sample.intervals
    units = instructions // window // UNIT_WINDOWS
    if units < least:
        raise ConfigError(
            f"the trace has {instructions // window} windows of {window} instructions, too few for {least} "
            f"intervals of {UNIT_WINDOWS}: replay all of it, or give a shorter --window or fewer intervals"
        )
    known = known_of_units(outline, window * UNIT_WINDOWS, units)
    numbers = range(least, min(units, least + least // MORE) + 1)
    effects = {number: design_effect(known, number) for number in numbers}
    intervals = next((number for number in numbers if effects[number] <= 1), min(numbers, key=lambda one: effects[one]))
    begin = random.Random(sample.seed).random()
    firsts = tuple(int((begin + number) * units / intervals) * UNIT_WINDOWS for number in range(intervals))
    return Choice(firsts, instructions / window, sample.seed, effects[intervals])


def known_of_units(outline: Outline, unit: int, units: int) -> NDArray[np.float64]:
    """Rows of each unit of so many instructions, and those of them that the state of memory depends on, [2, units]."""
    rows = np.array([outline.row_of(mark) for mark in range(len(outline.instructions))])
    kept = np.searchsorted(outline.row, rows)
    ends = np.arange(units + 1) * unit
    return np.diff([np.interp(ends, outline.instructions, before) for before in (rows, kept)])


def design_effect(known: NDArray[np.float64], intervals: int) -> float:
    """Variance of the means of systematic samples of so many of the units, over all starts, as a share of the variance
    of means of as many independent units; the largest of what is known [kinds, units]."""
    starts = (np.arange(STARTS)[:, None] + 0.5) / STARTS
    places = ((starts + np.arange(intervals)) * known.shape[1] / intervals).astype(np.int64)
    varied = known.var(axis=1)
    means = known[:, places].mean(axis=2).var(axis=1)
    return float(np.max(intervals * means / np.where(varied > 0, varied, 1)))
