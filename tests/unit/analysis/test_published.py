"""What fitting code can read of the published results."""

import tomllib
from importlib import resources
from typing import Any

from discotrace.analysis.published import calibration, service_times_us


def test_table2_gives_the_irix_times() -> None:
    assert service_times_us() == {
        "demand_zero": 21,
        "quick_fault": 5,
        "open": 42,
        "utlb_miss": 0.035,
        "write": 12,
        "read": 23,
        "execve": 437,
    }


def test_no_table_of_another_role_is_readable() -> None:
    text = (resources.files("discotrace.analysis") / "disco-sosp97.toml").read_text("utf-8")
    paths = list(_tables_of_other_roles(tomllib.loads(text), ()))
    assert ("figure8", "disco") in paths
    assert ("table2", "derived") in paths
    for path in paths:
        table: Any = calibration()
        for key in path:
            table = table.get(key, {})
        assert not any(not isinstance(value, dict) for value in table.values()), path


def _tables_of_other_roles(table: dict[str, Any], path: tuple[str, ...]) -> Any:
    if "role" in table and table["role"] != "calibrate":
        yield path
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _tables_of_other_roles(value, (*path, key))
