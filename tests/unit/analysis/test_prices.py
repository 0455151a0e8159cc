"""Prices from tables."""

from typing import Any

import pytest

from discotrace.analysis.configuration import load, split
from discotrace.analysis.prices import Prices
from discotrace.tracegen.errors import ConfigError


def tables(**changes: Any) -> dict[str, dict[str, Any]]:
    """The prices of the flash preset; ``table__key=value`` changes one."""
    _, prices = split(load("flash").to_tables())
    for name, value in changes.items():
        table, key = name.split("__")
        prices[table][key] = value
    return prices


def test_tables_come_back_as_they_went_in() -> None:
    assert Prices.from_tables(tables()).to_tables() == tables()


def test_a_whole_number_is_a_price_too() -> None:
    local_ns = Prices.from_tables(tables(memory__local_ns=300)).memory.local_ns
    assert (local_ns, type(local_ns)) == (300.0, float)


def test_zero_is_a_price() -> None:
    assert Prices.from_tables(tables(memory__local_ns=0)).memory.local_ns == 0


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "300", True, None, [300]])
def test_anything_but_a_number_from_zero_on_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"memory.local_ns is .*, expected a number, zero or more"):
        Prices.from_tables(tables(memory__local_ns=value))


def test_none_may_be_missing() -> None:
    incomplete = tables()
    del incomplete["l2"]
    with pytest.raises(ConfigError, match=r"l2.hit_ns is missing"):
        Prices.from_tables(incomplete)


def test_none_may_be_unknown() -> None:
    with pytest.raises(ConfigError, match=r"unknown price memory.far_ns"):
        Prices.from_tables(tables(memory__far_ns=1))


@pytest.mark.parametrize(("clock_mhz", "ns"), [(400, 2.5), (1000, 1), (2800, 1 / 2.8)])
def test_a_cycle_takes_as_long_as_the_clock_says(clock_mhz: float, ns: float) -> None:
    assert Prices.from_tables(tables(cpu__clock_mhz=clock_mhz)).cycle_ns == pytest.approx(ns)


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cpu.clock_mhz is 0"):
        Prices.from_tables(tables(cpu__clock_mhz=0))
