"""How far ``discotrace paper`` is: a line for each trace, on standard error and only if that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from discotrace.cli.console import err

if TYPE_CHECKING:
    from rich.progress import Progress

    from discotrace.analysis.paper.experiments import Experiment, TraceSpec


class Silent:
    """Shows nothing."""

    def generating(self, spec: TraceSpec) -> None:
        """Nothing to see."""

    @contextmanager
    def replaying(self, spec: TraceSpec, rows: int) -> Iterator[Callable[[int], None]]:
        """Nothing to see."""
        yield lambda count: None

    def done(self, spec: TraceSpec) -> None:
        """Nothing to see."""

    def pricing(self) -> None:
        """Nothing to see."""


class Lines(Silent):
    """A line for each trace: what is being done with it, and a bar."""

    def __init__(self, experiments: list[Experiment], bars: Progress) -> None:
        self._bars = bars
        self._tasks = {one.trace.name: bars.add_task(one.trace.name, total=1, what="") for one in experiments}

    def generating(self, spec: TraceSpec) -> None:
        """The length of a trace is not known before: the bar goes to and fro."""
        self._bars.update(self._tasks[spec.name], total=None, what="generating")

    @contextmanager
    def replaying(self, spec: TraceSpec, rows: int) -> Iterator[Callable[[int], None]]:
        """The bar is over rows."""
        task = self._tasks[spec.name]
        self._bars.update(task, total=rows, completed=0, what=f"replaying {rows / 1e6:,.0f} M rows")
        yield lambda count: self._bars.advance(task, count)

    def done(self, spec: TraceSpec) -> None:
        """The bar is full."""
        self._bars.update(self._tasks[spec.name], total=1, completed=1, what="done")

    def pricing(self) -> None:
        """What was there before is done too."""
        for task in self._tasks.values():
            self._bars.update(task, total=1, completed=1, what="done")


@contextmanager
def watching(experiments: list[Experiment], quiet: bool) -> Iterator[Silent]:
    """Shows the lines while the block runs; they are gone when it ends."""
    console = err()
    if quiet or not console.is_terminal:
        yield Silent()
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from discotrace.replay.kernels.compile import compiled_before

    if not compiled_before():
        console.print("the first run compiles programs and replay, which takes a minute or two ...", markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[what]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield Lines(experiments, bars)
