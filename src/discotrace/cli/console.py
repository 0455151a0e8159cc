"""How verbs talk to the terminal: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_WITHOUT_TERMINAL = 120  # rich would assume 80 for a pipe and cut tables there


def out() -> Console:
    """The console for results. Colours only on a terminal, and not if NO_COLOR is set."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def err() -> Console:
    """The console for progress and remarks, on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def print_json(tree: Mapping[str, object]) -> None:
    """Writes a result as JSON to standard output."""
    sys.stdout.write(json.dumps(tree, indent=2) + "\n")


def remark(text: str) -> None:
    """Writes a line that helps a person, on standard error and only if that is a terminal."""
    console = err()
    if console.is_terminal:
        console.print(text, markup=False, soft_wrap=True)


def no_progress() -> AbstractContextManager[Callable[[int], None]]:
    """What ``progress`` is to those who want none."""
    return nullcontext(lambda count: None)


@contextmanager
def progress(total: int, description: str, unit: str) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error; gives the function that moves it on by n units.

    Nothing is shown when standard error is not a terminal, and the bar is gone when the block ends.
    """
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task(description, total=total, unit=unit)

        def advance(count: int) -> None:
            bar.advance(task, count)

        yield advance
