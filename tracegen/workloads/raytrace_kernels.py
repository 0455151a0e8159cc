"""The ray tracer's inner loops: each ray is traced for real, and each of its references is written down on the way.

``out`` takes rows from ``n`` on; what does not fit is counted and not written, so that a caller can try again with
more room. ``text``: row = address and instructions of a block.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled_with, part
from discotrace.tracegen.workloads import raytrace_layout as at
from discotrace.tracegen.workloads.program import References
from discotrace.tracegen.workloads.raytrace_layout import Places

F = TypeVar("F", bound=Callable[..., Any])
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
Blocks = npt.NDArray[np.int64]

FETCH, LOAD, STORE = 0, 1, 2
NOTHING = -1
DEEPEST = 64  # nodes on the stack of search(); a tree of at most 60 levels needs no more
EPSILON = 1e-9
FAR = 1e30
LEAST_REFLECTIVITY = 0.05
AMBIENT = 0.2


compiled = compiled_with(error_model="numpy")


class Scene(NamedTuple):
    """The scene as the program holds it.

    ``planes``: row = normal and distance from the origin of a triangle; ``corners``: its vertices; ``material``: its
    number; ``vertices``: row = position; ``boxes``: row = low and high
    corner of a node; ``links``: row = right child (the left one is the next node), axis of the split, first place in
    ``order``, count of triangles (0 = no leaf); ``order``: triangles of the leaves.
    """

    planes: Floats
    corners: Ints
    material: Ints
    vertices: Floats
    boxes: Floats
    links: Ints
    order: Ints
    materials: Floats
    lights: Floats
    camera: Floats


class Scratch(NamedTuple):
    """Room for one ray (origin, direction, inverse of the direction), nodes still to visit, a random state."""

    ray: Floats
    stack: Ints
    random: npt.NDArray[np.uint64]


def make_scratch() -> Scratch:
    """Empty."""
    return Scratch(np.zeros(9), np.zeros(DEEPEST, np.int32), np.zeros(1, np.uint64))


@part
def draw(random: npt.NDArray[np.uint64]) -> float:
    """A number from -1 to 1: drand48()'s generator."""
    random[0] = (random[0] * np.uint64(0x5DEECE66D) + np.uint64(11)) & np.uint64((1 << 48) - 1)
    return float(random[0]) / float(1 << 47) - 1.0


@part
def reflected(
    scratch: Scratch, dx: float, dy: float, dz: float, normal: Floats, slope: float, gloss: float
) -> tuple[float, float, float]:
    """The direction of a reflection, scattered by ``gloss`` (0 = a perfect mirror). ``slope``: direction x normal."""
    rx, ry, rz = dx - 2 * slope * normal[0], dy - 2 * slope * normal[1], dz - 2 * slope * normal[2]
    if gloss > 0.0:
        rx += gloss * draw(scratch.random)
        ry += gloss * draw(scratch.random)
        rz += gloss * draw(scratch.random)
    away = rx * normal[0] + ry * normal[1] + rz * normal[2]
    if away * slope > 0.0:  # into the surface: turned to its other side
        rx, ry, rz = rx - 2 * away * normal[0], ry - 2 * away * normal[1], rz - 2 * away * normal[2]
    length = np.sqrt(rx * rx + ry * ry + rz * rz)
    return rx / length, ry / length, rz / length


def empty_rows(count: int) -> References:
    """Room for rows."""
    return References(
        np.zeros(count, np.uint8), np.zeros(count, np.uint64), np.zeros(count, np.uint32), np.zeros(count, np.uint32)
    )


def first_rows(out: References, count: int) -> References:
    """A copy of the first so many rows."""
    return References(
        out.kind[:count].copy(), out.vaddr[:count].copy(), out.size[:count].copy(), out.arg[:count].copy()
    )


@part
def add(out: References, n: int, kind: int, vaddr: int, size: int) -> int:
    """A load or store. Returns the number of rows."""
    if n < len(out.kind):
        out.kind[n] = kind
        out.vaddr[n] = vaddr
        out.size[n] = size
        out.arg[n] = 0
    return n + 1


@part
def run(out: References, n: int, text: Blocks, block: int) -> int:
    """The instructions of a block. Returns the number of rows."""
    if n < len(out.kind):
        out.kind[n] = FETCH
        out.vaddr[n] = text[block, 0]
        out.size[n] = 4 * text[block, 1]
        out.arg[n] = text[block, 1]
    return n + 1


@part
def set_ray(ray: Floats, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> None:
    """A ray from o towards d; the direction's length is its unit of distance."""
    ray[0], ray[1], ray[2], ray[3], ray[4], ray[5] = ox, oy, oz, dx, dy, dz
    for axis in range(3):
        d = ray[3 + axis]
        ray[6 + axis] = 1.0 / (d if abs(d) > EPSILON else EPSILON)


@part
def meets_box(box: Floats, ray: Floats, nearest: float) -> bool:
    """Whether a ray meets a box nearer than ``nearest``."""
    enter, leave = 0.0, nearest
    for axis in range(3):
        a = (box[axis] - ray[axis]) * ray[6 + axis]
        b = (box[3 + axis] - ray[axis]) * ray[6 + axis]
        enter = max(enter, min(a, b))
        leave = min(leave, max(a, b))
    return enter <= leave


@part
def meet_plane(plane: Floats, ray: Floats) -> float:
    """How far along the ray a plane (normal, distance) is; FAR if it is parallel or behind."""
    speed = plane[0] * ray[3] + plane[1] * ray[4] + plane[2] * ray[5]
    if speed == 0.0:
        return FAR
    t = (plane[3] - plane[0] * ray[0] - plane[1] * ray[1] - plane[2] * ray[2]) / speed
    return t if t > EPSILON else FAR


@part
def is_inside(scene: Scene, triangle: int, ray: Floats, t: float) -> bool:
    """Whether the ray meets the triangle's plane, at distance ``t``, inside the triangle."""
    normal = scene.planes[triangle]
    px, py, pz = ray[0] + t * ray[3], ray[1] + t * ray[4], ray[2] + t * ray[5]
    for corner in range(3):
        a = scene.vertices[scene.corners[triangle, corner]]
        b = scene.vertices[scene.corners[triangle, (corner + 1) % 3]]
        ex, ey, ez = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        wx, wy, wz = px - a[0], py - a[1], pz - a[2]
        side = normal[0] * (ey * wz - ez * wy) + normal[1] * (ez * wx - ex * wz) + normal[2] * (ex * wy - ey * wx)
        if side < 0.0:
            return False
    return True


@part
def test_triangle(
    scene: Scene, places: Places, text: Blocks, out: References, n: int, place: int, ray: Floats, nearest: float
) -> tuple[int, float]:
    """The triangle at a place of ``order``: rows, its distance if it is hit nearer than ``nearest``, else FAR."""
    triangle = scene.order[place]
    t = meet_plane(scene.planes[triangle], ray)
    is_near = t < nearest
    is_hit = is_near and is_inside(scene, triangle, ray, t)
    n = run(out, n, text, at.TRIANGLE_HIT if is_hit else at.TRIANGLE_BESIDE if is_near else at.TRIANGLE_AWAY)
    n = add(out, n, LOAD, places.order + place * at.INDEX_BYTES, at.INDEX_BYTES)
    record = places.triangles + triangle * at.TRIANGLE_BYTES
    n = add(out, n, LOAD, record + at.ELEMENT_AT, at.ELEMENT_USED_BYTES)
    n = add(out, n, LOAD, record + at.POLYGON_AT, at.POLYGON_PLANE_BYTES)
    if is_near:
        n = add(out, n, LOAD, record + at.CORNERS_AT, at.CORNERS_BYTES)
        for corner in range(3):
            vertex = places.vertices + scene.corners[triangle, corner] * at.VERTEX_BYTES
            n = add(out, n, LOAD, vertex, at.VERTEX_BYTES)
    return n, t if is_hit else FAR


@part
def visit_leaf(
    scene: Scene, places: Places, text: Blocks, out: References, n: int, node: int, ray: Floats, nearest: float
) -> tuple[int, float, int]:
    """Tests the triangles of a leaf: rows, distance of the nearest hit (else ``nearest``), its triangle or NOTHING."""
    n = run(out, n, text, at.LEAF_START)
    n = add(out, n, LOAD, places.nodes + node * at.NODE_BYTES + at.NODE_LEAF, 8)
    hit = NOTHING
    for place in range(scene.links[node, 2], scene.links[node, 2] + scene.links[node, 3]):
        n, t = test_triangle(scene, places, text, out, n, place, ray, nearest)
        if t < nearest:
            nearest, hit = t, scene.order[place]
    return n, nearest, hit


@compiled
def search(
    scene: Scene,
    places: Places,
    text: Blocks,
    out: References,
    n: int,
    frame: int,
    scratch: Scratch,
    limit: float,
    enough: float,
) -> tuple[int, float, int]:
    """The nearest triangle within ``limit`` on the ray; a hit nearer than ``enough`` ends the search.

    ``frame``: address of the caller's. Returns rows, distance, triangle or NOTHING.
    """
    own = frame - at.SEARCH_FRAME_BYTES
    n = run(out, n, text, at.SEARCH_START)
    n = add(out, n, STORE, own, at.SAVED_BYTES)
    n = add(out, n, LOAD, frame + at.SHADE_RAY, at.RAY_BYTES)
    ray, stack = scratch.ray, scratch.stack
    nearest, hit, depth, node = limit, NOTHING, 0, 0
    while True:
        n = run(out, n, text, at.NODE_BOX)
        n = add(out, n, LOAD, places.nodes + node * at.NODE_BYTES, at.NODE_BOX_BYTES)
        if meets_box(scene.boxes[node], ray, nearest):
            if scene.links[node, 3] == 0:
                n = run(out, n, text, at.NODE_INNER)
                n = add(out, n, LOAD, places.nodes + node * at.NODE_BYTES + at.NODE_LINK, 8)
                n = add(out, n, STORE, own + at.NODE_STACK + 4 * depth, 4)
                if ray[3 + scene.links[node, 1]] >= 0.0:
                    stack[depth], node = scene.links[node, 0], node + 1
                else:
                    stack[depth], node = node + 1, scene.links[node, 0]
                depth += 1
                continue
            n, nearest, found = visit_leaf(scene, places, text, out, n, node, ray, nearest)
            hit = hit if found == NOTHING else found
            if nearest < enough:
                break
        if depth == 0:
            break
        depth -= 1
        node = stack[depth]
        n = run(out, n, text, at.NODE_POP)
        n = add(out, n, LOAD, own + at.NODE_STACK + 4 * depth, 4)
    n = run(out, n, text, at.SEARCH_END)
    n = add(out, n, STORE, frame + at.SHADE_HIT, at.HIT_BYTES)
    n = add(out, n, LOAD, own, at.SAVED_BYTES)
    return n, nearest, hit


@part
def light_up(
    scene: Scene, places: Places, text: Blocks, out: References, n: int, frame: int, scratch: Scratch, triangle: int
) -> tuple[int, float]:
    """Shadow rays from the ray's origin, a point of ``triangle``, to all lights: rows, light that arrives."""
    ray, normal = scratch.ray, scene.planes[triangle]
    x, y, z = ray[0], ray[1], ray[2]
    light = AMBIENT
    for number in range(len(scene.lights)):
        dx, dy, dz = scene.lights[number, 0] - x, scene.lights[number, 1] - y, scene.lights[number, 2] - z
        n = run(out, n, text, at.SHADOW_RAY)
        n = add(out, n, LOAD, places.lights + number * at.LIGHT_BYTES, at.LIGHT_BYTES)
        n = add(out, n, STORE, frame + at.SHADE_RAY, at.RAY_BYTES)
        set_ray(ray, x, y, z, dx, dy, dz)
        n, _, blocker = search(scene, places, text, out, n, frame, scratch, 1.0, 1.0)
        if blocker == NOTHING:
            n = run(out, n, text, at.LIGHT_SEEN)
            n = add(out, n, STORE, frame + at.SHADE_COLOUR, at.COLOUR_BYTES)
            slope = abs(dx * normal[0] + dy * normal[1] + dz * normal[2])
            light += slope / np.sqrt(dx * dx + dy * dy + dz * dz) / len(scene.lights)
    return n, light


@part
def shade(
    scene: Scene,
    places: Places,
    text: Blocks,
    out: References,
    n: int,
    scratch: Scratch,
    deepest: int,
    gloss: float,
) -> tuple[int, float]:
    """Follows the ray and its reflections, at most ``deepest`` of them: rows, brightness. Calls itself in the C."""
    ray = scratch.ray
    brightness, weight, depth = 0.0, 1.0, 0
    while True:
        frame = places.stack - (depth + 1) * at.SHADE_FRAME_BYTES
        dx, dy, dz = ray[3], ray[4], ray[5]
        n = run(out, n, text, at.SHADE_CALL)
        n = add(out, n, STORE, frame, at.SAVED_BYTES)
        n, t, triangle = search(scene, places, text, out, n, frame, scratch, FAR, 0.0)
        if triangle == NOTHING:
            n = run(out, n, text, at.SKY)
            brightness += weight * AMBIENT
            break
        material = scene.material[triangle]
        look = places.triangles + triangle * at.TRIANGLE_BYTES + at.POLYGON_AT + at.POLYGON_LOOK
        n = run(out, n, text, at.SHADE_START)
        n = add(out, n, LOAD, look, at.POLYGON_LOOK_BYTES)
        n = add(out, n, LOAD, places.materials + material * at.MATERIAL_BYTES, at.MATERIAL_BYTES)
        normal = scene.planes[triangle]
        slope = dx * normal[0] + dy * normal[1] + dz * normal[2]
        lift = -1e-6 if slope > 0.0 else 1e-6  # off the surface, to the side where the ray came from
        for axis in range(3):
            ray[axis] += t * ray[3 + axis] + lift * normal[axis]
        x, y, z = ray[0], ray[1], ray[2]
        n, light = light_up(scene, places, text, out, n, frame, scratch, triangle)
        reflectivity = scene.materials[material, 1]
        brightness += weight * (1.0 - reflectivity) * scene.materials[material, 0] * light
        weight *= reflectivity
        if reflectivity < LEAST_REFLECTIVITY or depth == deepest:
            break
        n = run(out, n, text, at.REFLECT)
        n = add(out, n, LOAD, places.random, at.RANDOM_BYTES)
        n = add(out, n, STORE, places.random, at.RANDOM_BYTES)
        depth += 1
        n = add(out, n, STORE, places.stack - (depth + 1) * at.SHADE_FRAME_BYTES + at.SHADE_RAY, at.RAY_BYTES)
        rx, ry, rz = reflected(scratch, dx, dy, dz, normal, slope, gloss)
        set_ray(ray, x, y, z, rx, ry, rz)
    for level in range(depth, -1, -1):
        frame = places.stack - (level + 1) * at.SHADE_FRAME_BYTES
        n = run(out, n, text, at.SHADE_END)
        n = add(out, n, LOAD, frame, at.SAVED_BYTES)
        n = add(out, n, LOAD, frame + at.SHADE_COLOUR, at.COLOUR_BYTES)
    return n, brightness


@compiled
def trace_tile(
    scene: Scene,
    places: Places,
    text: Blocks,
    out: References,
    n: int,
    scratch: Scratch,
    pixels: Floats,
    first: int,
    deepest: int,
    gloss: float,
    picture: npt.NDArray[np.uint8],
) -> int:
    """Traces the rays through ``pixels`` (row = x, y from -1 to 1); they go to the picture from ``first`` on."""
    eye, forward, right, up = scene.camera[0], scene.camera[1], scene.camera[2], scene.camera[3]
    top = places.stack - at.SHADE_FRAME_BYTES
    for i in range(len(pixels)):
        n = run(out, n, text, at.PIXEL_START)
        n = add(out, n, LOAD, places.camera, at.CAMERA_BYTES)
        n = add(out, n, STORE, top + at.SHADE_RAY, at.RAY_BYTES)
        d = forward + pixels[i, 0] * right + pixels[i, 1] * up
        length = np.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        set_ray(scratch.ray, eye[0], eye[1], eye[2], d[0] / length, d[1] / length, d[2] / length)
        n, brightness = shade(scene, places, text, out, n, scratch, deepest, gloss)
        n = run(out, n, text, at.PIXEL_END)
        n = add(out, n, LOAD, top + at.SHADE_COLOUR, at.COLOUR_BYTES)
        n = add(out, n, LOAD, places.picture + (first + i) * at.PIXEL_BYTES, at.PIXEL_BYTES)
        n = add(out, n, STORE, places.picture + (first + i) * at.PIXEL_BYTES, at.PIXEL_BYTES)
        picture[first + i] = min(255, int(255 * brightness))
    return n
