"""The ray tracer as a program: reads the scene, builds its tree, traces tiles, writes the picture."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.schema import Kind, Segment
from discotrace.tracegen.workloads import raytrace_layout as at
from discotrace.tracegen.workloads.emit import Block, load, references, run, store
from discotrace.tracegen.workloads.program import (
    Barrier,
    Close,
    Exec,
    Map,
    Open,
    Process,
    Read,
    References,
    Step,
    Write,
)
from discotrace.tracegen.workloads.raytrace_build import Build, Tree, build_tree
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

PIXELS_PER_WRITE = at.READ_BYTES // at.FILE_PIXEL_BYTES
STACK_ENTRIES = 128  # parts that wait to be split
Numbers = npt.NDArray[np.uint64]
ROWS_PER_TRIANGLE = 64  # of the build, to begin with
ROWS_PER_PIXEL = 2048  # likewise, of a tile


def _reads(count: int, record: int, buffer: int) -> Iterator[tuple[int, Numbers, Numbers]]:
    """Reads of ``count`` records, a buffer of stdio each: offset, numbers and addresses of the records."""
    per_read = at.READ_BYTES // record
    for first in range(0, count, per_read):
        number = np.arange(first, min(first + per_read, count), dtype=np.uint64)
        yield first * record, number, np.uint64(buffer) + (number - np.uint64(first)) * np.uint64(record)


class RayTracer:
    """The processes of one instance and what they share."""

    def __init__(
        self,
        geometry: Geometry,
        surroundings: Surroundings,
        rays: Floats,
        reflections: int,
        gloss: float,
        processes: int,
    ) -> None:
        """``rays``: (tile, pixel, axis) as of ``make_tiles``; ``reflections``: of a ray at most;
        ``gloss``: how far they scatter."""
        triangles = len(geometry.material)
        tiles, pixels = rays.shape[:2]
        self._geometry, self._rays = geometry, rays
        self._gloss = gloss
        self._reflections, self._processes = reflections, processes
        self._queues = TileQueues(tiles, processes)
        self._text, self._text_end = at.text_blocks()
        self._places = at.make_places(
            len(geometry.vertices),
            triangles,
            2 * triangles,
            len(surroundings.materials),
            len(surroundings.lights),
            processes,
            tiles,
            tiles * pixels,
        )
        self.picture = np.zeros(tiles * pixels, np.uint8)
        self.scene = self._empty_scene(surroundings)

    def _empty_scene(self, surroundings: Surroundings) -> Scene:
        triangles = len(self._geometry.material)
        return Scene(
            np.zeros((triangles, 4)),
            self._geometry.corners,
            self._geometry.material,
            self._geometry.vertices,
            np.zeros((2 * triangles, 6)),
            np.zeros((2 * triangles, 4), np.int32),
            np.zeros(triangles, np.int32),
            *surroundings,
        )

    def process(self, number: int, process: Process) -> Iterator[Step]:
        """What process ``number`` does. The first builds the scene and writes the picture."""
        program = process.file("/usr/people/splash/raytrace", self._text_end - at.TEXT_START, 0)
        yield Exec(program, at.image(program, self._text_end, self._places))
        yield Map(Segment(0, at.SHARED_START, self._places.end, "shared", object=process.instance + 1))
        if number == 0:
            yield from self._read_scene(process.file("/usr/people/splash/scene", self._file_bytes, 0))
            yield self._build()
        yield Barrier(process.instance, self._processes)
        yield from self._trace(number)
        yield Barrier(process.instance, self._processes)
        if number == 0:
            yield from self._write_picture(process.file(f"/usr/people/splash/picture{process.instance}", 0, 0))

    # ---- the scene ----------------------------------------------------------------------------------------------

    @property
    def _file_bytes(self) -> int:
        geometry = self._geometry
        return len(geometry.vertices) * at.VERTEX_RECORD_BYTES + len(geometry.material) * at.POLYGON_RECORD_BYTES

    def _block(self, number: int) -> Block:
        return Block(*self._text[number].tolist())

    def _read_scene(self, file: int) -> Iterator[Step]:
        """First the vertices, then the triangles."""
        vertices, corners = self._geometry.vertices, self._geometry.corners
        yield Open(file)
        yield from self._read_vertices(file)
        yield from self._read_polygons(file, len(vertices) * at.VERTEX_RECORD_BYTES)
        yield Close(file)
        a, b, c = (vertices[corners[:, corner]] for corner in range(3))
        normal = np.cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), np.finfo(float).tiny)
        self.scene.planes[:, :3] = normal
        self.scene.planes[:, 3] = (normal * a).sum(axis=1)

    def _read_vertices(self, file: int) -> Iterator[Step]:
        places, record = self._places, at.VERTEX_RECORD_BYTES
        for offset, number, at_record in _reads(len(self._geometry.vertices), record, places.buffer):
            yield Read(file, offset, len(number) * record, places.buffer)
            yield references(
                len(number),
                run(self._block(at.READ_VERTEX)),
                load(at_record, record),
                store(places.vertices + number * at.VERTEX_BYTES, at.VERTEX_BYTES),
            )

    def _read_polygons(self, file: int, start: int) -> Iterator[Step]:
        """Each becomes an element of the scene and an item of the build."""
        places, record = self._places, at.POLYGON_RECORD_BYTES
        for offset, number, at_record in _reads(len(self._geometry.corners), record, places.buffer):
            vertices = self._geometry.corners[number].astype(np.uint64) * at.VERTEX_BYTES + np.uint64(places.vertices)
            yield Read(file, start + offset, len(number) * record, places.buffer)
            yield references(
                len(number),
                run(self._block(at.READ_POLYGON)),
                load(at_record, record),
                *(load(vertices[:, corner], at.VERTEX_BYTES) for corner in range(3)),
                store(places.elements + number * at.ELEMENT_BYTES, at.ELEMENT_BYTES),
                store(places.polygons + number * at.POLYGON_BYTES, at.POLYGON_BYTES),
                store(places.corners + number * at.CORNERS_BYTES, at.CORNERS_BYTES),
                store(places.items + number * at.ITEM_BYTES, at.ITEM_BYTES),
            )

    def _build(self) -> References:
        positions = self._geometry.vertices[self._geometry.corners]
        boxes = np.concatenate([positions.min(axis=1), positions.max(axis=1)], axis=1)
        tree = Tree(self.scene.boxes, self.scene.links, self.scene.order)
        rows = ROWS_PER_TRIANGLE * len(positions)
        while True:
            numbers = np.arange(len(positions), dtype=np.int32)
            build = Build(boxes.copy(), numbers, np.zeros((STACK_ENTRIES, 4), np.int32))
            out = empty_rows(rows)
            rows, _ = build_tree(build, tree, self._places, self._text, out)
            if rows <= len(out.kind):
                return first_rows(out, rows)

    # ---- the picture --------------------------------------------------------------------------------------------

    def _trace(self, number: int) -> Iterator[Step]:
        """Tile after tile, until there is none left in any queue."""
        out, scratch = empty_rows(ROWS_PER_PIXEL * self._rays.shape[1]), make_scratch()
        while True:
            tile, asked = self._queues.take(number)
            taken = take_references(self._places, self._text, tile, asked)
            yield taken
            if tile < 0:
                return
            pixels = self._rays[tile]
            while True:
                scratch.random[0] = tile
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
                if rows <= len(out.kind):
                    break
                out = empty_rows(2 * rows)
            yield first_rows(out, rows)

    def _write_picture(self, file: int) -> Iterator[Step]:
        """Three bytes of each pixel, a buffer at a time."""
        places = self._places
        yield Open(file)
        for first in range(0, len(self.picture), PIXELS_PER_WRITE):
            count = min(PIXELS_PER_WRITE, len(self.picture) - first)
            start, instructions = self._text[at.WRITE_PIXEL].tolist()
            yield References(
                np.array([Kind.FETCH, Kind.LOAD, Kind.STORE], np.uint8),
                np.array([start, places.picture + first * at.PIXEL_BYTES, places.buffer], np.uint64),
                np.array([4 * instructions, count * at.PIXEL_BYTES, count * at.FILE_PIXEL_BYTES], np.uint32),
                np.array([count * instructions, 0, 0], np.uint32),
            )
            yield Write(file, first * at.FILE_PIXEL_BYTES, count * at.FILE_PIXEL_BYTES, places.buffer)
        yield Close(file)
