"""Workers that carry out tasks beside each other, here or elsewhere: what a sweep asks of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

PATIENCE = 60.0  # seconds to wait for news; a worker that dies is news too
LIVES = 2  # a task whose workers died so often is given up

Work = Callable[[Any, Callable[[int], None]], Any]  # of an argument; is given by what to tell how many rows are done


@dataclass(frozen=True, eq=False)
class Task:
    """A function of a module and its argument. ``folder``: one that it reads and writes, if any."""

    function: Work
    argument: Any
    folder: Path | None = None


@dataclass(frozen=True)
class Rows:
    """A task has replayed so many more rows."""

    task: Task
    count: int


@dataclass(frozen=True)
class Done:
    """A task is done."""

    task: Task
    result: Any


@dataclass(frozen=True)
class Failed:
    """A task raised an exception."""

    task: Task
    fault: Exception


@dataclass(frozen=True)
class Lost:
    """The worker that had the task is gone, and what it did with it. ``deaths``: so many workers, one after another."""

    task: Task
    why: str
    deaths: int = 1


News = Rows | Done | Failed | Lost


class Workers(Protocol):
    """Some workers; a context manager at whose end they are gone, whatever they are doing."""

    def __enter__(self) -> Self:
        """Have them."""

    def __exit__(self, *_: object) -> None:
        """Let them go."""

    @property
    def count(self) -> int:
        """How many work at the same time."""

    @property
    def room(self) -> int:
        """How many more tasks they can do with now."""

    def shares(self, folder: Path) -> bool:
        """Whether tasks may write into a folder of this computer; otherwise all that they make is in their results."""

    def submit(self, task: Task) -> None:
        """Have a task carried out: where its folder is, if it has one."""

    def news(self, seconds: float) -> list[News]:
        """What has happened since the last call; waits for something to happen, but no longer than that."""
