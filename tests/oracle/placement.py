"""Which node a new frame comes from: section 2 of ``docs/model.md``."""

MASK = (1 << 64) - 1


def wanted_node(policy: str, nodes: int, k: int, own_node: int) -> int:
    """The node for the k-th frame that is placed; ``disco`` and ``origin`` place as first-touch."""
    if policy == "round-robin":
        return k % nodes
    if policy == "random":
        return split_mix(k) % nodes
    return own_node


def split_mix(k: int) -> int:
    """The k-th number of SplitMix64 from seed 0."""
    z = (k + 1) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def nearest_first(nodes: int, wanted: int) -> list[int]:
    """All nodes in the order in which a full one passes on: the nearest, of two the lower."""
    return sorted(range(nodes), key=lambda node: (abs(node - wanted), node))


class Pools:
    """The free frames of each node."""

    def __init__(self, nodes: int, frames_per_node: int):
        """All frames are fresh."""
        self.frames_per_node = frames_per_node
        self.freed: list[list[int]] = [[] for _ in range(nodes)]
        self.fresh = [0] * nodes
        self.reclaimed: list[list[int]] = [[] for _ in range(nodes)]  # from virtual machines that died

    def take(self, node: int) -> int | None:
        """The index of a free frame of this node, None if it is full."""
        if self.freed[node]:
            return self.freed[node].pop()
        if self.fresh[node] < self.frames_per_node:
            self.fresh[node] += 1
            return self.fresh[node] - 1
        if self.reclaimed[node]:
            return self.reclaimed[node].pop()
        return None
