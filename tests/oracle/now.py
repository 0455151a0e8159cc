"""Who acts at the moment, and the counts that are made for it: section 15 of ``docs/model.md``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Key(NamedTuple):
    """What a number of events is kept by; ``at`` is a node or a disk, or 0."""

    window: int
    cpu: int
    vm: int
    lock: int
    context: str
    event: str
    at: int = 0


class Now:
    """The row that acts, its CPU, virtual machine, lock and context; every part of the machine counts through this."""

    def __init__(self, window: int):
        """``window`` in instructions."""
        self.window = window
        self.row = 0
        self.stream = 0  # virtual CPU of the trace
        self.vm = 0
        self.cpu = 0
        self.lock = 0
        self.context = "user"
        self.instructions = 0  # the T of section 15
        self.counts: dict[Key, int] = {}

    def count(self, event: str, number: int = 1) -> None:
        """Adds to the event of this name, for the row's window, CPU and VM, in the current context and lock."""
        self._add(self.lock, self.context, event, 0, number)

    def count_at(self, place: int, event: str, number: int = 1) -> None:
        """Adds to an event of a node or a disk, for the row's window, CPU and VM."""
        self._add(0, "any", event, place, number)

    def _add(self, lock: int, context: str, event: str, at: int, number: int) -> None:
        if number:
            key = Key(self.instructions // self.window, self.cpu, self.vm, lock, context, event, at)
            self.counts[key] = self.counts.get(key, 0) + number

    @contextmanager
    def without_counting(self) -> Iterator[None]:
        """Nothing inside is counted."""
        before, self.counts = self.counts, {}
        yield
        self.counts = before

    @contextmanager
    def under_lock(self, lock: int) -> Iterator[None]:
        """Everything inside is counted under another lock."""
        before, self.lock = self.lock, lock
        yield
        self.lock = before

    @contextmanager
    def in_context(self, context: str) -> Iterator[None]:
        """Everything inside is counted in another context."""
        before, self.context = self.context, context
        yield
        self.context = before
