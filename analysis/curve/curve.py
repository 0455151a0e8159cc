"""A miss curve: how many accesses miss at every size."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

CLASSES = 16  # into which the names of a sample are divided, for the bound of its error; a power of two
T_QUANTILE = 2.131  # of Student's t at 0.975 with CLASSES - 1 degrees of freedom (any table of it)


@dataclass(frozen=True)
class Depths:
    """At which depth of its LRU stack accesses found what they accessed.

    ``found`` [depths]: accesses by depth; ``never``: accesses that found nothing at any depth. ``rate``: share of the
    names whose accesses these are; of a depth that they count, the whole has 1 / ``rate`` times as many names (SHARDS:
    Waldspurger, Park, Garthwaite and Ahmad, FAST 2015).
    """

    found: I64
    never: int
    rate: float = 1.0

    def misses_at(self, sizes: I64) -> F64:
        """Misses at each size from 1 on, of all accesses where these are a sample.

        With all accesses known, this is SHARDS-adj: what the sample has too many or too few goes to the hits.
        """
        deeper = np.concatenate([np.cumsum(self.found[::-1])[::-1], [0]])
        misses: F64 = (deeper[np.searchsorted(self._first_hits, sizes, "right")] + self.never) / self.rate
        return misses

    def changes(self) -> I64:
        """Sizes at which there are fewer misses than at the size before, ascending."""
        return np.unique(self._first_hits[self.found > 0])

    @property
    def _first_hits(self) -> I64:
        """The smallest size that hits at each depth."""
        depths = np.arange(len(self.found), dtype=np.int64)
        return depths + 1 if self.rate == 1 else np.floor(depths / self.rate).astype(np.int64) + 1


@dataclass(frozen=True)
class Scale:
    """What the sizes of a structure are. ``sets`` 1: it is fully associative.

    A size is so many ``unit``; one of them is ``unit_bytes`` of memory. ``configured``: the size that the machine has,
    None if that is no whole number of units.
    """

    name: str
    sets: int
    unit: str
    unit_bytes: int
    configured: int | None

    def size_kib(self, sizes: I64) -> F64:
        """How much memory each size is, or reaches."""
        kib: F64 = sizes.astype(np.float64) * (self.unit_bytes / 1024)
        return kib


@dataclass(frozen=True)
class Curve:
    """Misses of one structure by its size.

    ``cold``: accesses to what was never accessed before, or was freed since; of a sample an estimate. ``elsewhere``:
    accesses to lines that were in a set of another virtual address. ``largest``: size up to which misses are known;
    None = all. ``classes``: of a sample, the depths from each of its classes alone.
    """

    scale: Scale
    accesses: int
    cold: int
    elsewhere: int
    largest: int | None
    depths: Depths
    classes: list[Depths]

    @property
    def is_sampled(self) -> bool:
        """Whether the misses are estimates."""
        return bool(self.classes)

    @property
    def smallest(self) -> int:
        """The smallest size that is told: of a sample that at which the size of each class is one name."""
        return ceil(1 / self.classes[0].rate) if self.classes else 1

    def break_points(self) -> I64:
        """The smallest size, and all others at which there are fewer misses than at the size before."""
        changes = self.depths.changes()
        kept = (changes > self.smallest) & (changes <= (self.largest or changes.max(initial=0)))
        return np.concatenate([[self.smallest], changes[kept]])

    def misses_at(self, sizes: I64) -> F64:
        """Misses at each size; whole numbers but of a sample, where there are at most as many as accesses."""
        misses: F64 = np.minimum(self.depths.misses_at(sizes), self.accesses)
        return misses

    def ratio_at(self, sizes: I64) -> F64:
        """Misses / accesses at each size; 0 without accesses."""
        return self.misses_at(sizes) / max(self.accesses, 1)

    def bound_at(self, sizes: I64) -> F64:
        """How far off the ratio at each size is at most, with 95 % confidence; 0 but of a sample.

        The classes are samples by themselves. The standard error of their mean is that of the whole sample; and how far
        their mean is from the whole sample's ratio shows what small samples blur, steps above all.
        """
        if not self.classes:
            return np.zeros(len(sizes))
        ratios = np.array([one.misses_at(sizes) for one in self.classes]) / max(self.accesses, 1)
        error = ratios.std(axis=0, ddof=1) / np.sqrt(len(self.classes))
        bound: F64 = T_QUANTILE * error + np.abs(ratios.mean(axis=0) - self.ratio_at(sizes))
        return bound

    def table_sizes(self) -> I64:
        """Sizes for a table: powers of two until there is nothing left to gain, and the configured one."""
        last = self.largest or 2 * int(self.break_points()[-1])
        sizes = [1 << n for n in range(last.bit_length()) if self.smallest <= 1 << n]
        own = self.scale.configured
        if own and self.smallest <= own <= (self.largest or own):
            sizes.append(own)
        return np.unique(np.array(sizes or [self.smallest], np.int64))
