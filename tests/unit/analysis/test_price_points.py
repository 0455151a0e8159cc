"""Many vectors of prices."""

import numpy as np
import pytest

from discotrace.analysis.price_points import NEEDED, PricePoints
from discotrace.analysis.prices import Prices
from discotrace.analysis.pricing import KEYS, unit_ns
from discotrace.tracegen.errors import ConfigError
from tests.unit.analysis.waits import priced

BASE = priced(memory__controller_ns=100, locks__handoff_ns=300, disks__request_ms=0.5)


def test_without_changes_there_is_one_point_with_the_prices_of_the_base() -> None:
    points = PricePoints.of(BASE)
    assert len(points) == 1
    assert points.unit_ns.tolist() == [unit_ns(BASE).tolist()]
    assert (points.controller_ns[0], points.handoff_ns[0], points.request_ms[0]) == (100, 300, 0.5)


@pytest.mark.parametrize("key", [*KEYS, "cpu.clock_mhz", "memory.port_ns", "locks.handoff_ns", "disks.jobs_per_cpu"])
def test_each_point_is_what_its_prices_would_be_by_themselves(key: str) -> None:
    """To the last digit; a clock changes all that is in cycles."""
    values = np.array([0.1, 3.0, 333.0])
    points = PricePoints.of(BASE, {key: values})
    table, name = key.split(".")
    for point, value in enumerate(values.tolist()):
        tables = BASE.to_tables()
        tables[table][name] = value
        alone = PricePoints.of(Prices.from_tables(tables))
        assert points.unit_ns[point].tolist() == alone.unit_ns[0].tolist()
        assert [getattr(points, name)[point] for name in NEEDED] == [getattr(alone, name)[0] for name in NEEDED]


@pytest.mark.parametrize("which", [slice(1, 3), np.array([2, 0]), np.array([True, False, True])])
def test_a_part_has_the_points_that_are_asked_for(which: slice) -> None:
    values = np.array([1.0, 2.0, 3.0])
    part = PricePoints.of(BASE, {"memory.port_ns": values, "l2.hit_ns": values}).part(which)
    assert part.port_ns.tolist() == values[which].tolist()
    assert part.unit_ns[:, KEYS.index("l2.hit_ns")].tolist() == values[which].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory.speed": [1.0]}, "unknown price memory.speed"),
        ({"tlb.entries": [1.0]}, "unknown price tlb.entries"),
        ({"l2.hit_ns": [1.0, -1.0]}, "l2.hit_ns has to be an array of numbers, zero or more"),
        ({"l2.hit_ns": [np.nan]}, "l2.hit_ns has to be"),
        ({"l2.hit_ns": 1.0}, "l2.hit_ns has to be"),
        ({"cpu.clock_mhz": [0.0]}, "cpu.clock_mhz has to be an array of numbers, positive"),
        ({"l2.hit_ns": [1.0, 2.0], "memory.port_ns": [1.0]}, "arrays of 1 and 2 values, expected one length"),
    ],
)
def test_impossible_prices_are_refused(changes: dict[str, list[float]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PricePoints.of(BASE, changes)
