"""The counters of each frame by CPU: sections 6, 7 and 9 of ``docs/model.md``."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.oracle.memory import Frame, Layout

MOST_HOT_IN_A_ROW = 32
MOVING_POLICIES = ("disco", "origin")


class FrameCounters:
    """Misses (for ever), heat, writes and moves of every frame, and the frames that the present row made hot."""

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], layout: Layout):
        """All zero. No page is ever hot natively, or where the policy never moves one."""
        moves_pages = layout.system != "native" and tables["placement"]["policy"] in MOVING_POLICIES
        self.trigger: int = tables["migration"]["trigger"] if moves_pages else 0
        self.layout = layout
        self.misses: dict[Frame, dict[int, int]] = {}
        self.heat: dict[Frame, Counter[int]] = {}
        self.writes: dict[Frame, Counter[int]] = {}
        self.moves: Counter[Frame] = Counter()
        self.hot: list[tuple[Frame, int]] = []

    def missed(self, frame: Frame, cpu: int, kind: str) -> None:
        """An L2 miss of ``kind`` fetch, load or store."""
        by_cpu = self.misses.setdefault(frame, {})
        by_cpu[cpu] = by_cpu.get(cpu, 0) + 1
        if kind == "store":
            self.written(frame, cpu)
        heat = self.heat.setdefault(frame, Counter())
        heat[cpu] += 1
        is_remote = self.layout.node_of(cpu) != frame.node
        if self.trigger and is_remote and heat[cpu] == self.trigger and len(self.hot) < MOST_HOT_IN_A_ROW:
            self.hot.append((frame, cpu))

    def written(self, frame: Frame, cpu: int) -> None:
        """A store that missed, or an upgrade."""
        self.writes.setdefault(frame, Counter())[cpu] += 1

    def cool(self, frame: Frame) -> None:
        """Heat and writes of a frame are zero again."""
        self.heat.pop(frame, None)
        self.writes.pop(frame, None)

    def forget(self, frame: Frame) -> None:
        """A frame that is freed keeps its misses alone."""
        self.cool(frame)
        self.moves.pop(frame, None)

    def reset(self) -> None:
        """Heat, writes and moves of all frames are zero again."""
        self.heat.clear()
        self.writes.clear()
        self.moves.clear()
