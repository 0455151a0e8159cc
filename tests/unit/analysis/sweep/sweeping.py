"""Sweeps for tests: over small traces, by workers inside this process or real ones, watched by a note-taker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import polars as pl

from discotrace.analysis.sweep.folder import SweepFolder
from discotrace.analysis.sweep.plan import Plan, planned
from discotrace.analysis.sweep.spec import spec_of
from discotrace.analysis.sweep.sweep import Summary, sweep
from discotrace.analysis.sweep.workers import Done, Failed, News, Rows, Task, Workers
from tests.cli.running import sample_trace

COMMAND = "discotrace sweep ..."


class Inline:
    """One worker, which works in this process as soon as it has a task."""

    def __init__(self) -> None:
        self._news: list[News] = []
        self.tasks: list[Task] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def count(self) -> int:
        return 1

    @property
    def room(self) -> int:
        return 0 if self._news else 1

    def shares(self, folder: Path) -> bool:
        return True

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self._news = self.carry_out(task)

    def news(self, seconds: float) -> list[News]:
        found, self._news = self._news, []
        return found

    def carry_out(self, task: Task) -> list[News]:
        told: list[News] = []
        try:
            result = task.function(task.argument, lambda rows: told.append(Rows(task, rows)))
        except Exception as fault:
            return [*told, Failed(task, fault)]
        return [*told, Done(task, result)]


class Notes:
    """A watcher that adds up what it is told."""

    def __init__(self) -> None:
        self.counted: dict[str, int] = {"rows": 0, "replays": 0, "points": 0}
        self.troubles: list[str] = []

    def rows(self, count: int) -> None:
        self.counted["rows"] += count

    def replays(self, count: int) -> None:
        self.counted["replays"] += count

    def there(self, replays: int, rows: int) -> None:
        pass

    def points(self, count: int) -> None:
        self.counted["points"] += count

    def trouble(self, what: str) -> None:
        self.troubles.append(what)

    def compiling(self) -> None:
        pass

    def reading(self) -> None:
        pass


def small_trace(folder: Path, steps: int = 40) -> str:
    """A trace of some hundred rows on two CPUs."""
    return sample_trace(folder / "t.parquet", steps)


def plan_of(trace: str, **tree: Any) -> Plan:
    return planned(spec_of({"traces": [trace]} | tree))


def swept(
    plan: Plan,
    folder: Path,
    workers: Callable[[], Workers] = Inline,
    watcher: Notes | None = None,
    force: bool = False,
) -> Summary:
    return sweep(plan, SweepFolder(folder), folder / "pasts", workers, watcher or Notes(), COMMAND, force)


def results(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(SweepFolder(folder).results)
