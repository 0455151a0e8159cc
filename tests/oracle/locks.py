"""The kernel locks that each virtual CPU holds: sections 8 and 15 of ``docs/model.md``."""

from discotrace.tracegen.schema import Kind

OTHERS = 7
MOST_HELD = 16


def class_of(lock: int) -> int:
    """What counts are kept by: 1 to 6 for the locks of these numbers, 7 for all others."""
    return lock if lock in range(1, OTHERS) else OTHERS


class Locks:
    """The locks taken and not released by each virtual CPU of the trace, the last one taken at the end."""

    def __init__(self, streams: int):
        """Nobody holds a lock."""
        self.held: list[list[int]] = [[] for _ in range(streams)]

    def follow(self, stream: int, kind: int, lock: int) -> None:
        """Keeps the stack at LOCK and UNLOCK, whatever else becomes of the row.

        Raises ValueError for a lock that is not held, or one too many.
        """
        held = self.held[stream]
        if kind == Kind.LOCK:
            if len(held) == MOST_HELD:
                raise ValueError(f"virtual CPU {stream} takes lock {lock} and holds {MOST_HELD} others")
            held.append(lock)
        elif kind == Kind.UNLOCK:
            if lock not in held:
                raise ValueError(f"virtual CPU {stream} does not hold lock {lock}")
            del held[max(place for place, other in enumerate(held) if other == lock)]

    def innermost(self, stream: int) -> int:
        """What is counted now is kept by this: 0 = no lock is held."""
        return class_of(self.held[stream][-1]) if self.held[stream] else 0
