"""Points of a sweep."""

from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from discotrace.analysis.configuration import read_tables
from discotrace.analysis.sweep.points import points_of
from discotrace.analysis.sweep.spec import spec_of
from discotrace.tracegen.errors import ConfigError

FLASH = read_tables("flash")


def points(**tree: Any) -> pl.DataFrame:
    return points_of(spec_of({"traces": ["a"], "systems": ["native"]} | tree), FLASH)


def rows(frame: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return frame.select(columns).rows()


@given(st.lists(st.integers(1, 4), max_size=4), st.integers(1, 2), st.integers(1, 3))
def test_a_grid_has_every_combination_once_the_last_axis_fastest(sizes: list[int], traces: int, systems: int) -> None:
    keys = ["tlb.entries", "l2.size_kib", "l1d.size_kib", "memory.remote_ns"][: len(sizes)]
    values = {key: list(range(10, 10 + size)) for key, size in zip(keys, sizes, strict=True)}
    names, chosen = [f"t{n}" for n in range(traces)], ["native", "disco", "splashos"][:systems]
    found = points(traces=names, systems=chosen, set=values)
    varying = [key for key in keys if len(values[key]) > 1]
    expected = list(product(names, *(values[key] for key in varying), chosen))
    assert rows(found, "trace", *varying, "system") == expected
    assert found["point"].to_list() == list(range(len(expected)))
    assert found["pair"].to_list() == [n // systems for n in range(len(expected))]


def test_axes_that_go_together_give_no_combinations() -> None:
    given = {"l1i.size_kib": [16, 32], "l1d.size_kib": [8, 64]}
    found = points(set=given, zip="l1i.size_kib,l1d.size_kib")
    assert rows(found, "l1i.size_kib", "l1d.size_kib") == [(16, 8), (32, 64)]


def test_conditions_leave_points_out_and_keep_pairs_together() -> None:
    given = {"l2.size_kib": [256, 512], "vm.count": [1, 2]}
    found = points(systems=["native", "disco"], set=given, where=["vm.count == 1 or system == 'disco'"])
    assert rows(found, "point", "pair", "system", "vm.count") == [
        (0, 0, "native", 1),
        (1, 0, "disco", 1),
        (2, 1, "disco", 2),
        (3, 2, "native", 1),
        (4, 2, "disco", 1),
        (5, 3, "disco", 2),
    ]


def test_conditions_may_name_keys_that_do_not_vary() -> None:
    found = points(set={"l2.size_kib": [64, 256, 1024]}, where=["l2.size_kib >= 8 * l1d.size_kib", "trace == 'a'"])
    assert found["l2.size_kib"].to_list() == [256, 1024]
    with pytest.raises(ConfigError, match="size_kib is no key"):
        points(where=["l3.size_kib > 1"])


def test_a_latin_hypercube_has_one_point_in_each_stratum() -> None:
    found = points(set={"memory.remote_ns": "300:1800", "tlb.entries": [16, 32, 64, 128]}, lhs=40)
    strata = ((found["memory.remote_ns"].to_numpy() - 300) / 1500 * 40).astype(int)
    assert sorted(strata.tolist()) == list(range(40))
    assert found["tlb.entries"].value_counts()["count"].to_list() == [10] * 4


def test_what_is_drawn_is_drawn_again_by_its_seed() -> None:
    given: dict[str, Any] = {"set": {"memory.remote_ns": "300:1800:log", "tlb.entries": "8:128"}, "random": 50}
    first = points(**given)
    assert first.equals(points(**given))
    assert not first.equals(points(**given, seed=2))
    assert first["memory.remote_ns"].is_between(300, 1800).all()
    assert first["tlb.entries"].dtype == pl.Int64
    assert first["tlb.entries"].is_between(8, 128).all()


def test_independent_points_fill_the_interval_evenly() -> None:
    drawn = points(set={"memory.remote_ns": "0:1000"}, random=4000)["memory.remote_ns"].to_numpy()
    assert np.histogram(drawn, 4, (0, 1000))[0] == pytest.approx(1000, abs=150)


def test_each_drawn_point_is_tried_under_every_system() -> None:
    found = points(systems=["native", "disco"], set={"memory.remote_ns": "300:1800"}, lhs=3)
    assert found["memory.remote_ns"].to_list()[::2] == found["memory.remote_ns"].to_list()[1::2]


def test_lists_are_shown_as_json() -> None:
    assert points(set={"disks.persistent": "[0,1],[]"})["disks.persistent"].to_list() == ["[0, 1]", "[]"]


def test_numbers_of_one_axis_are_of_one_type() -> None:
    assert points(set={"memory.remote_ns": "300,450.5"})["memory.remote_ns"].to_list() == [300.0, 450.5]
    with pytest.raises(ConfigError, match="values of different types"):
        points(set={"placement.policy": "disco,7"})


def test_too_many_points_are_refused_before_they_are_made() -> None:
    axes = {f"memory.{key}_ns": "1:1000:1" for key in ("local", "remote", "dirty_local")}
    with pytest.raises(ConfigError, match=r"1,000,000,000 combinations"):
        points(set=axes)


def test_a_million_points_take_little_memory() -> None:
    found = points(set={"memory.remote_ns": "1:1000:1", "memory.local_ns": "1:1000:1"})
    assert found.height == 1_000_000
    assert found.estimated_size() < 50 << 20
