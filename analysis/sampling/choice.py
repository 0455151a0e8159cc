"""Which intervals of a trace are replayed: systematic sampling.

After Wunderlich, Wenisch, Falsafi and Hoe, "SMARTS: accelerating microarchitecture simulation via rigorous statistical
sampling" (ISCA 2003): many small units at equal distances, the first at random. Units here are longer and fewer, since
to begin one costs more than to go on; and caches are not warmed by all rows between them but by the last part of the
trace's trail (``tracegen.trail``).
"""

import random
from dataclasses import dataclass

from discotrace.tracegen.errors import ConfigError

INTERVALS = 25
UNIT_WINDOWS = 4  # windows of an interval
FEWEST = 5  # intervals: of less no spread is known


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


def chosen(instructions: int, window: int, intervals: int, seed: int) -> Choice:
    """Choose intervals of a trace of so many instructions. Raises ConfigError where it has too few windows."""
    if intervals < FEWEST:
        raise ConfigError(f"{intervals} intervals are too few to tell how far they differ: sample at least {FEWEST}")
    units = instructions // window // UNIT_WINDOWS
    if units < intervals:
        raise ConfigError(
            f"the trace has {instructions // window} windows of {window} instructions, too few for {intervals} "
            f"intervals of {UNIT_WINDOWS}: replay all of it, or give a shorter --window"
        )
    begin = random.Random(seed).random()
    firsts = tuple(int((begin + number) * units / intervals) * UNIT_WINDOWS for number in range(intervals))
    return Choice(firsts, instructions / window, seed)
