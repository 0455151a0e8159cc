"""The placements of the native OS: which node a new frame comes from (``docs/model.md`` section 2)."""

from collections.abc import Callable

Placement = Callable[[int, int, int], int]
"""(number of the frame among all that were ever placed, from 0; node of the CPU; nodes of the machine) -> node."""

GOLDEN_GAMMA = 0x9E3779B97F4A7C15  # SplitMix64's step: 2^64 / golden ratio, odd
WORD = (1 << 64) - 1


def round_robin(allocated: int, cpu_node: int, nodes: int) -> int:
    """IRIX in the paper's experiments: pages are dealt out to the nodes in turn (D 5.1)."""
    return allocated % nodes


def first_touch(allocated: int, cpu_node: int, nodes: int) -> int:
    """Local to the CPU that touches the page first, Disco's initial placement (D 4.2.2)."""
    return cpu_node


def random(allocated: int, cpu_node: int, nodes: int) -> int:
    """Any node, the same in every replay: the ``allocated``-th number of SplitMix64 with seed 0."""
    return splitmix64(allocated) % nodes


def splitmix64(k: int) -> int:
    """The k-th (from 0) 64-bit number of the generator SplitMix64 with seed 0."""
    z = (k + 1) * GOLDEN_GAMMA & WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB & WORD
    return z ^ z >> 31


PLACEMENTS: dict[str, Placement] = {"round-robin": round_robin, "first-touch": first_touch, "random": random}
