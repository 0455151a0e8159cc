"""Which intervals of a trace are replayed: systematic sampling.

After Wunderlich, Wenisch, Falsafi and Hoe, "SMARTS: accelerating microarchitecture simulation via rigorous statistical
sampling" (ISCA 2003): many small units at equal distances, the first at random. Units here are longer and fewer, since
to begin one costs more than to go on; and caches are not warmed by all rows between them but by the last part of the
trace's trail (``tracegen.trail``).
"""

import random
from dataclasses import dataclass

from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError

INTERVALS = 25
UNIT_WINDOWS = 2  # windows of an interval; docs/scaling.md has what more cost
FEWEST = 5  # intervals: of less no spread is known
PAGE_KIB = 4  # of the trace's format, by which the state of memory is known


@dataclass(frozen=True)
class Sample:
    """How a trace is to be sampled: in so many intervals; ``seed`` decides where the first begins."""

    intervals: int = INTERVALS
    seed: int = 1


@dataclass(frozen=True)
class Choice:
    """Intervals of ``UNIT_WINDOWS`` windows each. ``firsts``: their first windows, ascending; ``windows`` of the trace,
    the last one counted as the part of a window that it is."""

    firsts: tuple[int, ...]
    windows: float
    seed: int

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


def chosen(instructions: int, window: int, sample: Sample) -> Choice:
    """Choose intervals of a trace of so many instructions. Raises ConfigError where it has too few windows."""
    check_sample(sample)
    intervals = sample.intervals
    units = instructions // window // UNIT_WINDOWS
    if units < intervals:
        raise ConfigError(
            f"the trace has {instructions // window} windows of {window} instructions, too few for {intervals} "
            f"intervals of {UNIT_WINDOWS}: replay all of it, or give a shorter --window or fewer intervals"
        )
    begin = random.Random(sample.seed).random()
    firsts = tuple(int((begin + number) * units / intervals) * UNIT_WINDOWS for number in range(intervals))
    return Choice(firsts, instructions / window, sample.seed)
