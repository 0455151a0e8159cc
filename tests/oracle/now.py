"""Who acts at the moment, and the counts that are made for it: section 15 of ``docs/model.md``."""

from collections.abc import Iterator
from contextlib import contextmanager


class Now:
    """The row that acts, its CPU, virtual machine and context; every part of the machine counts through this."""

    def __init__(self, window: int):
        """``window`` in instructions."""
        self.window = window
        self.row = 0
        self.stream = 0  # virtual CPU of the trace
        self.vm = 0
        self.cpu = 0
        self.context = "user"
        self.instructions = 0  # the T of section 15
        self.counts: dict[tuple[int, int, int, str, str], int] = {}

    def count(self, event: str, number: int = 1) -> None:
        """Adds to the event of this name, for the row's window, CPU and VM, in the current context."""
        if number:
            key = (self.instructions // self.window, self.cpu, self.vm, self.context, event)
            self.counts[key] = self.counts.get(key, 0) + number

    @contextmanager
    def without_counting(self) -> Iterator[None]:
        """Nothing inside is counted."""
        before, self.counts = self.counts, {}
        yield
        self.counts = before

    @contextmanager
    def in_context(self, context: str) -> Iterator[None]:
        """Everything inside is counted in another context."""
        before, self.context = self.context, context
        yield
        self.context = before
