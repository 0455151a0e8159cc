"""The option ``--crash`` as a row of the trace."""

import pytest

from discotrace.cli.crash import crash_point
from discotrace.replay.crash import Crash
from tests.machines import machine


@pytest.mark.parametrize(
    ("text", "rows", "crash"),
    [
        ("vm=2,at=50%", 1001, Crash(2, 500)),
        ("vm=0,at=0%", 1001, Crash(0, 0)),
        ("vm=3,at=100%", 1001, Crash(3, 1001)),
        ("vm=1,at=33.3%", 1000, Crash(1, 333)),
        ("vm=1, at=29%", 100, Crash(1, 29)),
    ],
)
def test_percents_of_rows_are_rounded_down(text: str, rows: int, crash: Crash) -> None:
    """Exactly: 29 * 100 // 100 is 29, where 0.29 * 100 as a float is less."""
    assert crash_point(text, machine(vm__count=4)).in_trace(rows) == crash
