"""The counts of the sample trace are those that were written down."""

import json
from typing import Any

import pytest

from tests.golden.regenerate import GOLDEN, TRACE, counted

HINT = "if this is meant to change: python tests/golden/regenerate.py"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    assert TRACE.is_file(), f"{TRACE} is missing: it belongs to the source"
    return counted()


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    assert GOLDEN.is_file(), f"{GOLDEN} is missing: {HINT}"
    tree: dict[str, Any] = json.loads(GOLDEN.read_text())
    return tree


def test_the_trace_is_the_one_that_was_counted(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["trace"] == expected["trace"], HINT


@pytest.mark.parametrize("system", ["native", "disco", "splashos"])
def test_totals_are_those_that_were_written_down(system: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    different = {
        event: (number, expected["totals"][system].get(event))
        for event, number in found["totals"][system].items()
        if number != expected["totals"][system].get(event)
    }
    assert not different, f"(found, written down): {HINT}"
    assert found["totals"][system].keys() == expected["totals"][system].keys()
