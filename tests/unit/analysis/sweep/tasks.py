"""Tasks for tests of workers: functions that a worker process can import."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

Tell = Callable[[int], None]


def double(number: int, tell: Tell) -> int:
    """Twice the number; as many rows."""
    print("noise on standard output")
    tell(number)
    return 2 * number


def refuse(text: str, tell: Tell) -> None:
    """Raise a ValueError."""
    raise ValueError(text)


class UnsendableError(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)


def refuse_strangely(number: int, tell: Tell) -> None:
    """Raise it."""
    raise UnsendableError(number, 1)


def die(signal_number: int, tell: Tell) -> None:
    """End the worker."""
    tell(5)
    time.sleep(0.2)
    os.kill(os.getpid(), signal_number)
    signal.pause()


def leave(code: int, tell: Tell) -> None:
    """End the worker with an exit code."""
    os._exit(code)


def note_and_sleep(path: str, tell: Tell) -> None:
    """Write the number of the worker's process down, then be busy for long."""
    Path(path).write_text(f"{os.getpid()}")
    time.sleep(600)


def process(argument: None, tell: Tell) -> int:
    """The number of the worker's process."""
    time.sleep(0.2)
    return os.getpid()


def slow(steps: int, tell: Tell) -> None:
    """So many rows, a second each."""
    for _ in range(steps):
        time.sleep(1)
        tell(1)


def die_slowly(argument: None, tell: Tell) -> None:
    """End the worker when whoever watches over it knows that it has started."""
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(mark: str, tell: Tell) -> str:
    """End the worker if the file is not there yet; it is from then on."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"
