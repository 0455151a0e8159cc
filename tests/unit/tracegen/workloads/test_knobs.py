"""Knobs: what a workload's source says of them, and values from text."""

from pathlib import Path

import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.workloads.knobs import Knob, checked_knobs, knobs_of, make, parse_knobs
from discotrace.tracegen.workloads.registry import find_workload
from discotrace.tracegen.workloads.workload import Workload
from tests.unit.tracegen.workloads.toy import toy_file


@pytest.fixture
def toy(tmp_path: Path) -> type[Workload]:
    return find_workload(toy_file(tmp_path)).kind


def test_knobs__are_the_fields_that_not_all_workloads_have(toy: type[Workload]) -> None:
    assert list(knobs_of(toy).values()) == [
        Knob("pages", int, 64, "How many pages there are."),
        Knob("rounds", int, 20, "how often each is stored to"),
        Knob("work", float, 50.0, "instructions per store"),
        Knob("mark", str, "x", ""),
        Knob("loud", bool, False, ""),
    ]


def test_values__have_the_types_of_the_fields(toy: type[Workload]) -> None:
    given = ["pages=1_000", "work = 2", "mark=a=b", "loud=True", "pages=7"]
    assert parse_knobs(toy, given) == {"pages": 7, "work": 2.0, "mark": "a=b", "loud": True}
    assert checked_knobs(toy, {"pages": 7, "loud": False}, "file") == {"pages": 7, "loud": False}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("pages", "--knob 'pages': expected name=value"),
        ("=3", "--knob '=3': expected name=value"),
        (
            "page=3",
            r"--knob 'page=3': there is no knob page; did you mean pages\? Known: pages, rounds, work, mark, loud",
        ),
        ("zz=3", "--knob 'zz=3': there is no knob zz; known: pages, rounds, work, mark, loud"),
        ("seed=3", "--knob 'seed=3': seed is no knob but an option: --seed"),
        ("pages=1.5", "knob pages is '1.5', expected a whole number"),
        ("pages=", "knob pages is '', expected a whole number"),
        ("work=x", "knob work is 'x', expected a number"),
        ("loud=1", "knob loud is '1', expected true or false"),
    ],
)
def test_values__wrong_ones_are_one_line(toy: type[Workload], given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        parse_knobs(toy, [given])


def test_values__a_type_that_no_text_gives_is_an_error(tmp_path: Path) -> None:
    toy = find_workload(toy_file(tmp_path, "toy.py", ('mark: str = "x"', "mark: tuple = ()"))).kind
    with pytest.raises(ConfigError, match=r"^knob mark cannot be given as text"):
        parse_knobs(toy, ["mark=3"])


@pytest.mark.parametrize(
    ("values", "option"), [({"cpus": -1}, "cpus"), ({"instances": -1}, "instances"), ({"seed": -1}, "seed")]
)
def test_make__refuses_what_no_workload_can_be(toy: type[Workload], values: dict[str, int], option: str) -> None:
    with pytest.raises(ConfigError, match=f"^--{option} is -1, expected"):
        make(toy, values)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_make__scale_is_above_0(toy: type[Workload], scale: float) -> None:
    with pytest.raises(ConfigError, match=r"^--scale is .*, expected a number above 0$"):
        make(toy, {"scale": scale})
