"""A ray tracer, as Raytrace of SPLASH-2: one process per CPU, a scene that all read, tiles stolen from each other."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.workloads.raytrace_program import MOST_PIXELS_PER_WRITE, RayTracer
from discotrace.tracegen.workloads.raytrace_scene import make_geometry, make_surroundings, make_tiles
from discotrace.tracegen.workloads.stage import Stage
from discotrace.tracegen.workloads.workload import Workload


@dataclass(frozen=True)
class Raytrace(Workload):
    """Knobs below. Triangles decide how large the shared scene is; leaf, patch and gloss how its uses scatter."""

    summary: ClassVar[str] = "Rays through a bounding-volume hierarchy over a scene that all processes read."
    runs_on: ClassVar[bool] = True  # who is ahead takes tiles from the others
    search_ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "pixels_per_write": (8, 20),
    }

    triangles: int = 5_400  # of the scene, about; each takes some 185 bytes of shared memory
    balls: int = 40  # objects over the ground
    mirrors: float = 1.0  # share of the balls that reflect; the ground always does
    patch: int = 1  # triangles that are neighbours in the scene's file and so in memory; such patches are shuffled
    leaf: int = 15  # triangles of a leaf of the tree, at most: tested one after the other
    lights: int = 1  # each costs a shadow ray per hit
    reflections: int = 6  # of a ray, at most
    gloss: float = 1.0  # how far reflections scatter: 0 = perfect mirrors, 1 = by a vector as long as the direction
    width: int = 720  # pixels of the picture at scale 1, a multiple of tile
    height: int = 520  # likewise
    tile: int = 8  # pixels along the edge of the square that a process takes at a time
    pixels_per_write: int = 14  # of a finished tile that go to the picture's file at a time
    neighbours: int = 2  # tiles side by side that a scale below 1 keeps together

    def __post_init__(self) -> None:
        """Raises ConfigError for a number out of range, and for a picture that does not consist of whole tiles."""
        if not 0 <= self.mirrors <= 1:
            raise ConfigError(f"mirrors is {self.mirrors}, expected 0 to 1")
        for name in ("gloss", "reflections"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 or more")
        for name in ("triangles", "balls", "lights", "width", "height", "tile", "neighbours", "patch", "leaf"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not 1 <= self.pixels_per_write <= MOST_PIXELS_PER_WRITE:
            raise ConfigError(f"pixels_per_write is {self.pixels_per_write}, expected 1 to {MOST_PIXELS_PER_WRITE}")
        if self.width % self.tile or self.height % self.tile:
            raise ConfigError(f"a picture of {self.width} x {self.height} does not consist of tiles of {self.tile}")

    def start(self, stage: Stage) -> None:
        """One process on each CPU for each instance."""
        geometry = make_geometry(self.triangles, self.balls, self.mirrors, self.patch, self.seed)
        surroundings = make_surroundings(self.lights, self.width / self.height, self.seed)
        rays = make_tiles(self.width, self.height, self.tile, self.neighbours, self.scale, self.seed)
        for instance in range(self.instance_count):
            tracer = RayTracer(
                geometry,
                surroundings,
                rays,
                self.reflections,
                self.gloss,
                self.leaf,
                self.pixels_per_write,
                self.cpu_count,
            )
            for number in range(self.cpu_count):
                stage.start(partial(tracer.process, number), "raytrace", instance, range(number, number + 1))
