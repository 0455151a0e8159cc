"""What prices are fitted to; above all that no predicted value gets in."""

import ast
import re
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

import pytest

from discotrace.analysis import published
from discotrace.analysis.fit_experiments import experiments_of
from discotrace.analysis.fit_targets import steps
from tests.test_architecture import MODULES, imports

RESULTS = (resources.files("discotrace.analysis") / "disco-sosp97.toml").read_text("utf-8")
FITTING = [name for name in MODULES if name.rpartition(".")[2].startswith("fit")] + [
    "discotrace.cli.calibrate_prices",
    "discotrace.analysis.repricing",
]
READS_ALL = "discotrace.analysis.paper.results"


def reached_from(name: str) -> set[str]:
    """All modules of ours that a module imports, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in found or module not in MODULES:
            continue
        found.add(module)
        waiting += imports(MODULES[module])
    return found


def aims() -> dict[str, float]:
    return {one.name: one.published for step in steps() for one in step.targets}


def poisoned() -> str:
    """The paper's results with every number of a role other than "calibrate" gone wrong."""
    tables = re.split(r"(?m)^(?=\[)", RESULTS)
    return "".join(
        table if 'role = "calibrate"' in table else re.sub(r"(?<![\w\"])\d+(\.\d+)?", "666", table) for table in tables
    )


def test_no_predicted_value_changes_a_target(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = aims()
    (tmp_path / "disco-sosp97.toml").write_text(poisoned())
    monkeypatch.setattr(published, "resources", SimpleNamespace(files=lambda package: tmp_path))
    published.calibration.cache_clear()
    try:
        assert "666" not in repr(published.calibration())
        assert aims() == expected
    finally:
        published.calibration.cache_clear()


@pytest.mark.parametrize("name", FITTING)
def test_nothing_that_fits_imports_the_reader_of_all_results(name: str) -> None:
    reached = reached_from(name)
    assert name in reached
    assert READS_ALL not in reached


@pytest.mark.parametrize("name", FITTING)
def test_nothing_that_fits_opens_the_results_itself(name: str) -> None:
    texts = [
        node.value for node in ast.walk(ast.parse(Path(MODULES[name]).read_text())) if isinstance(node, ast.Constant)
    ]
    assert not [text for text in texts if isinstance(text, str) and "sosp97" in text]


def test_table_2_gives_seven_services_of_five_parts_each() -> None:
    monitor = steps()[0]
    assert len(monitor.targets) == 7 * 5
    named = {one.name: one for one in monitor.targets}
    assert named["utlb_miss tlb_write"].published == 1.22
    assert named["utlb_miss tlb_write"].weight == pytest.approx(0.07**2)


def test_a_part_is_held_against_the_printed_time_not_against_ours() -> None:
    target = next(one for one in steps()[0].targets if one.name == "demand_zero privileged")
    figures = {
        ("table2", "pmake", "demand_zero", "privileged"): 50.0,
        ("table2", "pmake", "demand_zero", "irix_us"): 7.0,
    }
    assert target.ours(figures) == pytest.approx(3.5 / 21)


def test_shares_of_busy_time_leave_idle_out() -> None:
    locks = steps()[-1].targets[0]
    assert locks.published == pytest.approx(100 * 22.7 / 84.9)
    assert locks.ours({("figure7", "pmake", "irix", "sync"): 20.0, ("figure7", "pmake", "irix", "idle"): 50.0}) == 40


def test_every_step_finds_its_bars_in_the_experiments() -> None:
    experiments = {one.trace.name: one for one in experiments_of(steps())}
    assert set(experiments) == {"pmake-1", "pmake-8", "engineering-8", "raytrace-16"}
    assert experiments["pmake-1"].figures == ("table2", "figure5")
    for step in steps():
        for trace, labels in step.bars.items():
            assert set(labels) <= {bar.label for bar in experiments[trace].bars}
    assert [bar.label for bar in experiments["pmake-8"].bars] == ["irix"]
