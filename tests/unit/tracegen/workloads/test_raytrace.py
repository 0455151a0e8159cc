"""The raytrace workload: its rays hit what they should, its tree holds all triangles, its references are its own."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.rules import check_rows
from discotrace.tracegen.schema import Kind, Rows, TraceMeta, concat_rows
from discotrace.tracegen.workloads import raytrace_layout as at
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.program import Leave, Process, References, Resident, Step, Write
from discotrace.tracegen.workloads.raytrace import Raytrace
from discotrace.tracegen.workloads.raytrace_kernels import (
    FAR,
    NOTHING,
    empty_rows,
    make_scratch,
    search,
    set_ray,
)
from discotrace.tracegen.workloads.raytrace_program import HEADER_BYTES, RayTracer, make_scene
from discotrace.tracegen.workloads.raytrace_queues import TileQueues
from discotrace.tracegen.workloads.raytrace_scene import make_geometry, make_surroundings, make_tiles
from discotrace.tracegen.workloads.stage import Stage

SMALL = {"triangles": 800, "balls": 4, "width": 64, "height": 48, "scale": 1.0, "reflections": 2}
ROWS = 1 << 16
LEAF = 4  # triangles of a leaf, at most
PIXELS = 40  # of a write: does not divide a tile's 64


def small_tracer(scale: float) -> RayTracer:
    geometry, rays = make_geometry(800, 4, 0.5, 3, seed=5), make_tiles(64, 48, 8, 2, scale, 5)
    return RayTracer(geometry, make_surroundings(2, 4 / 3, 5), rays, 3, 0.5, LEAF, PIXELS, processes=1)


@cache
def tracer() -> RayTracer:
    """One whose scene others only read."""
    return small_tracer(0.2)


def nearest_by_brute_force(origin: np.ndarray, direction: np.ndarray) -> tuple[float, set[int]]:
    """Moeller and Trumbore's test of every triangle: distance and all triangles that are hit there."""
    scene = tracer().scene
    a, b, c = (scene.vertices[scene.corners[:, corner]] for corner in range(3))
    p = np.cross(direction, c - a)
    with np.errstate(all="ignore"):
        determinant = ((b - a) * p).sum(axis=1)
        u = ((origin - a) * p).sum(axis=1) / determinant
        q = np.cross(origin - a, b - a)
        v = (q @ direction) / determinant
        t = ((c - a) * q).sum(axis=1) / determinant
        t = np.where((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 1e-9), t, FAR)
    return float(t.min()), set(np.flatnonzero(np.isclose(t, t.min(), rtol=1e-9)).tolist())


def searched(origin: np.ndarray, direction: np.ndarray, limit: float = FAR, enough: float = 0.0) -> tuple[float, int]:
    scratch = make_scratch()
    set_ray(scratch.ray, *origin.tolist(), *direction.tolist())
    made = tracer()
    out = empty_rows(ROWS)
    _, t, hit = search(made.scene, made._places, made._text, out, 0, made._places.stack, scratch, limit, enough)
    return t, hit


def test_search__finds_what_brute_force_finds() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(400):
        origin = np.array([0.5, 0.5, 0.3]) + rng.normal(0, 0.5, 3)
        direction = rng.normal(0, 1, 3)
        t, triangles = nearest_by_brute_force(origin, direction)
        found_t, found = searched(origin, direction)
        if t == FAR:
            assert found == NOTHING
        else:
            hits += 1
            assert found_t == pytest.approx(t, rel=1e-9)
            assert found in triangles
    assert 50 < hits < 350


def test_search__looks_no_further_than_its_limit() -> None:
    origin, down = np.array([0.37, 0.41, 3.0]), np.array([0.0, 0.0, -1.0])
    t, _ = nearest_by_brute_force(origin, down)
    assert searched(origin, down, limit=t * 0.999) == (t * 0.999, NOTHING)
    assert searched(origin, down, limit=t * 1.001)[0] == pytest.approx(t)


def test_tree__holds_every_triangle_once_inside_its_boxes() -> None:
    scene = tracer().scene
    assert sorted(scene.order.tolist()) == list(range(len(scene.material)))
    waiting, places = [0], []
    while waiting:
        node = waiting.pop()
        right, _, first, count = scene.links[node].tolist()
        if count:
            assert count <= LEAF
            places += range(first, first + count)
            positions = scene.vertices[scene.corners[scene.order[first : first + count]]].reshape(-1, 3)
            low, high = positions.min(axis=0), positions.max(axis=0)
        else:
            waiting += [node + 1, right]
            low = np.minimum(scene.boxes[node + 1, :3], scene.boxes[right, :3])
            high = np.maximum(scene.boxes[node + 1, 3:], scene.boxes[right, 3:])
        assert scene.boxes[node].tolist() == [*low, *high]
    assert sorted(places) == list(range(len(scene.order)))


def test_tree__larger_leaves_make_fewer_nodes() -> None:
    scene = tracer().scene
    geometry, surroundings = make_geometry(800, 4, 0.5, 3, seed=5), make_surroundings(2, 4 / 3, 5)
    nodes = [len(make_scene(geometry, surroundings, leaf).boxes) for leaf in (1, LEAF, 2 * LEAF)]
    assert nodes[0] == 2 * len(scene.order) - 1
    assert nodes == sorted(nodes, reverse=True)
    assert nodes[1] == len(scene.boxes)


def test_layout__scene_has_the_size_that_the_papers_cache_was_chosen_for() -> None:
    workload = Raytrace(scale=0.01)
    places = tracers_of(workload)._places
    assert 0.8 * 2**20 < places.picture - at.SHARED_START <= 2**20


def test_layout__parts_of_a_triangle_lie_apart_within_its_record() -> None:
    starts = np.array([at.ELEMENT_AT, at.POLYGON_AT, at.CORNERS_AT, at.TRIANGLE_BYTES])
    sizes = np.array([at.ELEMENT_BYTES, at.POLYGON_BYTES, at.CORNERS_BYTES])
    assert (starts[:-1] + sizes <= starts[1:]).all()
    assert (starts % 8 == 0).all()


def test_picture__does_not_depend_on_how_many_processes_made_it() -> None:
    pictures = []
    for processes in (1, 3):
        made = tracers_of(Raytrace(cpus=processes, **SMALL))
        pictures.append(made.picture.tolist())
    assert pictures[0] == pictures[1]
    assert len(set(pictures[0])) > 10


def tracers_of(workload: Raytrace) -> RayTracer:
    """Runs a workload and returns what its processes shared."""
    found = []

    class Watched(Stage):
        def start(self, program, name, instance=0, cpus=None) -> None:  # type: ignore[no-untyped-def]
            found.append(program.func.__self__)
            super().start(program, name, instance, cpus)

    stage = Watched(TraceMeta(workload.cpu_count), lambda rows: None)
    workload.start(stage)
    stage.run()
    return found[0]


def test_queues__each_tile_is_taken_once_and_stolen_when_the_own_are_gone() -> None:
    queues = TileQueues(10, 3)
    assert queues.take(1) == (3, [(1, True)])
    assert [queues.take(1)[0] for _ in range(2)] == [4, 5]
    assert queues.take(1) == (9, [(1, False), (2, True)])
    taken = [queues.take(0)[0] for _ in range(6)]
    assert taken == [0, 1, 2, 8, 7, 6]
    assert queues.take(2) == (-1, [(2, False), (0, False), (1, False)])


def test_tiles__a_small_scale_keeps_its_share_and_one_keeps_all() -> None:
    whole = make_tiles(64, 48, 8, 2, 1.0, 1)
    assert whole.shape == (48, 64, 2)
    assert len(np.unique(whole.reshape(-1, 2), axis=0)) == 64 * 48
    some = make_tiles(64, 48, 8, 2, 0.25, 1)
    assert len(some) == 12
    assert {tuple(tile[0]) for tile in some} < {tuple(tile[0]) for tile in whole}
    assert len(make_tiles(64, 48, 8, 2, 1.5, 1)) == 72


def made_rows(path: Path, **knobs: float) -> Rows:
    generate(Raytrace(**(SMALL | {"scale": 0.3} | knobs)), "raytrace", path, version="test")  # type: ignore[arg-type]
    with TraceReader(path) as reader:
        rows = concat_rows(list(reader.batches()))
        assert check_rows(reader.meta, rows) == []
    return rows


def test_trace__keeps_every_rule_and_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    made_rows(tmp_path / "a", cpus=3)
    made_rows(tmp_path / "b", cpus=3)
    made_rows(tmp_path / "c", cpus=3, seed=2)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_trace__stores_each_pixel_once_and_reads_the_scene_without_writing_it(tmp_path: Path) -> None:
    rows = made_rows(tmp_path / "t", cpus=2, scale=1.0)
    is_user = rows.vaddr < 2**63
    kind, vaddr, size = rows.kind[is_user], rows.vaddr[is_user], rows.size[is_user]
    geometry = make_geometry(800, 4, Raytrace.mirrors, Raytrace.patch, seed=1)
    nodes = len(make_scene(geometry, make_surroundings(Raytrace.lights, 4 / 3, 1), Raytrace.leaf).boxes)
    vertices, triangles = len(geometry.vertices), len(geometry.material)
    places = at.make_places(vertices, triangles, nodes, 16, Raytrace.lights, 2, 48, 64 * 48)
    in_scene = (kind <= Kind.STORE) & (vaddr >= places.nodes) & (vaddr < places.picture)
    assert (kind[in_scene] == Kind.LOAD).all()
    pixels = vaddr[(kind == Kind.STORE) & (vaddr >= places.picture) & (vaddr < places.end)]
    assert sorted(pixels.tolist()) == list(range(places.picture, places.picture + 64 * 48 * 24, 24))
    assert size[in_scene].max() <= at.NODE_BOX_BYTES


def test_program__writes_three_bytes_of_each_pixel_once() -> None:
    made = small_tracer(0.2)
    steps = steps_of(made)
    written = [byte for s in steps if isinstance(s, Write) for byte in range(s.offset, s.offset + s.size)]
    assert sorted(written) == list(range(HEADER_BYTES, HEADER_BYTES + 3 * len(made.picture)))
    assert {s.size for s in steps if isinstance(s, Write)} == {3 * PIXELS, 3 * (64 - PIXELS)}
    assert all(s.kind[0] == Kind.FETCH for s in steps if isinstance(s, References))


def test_program__finds_all_but_the_picture_in_memory_and_runs_on() -> None:
    made = small_tracer(0.2)
    steps = steps_of(made)
    ends = [s.end for s in steps if isinstance(s, Resident)]
    assert made._places.picture in ends
    assert made._places.end not in ends
    assert isinstance(steps[-1], Leave)


def test_trace__writes_over_a_picture_that_is_in_memory(tmp_path: Path) -> None:
    rows = made_rows(tmp_path / "t", cpus=3)
    written = rows.kind == Kind.FILE_WRITE
    (file,) = np.unique(rows.arg[written])
    resident = np.flatnonzero((rows.kind == Kind.RESIDENT) & (rows.arg == file))
    assert resident[0] < np.flatnonzero(written)[0]
    assert set(rows.size[resident].tolist()) == {int((rows.vaddr + rows.size)[written].max())}
    assert rows.vaddr[written].min() == HEADER_BYTES


def test_scale__changes_length_but_hardly_the_mix() -> None:
    mixes = []
    for scale in (0.25, 1.0):
        tiles = [
            step
            for step in steps_of(small_tracer(scale))
            if isinstance(step, References) and step.vaddr[0] == at.text_blocks()[0][at.PIXEL_START, 0]
        ]
        rows = sum(len(step.kind) for step in tiles)
        instructions = sum(int(step.arg.sum()) for step in tiles)
        mixes.append((len(tiles), instructions / rows))
    assert mixes[0][0] == 0.25 * mixes[1][0]
    assert mixes[0][1] == pytest.approx(mixes[1][1], rel=0.05)


def steps_of(made: RayTracer) -> list[Step]:
    return list(made.process(0, Process(1, 0, lambda name, size, disk: 1)))


@pytest.mark.parametrize(
    "knobs",
    [
        {"triangles": 0},
        {"leaf": 0},
        {"width": 100},
        {"mirrors": 1.5},
        {"gloss": -1.0},
        {"reflections": -1},
        {"pixels_per_write": 0},
    ],
)
def test_knobs__impossible_ones_are_errors(knobs: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        Raytrace(**knobs)  # type: ignore[arg-type]
