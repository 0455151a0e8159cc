"""Building the scene's tree: a box around all triangles, split again and again in the middle of its longest side.

Nothing here is traced: the tree is in memory when the trace begins. The items (a triangle's box and number) are
partitioned in place, as quicksort does it; nodes are numbered in the order in which they are made, the left child
right behind its parent.
"""

from typing import NamedTuple

import numpy as np

from discotrace.tracegen.compiled import part
from discotrace.tracegen.workloads.raytrace_kernels import Floats, Ints, Scene, compiled

DEEPEST_SPLIT = 40  # below this items are halved as they stand, which keeps the tree below 60 levels
STACK_ENTRIES = 128  # parts that wait to be split


class Build(NamedTuple):
    """What is still to split.

    ``items``: row = low and high corner of a triangle's box; ``numbers``: its triangle; ``stack``: row = begin, end,
    the parent's node if this is a right child (else -1), level.
    """

    items: Floats
    numbers: Ints
    stack: Ints


def build_tree(scene: Scene, leaf: int) -> int:
    """Make the tree of all triangles, at most ``leaf`` to a leaf: fills ``boxes``, ``links``, ``order``.

    Returns the number of nodes.
    """
    positions = scene.vertices[scene.corners]
    boxes = np.concatenate([positions.min(axis=1), positions.max(axis=1)], axis=1)
    numbers = np.arange(len(positions), dtype=np.int32)
    build = Build(boxes, numbers, np.zeros((STACK_ENTRIES, 4), np.int32))
    return int(make_nodes(build, leaf, scene.boxes, scene.links, scene.order))


@compiled
def make_nodes(build: Build, leaf: int, boxes: Floats, links: Ints, order: Ints) -> int:
    """Splits all items; ``boxes``, ``links``, ``order`` as in ``raytrace_kernels.Scene``. Returns how many nodes."""
    nodes, depth = 0, push(build, 0, 0, len(build.items), -1, 0)
    while depth:
        depth -= 1
        begin, end, parent, level = build.stack[depth]
        node = nodes
        nodes += 1
        if parent >= 0:
            links[parent, 0] = node
        box = boxes[node]
        surround(build, begin, end, box)
        if end - begin <= leaf:
            links[node, 2], links[node, 3] = begin, end - begin
            for place in range(begin, end):
                order[place] = build.numbers[place]
            continue
        axis = longest_side(box)
        links[node, 1], links[node, 3] = axis, 0
        middle = partition(build, begin, end, axis, 0.5 * (box[axis] + box[3 + axis]))
        if middle in (begin, end) or level > DEEPEST_SPLIT:
            middle = (begin + end) // 2
        depth = push(build, depth, middle, end, node, level + 1)
        depth = push(build, depth, begin, middle, -1, level + 1)
    return nodes


@part
def push(build: Build, depth: int, begin: int, end: int, parent: int, level: int) -> int:
    """One more part to be split later. Returns the depth of the stack."""
    entry = build.stack[depth]
    entry[0], entry[1], entry[2], entry[3] = begin, end, parent, level
    return depth + 1


@part
def surround(build: Build, begin: int, end: int, box: Floats) -> None:
    """The box around items ``begin`` to ``end``."""
    box[:3], box[3:] = np.inf, -np.inf
    for i in range(begin, end):
        for axis in range(3):
            box[axis] = min(box[axis], build.items[i, axis])
            box[3 + axis] = max(box[3 + axis], build.items[i, 3 + axis])


@part
def longest_side(box: Floats) -> int:
    """Its axis."""
    axis = 0
    for other in range(1, 3):
        if box[3 + other] - box[other] > box[3 + axis] - box[axis]:
            axis = other
    return axis


@part
def partition(build: Build, begin: int, end: int, axis: int, middle: float) -> int:
    """Items whose centre is below ``middle`` first: the index of the first of the others."""
    items, low, high = build.items, begin, end
    while low < high:
        while low < high and items[low, axis] + items[low, 3 + axis] < 2 * middle:
            low += 1
        while low < high and items[high - 1, axis] + items[high - 1, 3 + axis] >= 2 * middle:
            high -= 1
        if low < high:
            high -= 1
            swap(build, low, high)
            low += 1
    return low


@part
def swap(build: Build, i: int, j: int) -> None:
    """Exchanges two items."""
    for axis in range(6):
        build.items[i, axis], build.items[j, axis] = build.items[j, axis], build.items[i, axis]
    build.numbers[i], build.numbers[j] = build.numbers[j], build.numbers[i]
