"""What a workload is calibrated to; above all that no predicted value gets in."""

import ast
import re
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from discotrace.analysis import published
from discotrace.analysis.calibration_targets import MEASURES, measures, parse_targets, published_targets
from discotrace.analysis.outcome import Outcome, ServiceTime
from discotrace.tracegen.errors import ConfigError

ROOT = Path(__file__).parents[3]
FITTING = [
    *(ROOT / "analysis").glob("calibration*.py"),
    ROOT / "src" / "discotrace" / "cli" / "calibrate.py",
    *(ROOT / "tracegen" / "workloads").glob("*.py"),
]
WORKLOADS = ("pmake", "engineering", "raytrace", "database", "radix")
RESULTS = (resources.files("discotrace.analysis") / "disco-sosp97.toml").read_text("utf-8")


def poisoned() -> str:
    """The paper's results with every number of a role other than "calibrate" gone wrong."""
    tables = re.split(r"(?m)^(?=\[)", RESULTS)
    return "".join(
        table if 'role = "calibrate"' in table else re.sub(r"(?<![\w\"])\d+(\.\d+)?", "666", table) for table in tables
    )


def outcome(**changes: Any) -> Outcome:
    """A native outcome of 2 CPUs: 100 ms busy, 60 idle on each."""
    parts = {"user": 40.0, "user_stall": 20.0, "kernel": 10.0, "kernel_stall": 30.0, "idle": 60.0}
    values: dict[str, Any] = {
        "system": "native",
        "cpus": 2,
        "time_ms": 160.0,
        "parts_ms": parts,
        "kernel_percent": 0.0,
        "monitor_percent": 0.0,
        "remote_miss_ratio": 0.0,
        "stalls_ms": {},
        "memory_busy_ratio": 0.0,
        "rates": {},
        "actions_per_second": {},
        "actions_per_second_by_cpu": {},
        "totals": {"tlb_misses": 900, "tlb_invalid": 100},
        "services": [ServiceTime("read", 4, 0.0, 0.0)],
    }
    return Outcome(**values | changes)


def test_measures__are_of_the_busy_time_of_a_cpu() -> None:
    found = measures(outcome())
    assert tuple(found) == ("user_percent", "user_stall_percent", "kernel_percent", *MEASURES[3:])
    assert set(found) == set(MEASURES)
    assert (found["user_percent"], found["user_stall_percent"], found["kernel_percent"]) == (60, 20, 40)
    assert found["tlb_misses_per_second"] == pytest.approx(5000)
    assert found["read_per_second"] == pytest.approx(20)
    assert found["open_per_second"] == 0


def test_measures__of_nothing_are_0() -> None:
    parts = dict.fromkeys(("user", "user_stall", "kernel", "kernel_stall", "idle"), 0.0)
    assert set(measures(outcome(parts_ms=parts)).values()) == {0}


def test_published__shares_leave_idle_out() -> None:
    assert published_targets("database") == {"user_percent": pytest.approx(86.4), "kernel_percent": pytest.approx(13.6)}
    assert published_targets("radix") == {
        "user_percent": pytest.approx(100 * 50.4 / 72.6),
        "user_stall_percent": pytest.approx(100 * 29.6 / 72.6),
        "kernel_percent": pytest.approx(100 * 22.2 / 72.6),
    }


def test_published__rates_of_pmake_come_from_table_2() -> None:
    """A service's share of the kernel's time, over what an entry takes."""
    targets = published_targets("pmake")
    kernel = 18.7 / (49.6 + 18.7)
    assert targets["kernel_percent"] == pytest.approx(100 * kernel)
    assert targets["tlb_misses_per_second"] == pytest.approx(kernel * 0.07 / 0.035e-6)
    assert targets["demand_zero_per_second"] == pytest.approx(kernel * 0.30 / 21e-6)
    assert set(targets) <= set(MEASURES)


def test_published__of_others_there_is_nothing() -> None:
    assert published_targets("toy") == {}


def test_predicted_values_cannot_reach_the_targets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Were all of them others, the targets would be the same: fitting code has a view without them."""
    expected = {name: published_targets(name) for name in WORKLOADS}
    text = poisoned()
    assert text.count("666") > 100
    (tmp_path / "disco-sosp97.toml").write_text(text)
    monkeypatch.setattr(published, "resources", SimpleNamespace(files=lambda package: tmp_path))
    published.calibration.cache_clear()
    try:
        assert "666" not in repr(published.calibration())
        assert {name: published_targets(name) for name in WORKLOADS} == expected
    finally:
        published.calibration.cache_clear()


@pytest.mark.parametrize("path", FITTING, ids=lambda path: path.name)
def test_nothing_that_fits_opens_the_results_itself(path: Path) -> None:
    names = {
        node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant) and node.value
    }
    assert not [name for name in names if isinstance(name, str) and "sosp97" in name]


def test_parse__measures_with_numbers() -> None:
    assert parse_targets(["kernel_percent=13.6", " read_per_second = 1e3"]) == {
        "kernel_percent": 13.6,
        "read_per_second": 1000,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernel_percent", "expected measure=number"),
        ("kernel_percent=x", "expected measure=number"),
        ("kernel=3", "no such measure; known: user_percent, "),
        ("kernel_percent=0", "expected a number above 0"),
        ("kernel_percent=nan", "expected a number above 0"),
    ],
)
def test_parse__others_are_errors(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^--target '{text}': {message}"):
        parse_targets([text])
