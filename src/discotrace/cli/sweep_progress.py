"""Progress of a sweep on the terminal: replays and points done, rate, time left, what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from discotrace.cli.console import err

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from discotrace.analysis.sweep.plan import Plan


class Silent:
    """A watcher that shows nothing."""

    def rows(self, count: int) -> None:
        """Nothing to see."""

    def replays(self, count: int) -> None:
        """Nothing to see."""

    def there(self, replays: int, rows: int) -> None:
        """Nothing to see."""

    def points(self, count: int) -> None:
        """Nothing to see."""

    def trouble(self, what: str) -> None:
        """Nothing to see."""

    def compiling(self) -> None:
        """Nothing to see."""

    def reading(self) -> None:
        """Nothing to see."""


class Bars(Silent):
    """Two lines: replays, of which the bar shows the rows, and points."""

    def __init__(self, plan: Plan, bars: Progress) -> None:
        self._bars = bars
        rows = sum(one.trace.rows for one in plan.replays)
        of = {"done": 0, "failed": "", "rate": ""}
        self._replays = bars.add_task("replays", total=rows, of=len(plan.replays), **of)  # type: ignore[arg-type]
        self._points = bars.add_task("points", total=plan.points.height, of=plan.points.height, **of)  # type: ignore[arg-type]
        self._troubles = 0

    def rows(self, count: int) -> None:
        """The bar of replays moves on, or back."""
        self._bars.advance(self._replays, count)
        speed = self._bars.tasks[self._replays].speed
        self._bars.update(self._replays, rate=f"{speed / 1e6:,.1f} M rows/s" if speed else "")

    def replays(self, count: int) -> None:
        """So many more are counted."""
        self._count(self._replays, count)

    def there(self, replays: int, rows: int) -> None:
        """So many need not be made: the bar is about the others."""
        self._count(self._replays, replays)
        self._bars.update(self._replays, total=(self._bars.tasks[self._replays].total or 0) - rows)

    def points(self, count: int) -> None:
        """So many more are priced."""
        self._count(self._points, count)
        self._bars.advance(self._points, count)
        speed = self._bars.tasks[self._points].speed
        self._bars.update(self._points, rate=f"{speed:,.1f} points/s" if speed else "")

    def trouble(self, what: str) -> None:
        """A line above the bars, and their number behind one."""
        self._troubles += 1
        self._bars.console.print(what, markup=False, soft_wrap=True)
        self._bars.update(self._replays, failed=f"{self._troubles} failures")

    def compiling(self) -> None:
        """A line above the bars."""
        self._bars.console.print("compiling the kernels, once on this machine (a minute or two) ...", markup=False)

    def reading(self) -> None:
        """A line above the bars."""
        self._bars.console.print("reading whole traces, unless earlier samples have done so ...", markup=False)

    def _count(self, task: TaskID, count: int) -> None:
        self._bars.update(task, done=self._bars.tasks[task].fields["done"] + count)


@contextmanager
def watching(plan: Plan, quiet: bool) -> Iterator[Silent]:
    """Shows the bars while the block runs, if standard error is a terminal; they are gone when it ends."""
    console = err()
    if quiet or not console.is_terminal:
        yield Silent()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]:,} of {task.fields[of]:,}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        yield Bars(plan, bars)
