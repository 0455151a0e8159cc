"""What a miss curve is asked of: which structure, how it is divided into sets, whether a sample is enough."""

from dataclasses import dataclass

from discotrace.replay.machine import is_power_of_two
from discotrace.tracegen.errors import ConfigError

TLB, L1, L1I, L1D, L2, PAGES = "tlb", "l1", "l1i", "l1d", "l2", "pages"
KINDS = (TLB, L1, L1I, L1D, L2, PAGES)
CACHES = {L1: (L1I, L1D), L1I: (L1I,), L1D: (L1D,), L2: (L2,)}
MAX_SETS = 1 << 20
MAX_WAYS = 4096
DEFAULT_WAYS = 64
ALL_SETS = 0  # instead of a number: every power of two up to the machine's own


@dataclass(frozen=True)
class Question:
    """``what``: one of KINDS. ``sets`` of a cache: None = the machine's own, ALL_SETS. ``ways``: to be told at most.

    ``sample``: share of the names to look at, None = all; ``seed`` chooses them. Raises ConfigError for what cannot be.
    """

    what: str
    sets: int | None = None
    ways: int | None = None
    sample: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        _require(self.what in KINDS, f"--what is {self.what!r}, expected one of {', '.join(KINDS)}")
        self._check_sets()
        self._check_sample()

    @property
    def has_lists(self) -> bool:
        """Whether it is of sets, of so many ways each, and not of everything that a size may hold."""
        return self.what in CACHES and self.sets != 1

    def _check_sets(self) -> None:
        if self.sets is not None:
            _require(self.what in CACHES, f"--sets is for caches: {self.what} has one set")
            _require(
                self.sets == ALL_SETS or (is_power_of_two(self.sets) and self.sets <= MAX_SETS),
                f"--sets is {self.sets}, expected a power of two up to {MAX_SETS}, or all",
            )
        if self.ways is not None:
            _require(self.has_lists, "--max-ways is for caches of several sets: without, every size is told")
            _require(1 <= self.ways <= MAX_WAYS, f"--max-ways is {self.ways}, expected 1 to {MAX_WAYS}")

    def _check_sample(self) -> None:
        if self.sample is None:
            _require(self.seed is None, "--seed chooses a sample: it needs --sample")
            return
        _require(0 < self.sample < 1, f"--sample is {self.sample}, expected more than 0 and less than 1")
        _require(
            not self.has_lists, f"--sample is for what is fully associative: give {self.what} --sets 1, or no --sample"
        )
        _require(self.seed is None or self.seed >= 0, f"--seed is {self.seed}, expected zero or more")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)
