"""Miss counts of the caches equal those of pycachesim (J. Hammer), an independent simulator.

What is compared is what both model: LRU caches of two levels that fetch on a miss. Where they differ, this side is set
up so that it does not matter:

- pycachesim has no inclusion and no coherence: one CPU, ``l2.inclusive = false``;
- it has one address space: references lie in KSEG0, which is not translated, so there are no loads of page tables; and
  all in one page of 4 MiB, the first frame of the machine, so that an index by machine address is one by offset;
- its stores that hit do not make the line the most recent (``Cache__store`` of its backend.c), ours do, as hardware
  does: only loads and fetches are compared;
- it splits a reference that crosses lines and counts a miss for each line, as here.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

import pytest
from cachesim import Cache, CacheSimulator, MainMemory

from discotrace.replay.machine import Machine
from discotrace.tracegen.schema import KSEG0_START, Kind, Segment, TraceMeta, rows_from_records
from tests.machines import machine
from tests.property.engine import as_dict, replay

PAGE_KIB = 4 * 1024
REFERENCES = 10_000

Reference = tuple[Kind, int, int]  # kind, offset in the page, bytes
Make = Callable[[list[Kind], int, int], list[Reference]]


class Geometry(NamedTuple):
    """KiB, ways and line of the first level (both halves) and of the second."""

    l1_kib: int
    l1_ways: int
    l1_line: int
    l2_kib: int
    l2_ways: int
    l2_line: int

    def machine(self) -> Machine:
        """One CPU with these caches."""
        first = {
            f"{cache}__{key}": value
            for cache in ("l1i", "l1d")
            for key, value in (("size_kib", self.l1_kib), ("ways", self.l1_ways), ("line_b", self.l1_line))
        }
        second = {"l2__size_kib": self.l2_kib, "l2__ways": self.l2_ways, "l2__line_b": self.l2_line}
        return machine(cpu__count=1, memory__page_kib=PAGE_KIB, l2__inclusive=False, **first, **second)


GEOMETRIES = [
    Geometry(1, 1, 32, 4, 1, 32),
    Geometry(1, 2, 32, 8, 2, 128),
    Geometry(32, 2, 32, 64, 2, 128),
    Geometry(32, 8, 64, 256, 8, 64),
    Geometry(3, 3, 64, 12, 12, 64),
    Geometry(4, 64, 64, 32, 4, 64),  # the first level is fully associative
]


def random_references(kinds: list[Kind], size: int, spread: int) -> list[Reference]:
    """Anywhere in the first ``spread`` bytes, aligned to their size or not."""
    choose = random.Random(spread + size)
    return [(choose.choice(kinds), choose.randrange(spread), size) for _ in range(REFERENCES)]


def looping_references(kinds: list[Kind], size: int, spread: int) -> list[Reference]:
    """Round and round, in steps of ``size``: the worst case of LRU as soon as the loop is longer than the cache."""
    steps = spread // size
    return [(kinds[step % len(kinds)], step % steps * size, size) for step in range(REFERENCES)]


def hot_references(kinds: list[Kind], size: int, spread: int) -> list[Reference]:
    """Most of them few lines, some of them anywhere: recency decides what stays."""
    choose = random.Random(spread)
    return [
        (choose.choice(kinds), choose.randrange(spread if choose.random() < 0.3 else spread // 32), size)
        for _ in range(REFERENCES)
    ]


def misses_of_pycachesim(geometry: Geometry, references: list[Reference]) -> dict[str, int]:
    """Misses of L1I, L1D and L2."""
    memory = MainMemory()
    l2_sets = geometry.l2_kib * 1024 // (geometry.l2_ways * geometry.l2_line)
    l1_sets = geometry.l1_kib * 1024 // (geometry.l1_ways * geometry.l1_line)
    l2 = Cache("L2", l2_sets, geometry.l2_ways, geometry.l2_line, "LRU")
    memory.load_to(l2)
    memory.store_from(l2)
    first = {
        name: Cache(name, l1_sets, geometry.l1_ways, geometry.l1_line, "LRU", load_from=l2, store_to=l2)
        for name in ("L1I", "L1D")
    }
    simulators = {name: CacheSimulator(cache, memory) for name, cache in first.items()}
    for kind, offset, size in references:
        simulators["L1I" if kind == Kind.FETCH else "L1D"].load(offset, size)
    return {name: cache.stats()["MISS_count"] for name, cache in (*first.items(), ("L2", l2))}


def misses_of_discotrace(geometry: Geometry, references: list[Reference]) -> dict[str, int]:
    """The same, from the compiled engine."""
    meta = TraceMeta(1, [], [Segment(0, KSEG0_START, KSEG0_START + PAGE_KIB * 1024, "anonymous")])
    records = [
        (0, 0, kind, KSEG0_START + offset, size, 1 if kind == Kind.FETCH else 0) for kind, offset, size in references
    ]
    totals: dict[str, int] = {}
    run = replay(meta, rows_from_records(records), geometry.machine(), "native", 1 << 40)
    for key, number in as_dict(run.finish()).items():
        totals[key.event] = totals.get(key.event, 0) + number
    return {
        "L1I": totals.get("l1i_misses", 0),
        "L1D": totals.get("l1d_load_misses", 0),
        "L2": totals.get("l2_fetch_local", 0) + totals.get("l2_load_local", 0),
    }


@pytest.mark.parametrize(
    "kinds", [[Kind.LOAD], [Kind.FETCH], [Kind.FETCH, Kind.LOAD]], ids=["loads", "fetches", "both"]
)
@pytest.mark.parametrize("make", [random_references, looping_references, hot_references])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_misses_are_those_of_pycachesim(geometry: Geometry, make: Make, kinds: list[Kind]) -> None:
    """Footprints from half of the first level to four times the second; 4 bytes, then 40 that cross lines."""
    for size, spread in ((4, geometry.l1_kib * 512), (4, geometry.l2_kib * 4096), (40, geometry.l2_kib * 1100)):
        references = make(kinds, size, spread)
        assert misses_of_discotrace(geometry, references) == misses_of_pycachesim(geometry, references)
