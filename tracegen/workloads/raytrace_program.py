"""The ray tracer as a program: its scene is in memory, it traces tiles and writes them to the picture's file."""

from collections.abc import Iterator

import numpy as np

from discotrace.tracegen.schema import Kind, Segment
from discotrace.tracegen.workloads import raytrace_layout as at
from discotrace.tracegen.workloads.program import (
    Leave,
    Map,
    Open,
    Preload,
    Process,
    References,
    Resident,
    Step,
    Write,
)
from discotrace.tracegen.workloads.raytrace_build import build_tree
from discotrace.tracegen.workloads.raytrace_kernels import (
    Floats,
    Scene,
    empty_rows,
    first_rows,
    make_scratch,
    trace_tile,
)
from discotrace.tracegen.workloads.raytrace_queues import TileQueues, take_references
from discotrace.tracegen.workloads.raytrace_scene import Geometry, Surroundings

HEADER_BYTES = 4096  # of the picture's file, before its pixels
MOST_PIXELS_PER_WRITE = at.BUFFER_BYTES // at.FILE_PIXEL_BYTES
ROWS_PER_PIXEL = 2048  # of a tile, to begin with


class RayTracer:
    """The processes of one instance and what they share."""

    def __init__(
        self,
        geometry: Geometry,
        surroundings: Surroundings,
        rays: Floats,
        reflections: int,
        gloss: float,
        leaf: int,
        pixels_per_write: int,
        processes: int,
    ) -> None:
        """``rays``: (tile, pixel, axis) as of ``make_tiles``; ``reflections``: of a ray at most;
        ``gloss``: how far they scatter; ``leaf``: triangles of a leaf of the tree, at most;
        ``pixels_per_write``: go to the picture's file at a time."""
        tiles, pixels = rays.shape[:2]
        self._rays, self._gloss, self._reflections = rays, gloss, reflections
        self._pixels_per_write = pixels_per_write
        self._queues = TileQueues(tiles, processes)
        self._text, self._text_end = at.text_blocks()
        self.scene = make_scene(geometry, surroundings, leaf)
        self._places = at.make_places(
            len(geometry.vertices),
            len(geometry.material),
            len(self.scene.boxes),
            len(surroundings.materials),
            len(surroundings.lights),
            processes,
            tiles,
            tiles * pixels,
        )
        self.picture = np.zeros(tiles * pixels, np.uint8)

    def process(self, number: int, process: Process) -> Iterator[Step]:
        """What process ``number`` does from the moment at which the scene is ready."""
        yield from self._start(process)
        size = HEADER_BYTES + len(self.picture) * at.FILE_PIXEL_BYTES
        file = process.file(f"/usr/people/splash/picture{process.instance}", size, 0)
        yield Preload(file)  # an earlier picture, which is written over: tiles are done in no order
        yield Open(file)
        while True:
            tile, asked = self._queues.take(number)
            yield take_references(self._places, self._text, tile, asked)
            if tile < 0:
                break
            yield self._trace(tile)
            yield from self._write(file, tile)
        yield Leave()

    def _start(self, process: Process) -> Iterator[Step]:
        """Text, data, stack and scene are in memory; the picture's pages are not."""
        text = process.file("/usr/people/splash/raytrace", self._text_end - at.TEXT_START, 0)
        yield Preload(text)
        for segment in at.image(text, self._text_end, self._places):
            yield Map(segment)
            yield Resident(segment.start, segment.end)
        yield Map(Segment(0, at.SHARED_START, self._places.end, "shared", object=process.instance + 1))
        yield Resident(at.SHARED_START, self._places.picture)

    def _trace(self, tile: int) -> References:
        """A tile; where its rays scatter depends on nothing but its number."""
        pixels, scratch = self._rays[tile], make_scratch()
        room = ROWS_PER_PIXEL * len(pixels)
        while True:
            scratch.random[0] = tile
            out = empty_rows(room)
            rows = trace_tile(
                self.scene,
                self._places,
                self._text,
                out,
                0,
                scratch,
                pixels,
                tile * len(pixels),
                self._reflections,
                self._gloss,
                self.picture,
            )
            if rows <= room:
                return first_rows(out, rows)
            room = rows

    def _write(self, file: int, tile: int) -> Iterator[Step]:
        """Three bytes of each pixel of a tile."""
        places, pixels = self._places, self._rays.shape[1]
        start, instructions = self._text[at.WRITE_PIXEL].tolist()
        for first in range(tile * pixels, (tile + 1) * pixels, self._pixels_per_write):
            count = min(self._pixels_per_write, (tile + 1) * pixels - first)
            yield References(
                np.array([Kind.FETCH, Kind.LOAD, Kind.STORE], np.uint8),
                np.array([start, places.picture + first * at.PIXEL_BYTES, places.buffer], np.uint64),
                np.array([4 * instructions, count * at.PIXEL_BYTES, count * at.FILE_PIXEL_BYTES], np.uint32),
                np.array([count * instructions, 0, 0], np.uint32),
            )
            offset = HEADER_BYTES + first * at.FILE_PIXEL_BYTES
            yield Write(file, offset, count * at.FILE_PIXEL_BYTES, places.buffer)


def make_scene(geometry: Geometry, surroundings: Surroundings, leaf: int) -> Scene:
    """The scene as it is when tracing begins: planes of the triangles, and the tree, ``leaf`` to a leaf at most."""
    triangles = len(geometry.material)
    a, b, c = (geometry.vertices[geometry.corners[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), np.finfo(float).tiny)
    scene = Scene(
        np.column_stack([normal, (normal * a).sum(axis=1)]),
        geometry.corners,
        geometry.material,
        geometry.vertices,
        np.zeros((2 * triangles, 6)),
        np.zeros((2 * triangles, 4), np.int32),
        np.zeros(triangles, np.int32),
        *surroundings,
    )
    nodes = build_tree(scene, leaf)
    return scene._replace(boxes=scene.boxes[:nodes], links=scene.links[:nodes])
