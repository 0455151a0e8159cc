"""Building the scene's tree: a box around all triangles, split again and again in the middle of its longest side.

The items (a triangle's box and number) are partitioned in place, as quicksort does it; nodes are numbered in the
order in which they are made, the left child right behind its parent. References as in ``raytrace_kernels``.
"""

from typing import NamedTuple

import numpy as np

from discotrace.tracegen.workloads import raytrace_layout as at
from discotrace.tracegen.workloads.program import References
from discotrace.tracegen.workloads.raytrace_kernels import FETCH, LOAD, STORE, Blocks, Floats, Ints, compiled
from discotrace.tracegen.workloads.raytrace_layout import Places

LEAF_TRIANGLES = 4  # no leaf has more
DEEPEST_SPLIT = 40  # below this items are halved as they stand, which keeps the tree below 60 levels


class Tree(NamedTuple):
    """As in ``raytrace_kernels.Scene``."""

    boxes: Floats
    links: Ints
    order: Ints


class Build(NamedTuple):
    """What is still to split.

    ``items``: row = low and high corner of a triangle's box; ``numbers``: its triangle; ``stack``: row = begin, end,
    the parent's node if this is a right child (else -1), level.
    """

    items: Floats
    numbers: Ints
    stack: Ints


@compiled
def add_row(out: References, n: int, kind: int, vaddr: int, size: int, arg: int) -> int:
    """Any row: ``out`` keeps what fits. Returns the number of rows."""
    if n < len(out.kind):
        out.kind[n] = kind
        out.vaddr[n] = vaddr
        out.size[n] = size
        out.arg[n] = arg
    return n + 1


@compiled
def loop(out: References, n: int, text: Blocks, block: int, count: int) -> int:
    """``count`` times the same block: one run."""
    return add_row(out, n, FETCH, text[block, 0], 4 * text[block, 1], count * text[block, 1])


@compiled
def swap(build: Build, i: int, j: int) -> None:
    """Exchanges two items."""
    for axis in range(6):
        build.items[i, axis], build.items[j, axis] = build.items[j, axis], build.items[i, axis]
    build.numbers[i], build.numbers[j] = build.numbers[j], build.numbers[i]


@compiled
def surround(
    build: Build, places: Places, text: Blocks, out: References, n: int, begin: int, end: int, box: Floats
) -> int:
    """The box around items ``begin`` to ``end``."""
    box[:3], box[3:] = np.inf, -np.inf
    for i in range(begin, end):
        for axis in range(3):
            box[axis] = min(box[axis], build.items[i, axis])
            box[3 + axis] = max(box[3 + axis], build.items[i, 3 + axis])
    n = loop(out, n, text, at.BOX_ITEM, end - begin)
    return add_row(out, n, LOAD, places.items + begin * at.ITEM_BYTES, (end - begin) * at.ITEM_BYTES, 0)


@compiled
def partition(
    build: Build, places: Places, text: Blocks, out: References, n: int, begin: int, end: int, axis: int, middle: float
) -> tuple[int, int]:
    """Items whose centre is below ``middle`` first: rows, index of the first of the others."""
    items, low, high = build.items, begin, end
    while low < high:
        from_low, from_high = low, high
        while low < high and items[low, axis] + items[low, 3 + axis] < 2 * middle:
            low += 1
        while low < high and items[high - 1, axis] + items[high - 1, 3 + axis] >= 2 * middle:
            high -= 1
        end_seen = min(low + 1, from_high)
        begin_seen = high - 1 if low < high else high
        n = loop(out, n, text, at.PARTITION_ITEM, end_seen - from_low + from_high - begin_seen)
        n = add_row(out, n, LOAD, places.items + from_low * at.ITEM_BYTES, (end_seen - from_low) * at.ITEM_BYTES, 0)
        if begin_seen < from_high:
            size = (from_high - begin_seen) * at.ITEM_BYTES
            n = add_row(out, n, LOAD, places.items + begin_seen * at.ITEM_BYTES, size, 0)
        if low < high:
            high -= 1
            swap(build, low, high)
            n = loop(out, n, text, at.SWAP_ITEMS, 1)
            n = add_row(out, n, STORE, places.items + low * at.ITEM_BYTES, at.ITEM_BYTES, 0)
            n = add_row(out, n, STORE, places.items + high * at.ITEM_BYTES, at.ITEM_BYTES, 0)
            low += 1
    return n, low


@compiled
def make_leaf(
    build: Build, tree: Tree, places: Places, text: Blocks, out: References, n: int, begin: int, end: int
) -> int:
    """Items ``begin`` to ``end`` stay together and where they are: their places are those of a leaf."""
    for i in range(begin, end):
        tree.order[i] = build.numbers[i]
    n = loop(out, n, text, at.MAKE_LEAF_ITEM, end - begin)
    n = add_row(out, n, LOAD, places.items + begin * at.ITEM_BYTES, (end - begin) * at.ITEM_BYTES, 0)
    return add_row(out, n, STORE, places.order + begin * at.INDEX_BYTES, (end - begin) * at.INDEX_BYTES, 0)


@compiled
def longest_side(box: Floats) -> int:
    """Its axis."""
    axis = 0
    for other in range(1, 3):
        if box[3 + other] - box[other] > box[3 + axis] - box[axis]:
            axis = other
    return axis


@compiled
def push(build: Build, depth: int, begin: int, end: int, parent: int, level: int) -> int:
    """One more part to be split later. Returns the depth of the stack."""
    entry = build.stack[depth]
    entry[0], entry[1], entry[2], entry[3] = begin, end, parent, level
    return depth + 1


@compiled
def build_tree(build: Build, tree: Tree, places: Places, text: Blocks, out: References) -> tuple[int, int]:
    """Makes the tree of all items: rows, nodes."""
    n, nodes = 0, 0
    depth = push(build, 0, 0, len(build.items), -1, 0)
    while depth:
        depth -= 1
        begin, end, parent, level = build.stack[depth]
        node, address = nodes, places.nodes + nodes * at.NODE_BYTES
        nodes += 1
        n = loop(out, n, text, at.MAKE_NODE, 1)
        n = add_row(out, n, LOAD, places.stack - (depth + 1) * at.PART_BYTES, at.PART_BYTES, 0)
        if parent >= 0:
            tree.links[parent, 0] = node
            n = add_row(out, n, STORE, places.nodes + parent * at.NODE_BYTES + at.NODE_LINK, 4, 0)
        box = tree.boxes[node]
        n = surround(build, places, text, out, n, begin, end, box)
        n = add_row(out, n, STORE, address, at.NODE_BYTES, 0)
        if end - begin <= LEAF_TRIANGLES:
            tree.links[node, 2], tree.links[node, 3] = begin, end - begin
            n = make_leaf(build, tree, places, text, out, n, begin, end)
            continue
        axis = longest_side(box)
        tree.links[node, 1], tree.links[node, 3] = axis, 0
        n = loop(out, n, text, at.SPLIT, 1)
        n, middle = partition(build, places, text, out, n, begin, end, axis, 0.5 * (box[axis] + box[3 + axis]))
        if middle in (begin, end) or level > DEEPEST_SPLIT:
            middle = (begin + end) // 2
        n = add_row(out, n, STORE, places.stack - (depth + 2) * at.PART_BYTES, 2 * at.PART_BYTES, 0)
        depth = push(build, depth, middle, end, node, level + 1)
        depth = push(build, depth, begin, middle, -1, level + 1)
    return n, nodes
