"""Where the ray tracer's text and data lie, as a C compiler for a 32-bit MIPS program would put them.

Sizes in bytes. Pointers and indices have 4 bytes, coordinates are doubles.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import Segment
from discotrace.tracegen.workloads.emit import Text

# Structures.
NODE_BYTES = 64  # double lo[3], hi[3]; int right, axis, first, count
NODE_BOX_BYTES, NODE_LINK, NODE_LEAF = 48, 48, 56
ELEMENT_BYTES = 64  # struct polygon *data; struct object *parent; float box[6]; int number, mailbox ...
ELEMENT_USED_BYTES = 8
POLYGON_BYTES = 48  # double normal[3], distance; int *corners; int material, object, unused
POLYGON_PLANE_BYTES, POLYGON_LOOK, POLYGON_LOOK_BYTES = 36, 32, 8
CORNERS_BYTES = 12  # int vertex[3]
# A triangle is read from the file and allocated: its element, polygon and corners lie one behind the other, each after
# malloc()'s header, each of a multiple of 8.
MALLOC_BYTES = 8
ELEMENT_AT = MALLOC_BYTES
POLYGON_AT = ELEMENT_AT + ELEMENT_BYTES + MALLOC_BYTES
CORNERS_AT = POLYGON_AT + POLYGON_BYTES + MALLOC_BYTES
TRIANGLE_BYTES = CORNERS_AT + 16
VERTEX_BYTES = 24  # double position[3]
INDEX_BYTES = 4
MATERIAL_BYTES = 64
LIGHT_BYTES = 48
CAMERA_BYTES = 96
PIXEL_BYTES = 24  # double red, green, blue: rays add to them
FILE_PIXEL_BYTES = 3
RAY_BYTES = 72  # double origin[3], direction[3], inverse[3]
HIT_BYTES = 16  # double t; int triangle, unused
QUEUE_BYTES = 128  # int lock, head, tail: a cache line of its own
QUEUE_HEAD, QUEUE_TAIL = 4, 8
SHADE_FRAME_BYTES = 320  # of shade(): a ray, a hit, colours, saved registers
SEARCH_FRAME_BYTES = 352  # of search(): saved registers, then the stack of nodes
SAVED_BYTES = 96  # saved registers at the beginning of a frame
NODE_STACK = 96  # the stack of nodes in the frame of search()
SHADE_RAY = 96  # the ray in the frame of shade()
SHADE_HIT = 168
SHADE_COLOUR, COLOUR_BYTES = 184, 24

TEXT_START = 0x0040_0000
DATA_START = 0x1000_0000
SHARED_START = 0x3000_0000
STACK_END = 0x7FFF_8000
STACK_BYTES = 16 * PAGE_BYTES
STACK_IN_USE = 512  # of main() and its callers
BUFFER_BYTES = 8192  # of stdio
RANDOM_BYTES = 8  # drand48()'s state

# Blocks of text, numbers of rows of ``text_blocks``.
(
    TAKE_LOCK,
    TAKE_TILE,
    TAKE_NOTHING,
    PIXEL_START,
    PIXEL_END,
    SEARCH_START,
    SEARCH_END,
    NODE_BOX,
    NODE_INNER,
    NODE_POP,
    LEAF_START,
    TRIANGLE_AWAY,
    TRIANGLE_BESIDE,
    TRIANGLE_HIT,
    SHADE_CALL,
    SHADE_START,
    SHADOW_RAY,
    LIGHT_SEEN,
    REFLECT,
    SHADE_END,
    SKY,
    WRITE_PIXEL,
) = range(22)
INSTRUCTIONS = {
    TAKE_LOCK: 12,
    TAKE_TILE: 22,
    TAKE_NOTHING: 10,
    PIXEL_START: 74,  # direction through the pixel, normalised (a square root), its inverse (three divisions)
    PIXEL_END: 28,
    SEARCH_START: 34,
    SEARCH_END: 22,
    NODE_BOX: 44,  # 6 differences, 6 products, 9 comparisons with branches or moves, loads, loop
    NODE_INNER: 12,
    NODE_POP: 6,
    LEAF_START: 6,
    TRIANGLE_AWAY: 34,  # where the ray meets its plane (a division)
    TRIANGLE_BESIDE: 96,  # then: on which side of its edges, up to three of them
    TRIANGLE_HIT: 118,
    SHADE_CALL: 14,
    SHADE_START: 58,
    SHADOW_RAY: 62,
    LIGHT_SEEN: 84,  # with pow() for the highlight
    REFLECT: 110,  # with three calls of drand48()
    SHADE_END: 30,
    SKY: 16,
    WRITE_PIXEL: 24,  # three times: scale, clamp, convert to a byte
}


def text_blocks() -> tuple[npt.NDArray[np.int64], int]:
    """Row = address and instructions of each block; the address behind them."""
    text = Text(TEXT_START + 0x200)
    blocks = [text.block(INSTRUCTIONS[number]) for number in range(len(INSTRUCTIONS))]
    return np.array([[block.start, block.instructions] for block in blocks], np.int64), text.end


def page_up(address: int) -> int:
    """The next page boundary."""
    return -(-address // PAGE_BYTES) * PAGE_BYTES


class Places(NamedTuple):
    """Addresses. Shared: all from ``camera`` to ``end``. Private: the rest."""

    camera: int
    lights: int
    materials: int
    queues: int
    entries: int
    nodes: int
    order: int
    triangles: int
    vertices: int
    picture: int
    end: int
    buffer: int
    random: int
    data_end: int
    stack: int


def make_places(
    vertices: int, triangles: int, nodes: int, materials: int, lights: int, queues: int, tiles: int, pixels: int
) -> Places:
    """Room for so many of each; large arrays begin on pages of their own."""
    at_lights = SHARED_START + 128
    at_materials = at_lights + lights * LIGHT_BYTES
    at_queues = page_up(at_materials + materials * MATERIAL_BYTES)
    entries = at_queues + queues * QUEUE_BYTES
    at_nodes = page_up(entries + tiles * INDEX_BYTES)
    order = page_up(at_nodes + nodes * NODE_BYTES)
    at_triangles = page_up(order + triangles * INDEX_BYTES)
    at_vertices = page_up(at_triangles + triangles * TRIANGLE_BYTES)
    picture = page_up(at_vertices + vertices * VERTEX_BYTES)
    random = DATA_START + BUFFER_BYTES
    return Places(
        SHARED_START,
        at_lights,
        at_materials,
        at_queues,
        entries,
        at_nodes,
        order,
        at_triangles,
        at_vertices,
        picture,
        page_up(picture + pixels * PIXEL_BYTES),
        DATA_START,
        random,
        page_up(random + RANDOM_BYTES),
        STACK_END - STACK_IN_USE,
    )


def image(file: int, text_end: int, places: Places) -> tuple[Segment, ...]:
    """Text, data and stack of a process."""
    return (
        Segment(0, TEXT_START, page_up(text_end), "file", object=file, writable=False),
        Segment(0, DATA_START, places.data_end, "anonymous"),
        Segment(0, STACK_END - STACK_BYTES, STACK_END, "anonymous"),
    )
