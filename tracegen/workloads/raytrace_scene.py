"""The scene of the raytrace workload: a hilly ground with bumpy balls on it, some of which are mirrors.

Nothing here is traced: it stands for the program that wrote the scene's file.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]
GROUND_SHARE = 0.25  # of the triangles
GROUND_MATERIAL = 15
MATERIALS = 16  # the last is the ground's; the upper half reflects
DULL = 0.0
SHINY = 0.6


class Geometry(NamedTuple):
    """What the file says.

    ``vertices``: row = position, in units of the ground's edge; ``corners``: row = vertices of a triangle;
    ``material``: its number.
    """

    vertices: Floats
    corners: Ints
    material: Ints


class Surroundings(NamedTuple):
    """What the program holds besides the triangles.

    ``materials``: row = brightness, reflectivity; ``lights``: row = position; ``camera``: rows = eye, forward, right
    by half the picture's width, up by half its height.
    """

    materials: Floats
    lights: Floats
    camera: Floats


def make_geometry(triangles: int, balls: int, mirrors: float, patch: int, seed: int) -> Geometry:
    """About so many triangles on the ground and so many balls, of which the share ``mirrors`` reflects.

    The file has them in patches of ``patch`` neighbours, in random order.
    """
    rng = np.random.default_rng([seed, 1])
    cells = max(1, round((triangles * GROUND_SHARE / 2) ** 0.5))
    bands = max(2, round((triangles * (1 - GROUND_SHARE) / balls / 4) ** 0.5))
    grids = [_ground(cells, rng)] + [_ball(bands, 0.5 / balls**0.5, rng) for _ in range(balls)]
    half = MATERIALS // 2
    reflects = rng.random(balls) < mirrors
    kinds = np.where(reflects, rng.integers(half, GROUND_MATERIAL, balls), rng.integers(0, half, balls))
    firsts = np.cumsum([0] + [grid.size // 3 for grid in grids])
    parts = [_corners(grid) + first for grid, first in zip(grids, firsts, strict=False)]
    material = np.repeat(np.concatenate([[GROUND_MATERIAL], kinds]), [len(part) for part in parts])
    patches = np.array_split(np.arange(len(material)), max(1, len(material) // patch))
    order = np.concatenate([patches[number] for number in rng.permutation(len(patches))])
    vertices = np.concatenate([grid.reshape(-1, 3) for grid in grids])
    return Geometry(vertices, np.concatenate(parts)[order].astype(np.int32), material[order].astype(np.int32))


def make_surroundings(lights: int, aspect: float, seed: int) -> Surroundings:
    """Lights above the scene and a camera that sees it from one side. ``aspect``: width of the picture by height."""
    rng = np.random.default_rng([seed, 2])
    brightness = rng.uniform(0.4, 1.0, MATERIALS)
    reflectivity = np.where(np.arange(MATERIALS) < MATERIALS // 2, DULL, SHINY)
    positions = np.column_stack([rng.uniform(0.0, 1.0, (lights, 2)), rng.uniform(1.0, 1.5, lights)])
    eye, aim, half_height = np.array([0.5, -0.45, 0.55]), np.array([0.5, 0.45, 0.08]), 0.36
    forward = (aim - eye) / np.linalg.norm(aim - eye)
    right = np.array([1.0, 0.0, 0.0])
    up = np.cross(right, forward)
    camera = np.array([eye, forward, right * half_height * aspect, up * half_height])
    return Surroundings(np.column_stack([brightness, reflectivity]), positions, camera)


def make_tiles(width: int, height: int, tile: int, neighbours: int, scale: float, seed: int) -> Floats:
    """(tile, pixel, axis): where rays go through the picture, from -1 to 1.

    Tiles by rows; a scale below 1 keeps stretches of ``neighbours`` tiles, spread evenly; above 1 tiles come again.
    """
    count = (width // tile) * (height // tile)
    stretches = -(-count // neighbours)
    whole, part = divmod(scale, 1.0)
    kept = max(round(part * stretches), 0 if whole else 1)
    places = (np.arange(kept) + np.random.default_rng([seed, 3]).random(kept)) * stretches / max(kept, 1)
    some = (np.unique(places.astype(np.int64))[:, None] * neighbours + np.arange(neighbours)).ravel()
    chosen = np.concatenate([np.tile(np.arange(count), int(whole)), some[some < count]])
    row, column = np.divmod(chosen, width // tile)
    inside_row, inside_column = np.divmod(np.arange(tile * tile), tile)
    x = (column[:, None] * tile + inside_column + 0.5) / width * 2 - 1
    y = 1 - (row[:, None] * tile + inside_row + 0.5) / height * 2
    return np.stack([x, y], axis=-1)


def _ground(cells: int, rng: np.random.Generator) -> Floats:
    """The points (row, column, axis) of cells x cells squares."""
    x, y = np.meshgrid(np.linspace(0, 1, cells + 1), np.linspace(0, 1, cells + 1))
    z = 0.03 * np.sin(7 * x) * np.cos(5 * y) + rng.normal(0, 0.1 / cells, x.shape)
    return np.stack([x, y, z], axis=-1)


def _ball(bands: int, size: float, rng: np.random.Generator) -> Floats:
    """The points of a bumpy ball of ``bands`` x 2 ``bands`` quadrangles, somewhere over the ground."""
    radius = (0.2 + rng.random() ** 3) * size
    centre = np.array([*rng.random(2), radius + 0.3 * rng.random() ** 2])
    bumps = rng.integers(3, 9, 2)
    theta, phi = np.meshgrid(np.linspace(0, np.pi, bands + 1), np.linspace(0, 2 * np.pi, 2 * bands + 1), indexing="ij")
    r = radius * (1 + 0.06 * np.sin(bumps[0] * theta) * np.sin(bumps[1] * phi))
    surface = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    points: Floats = centre + surface * r[..., None]
    return points


def _corners(grid: Floats) -> Ints:
    """Two triangles to each square of a grid of points, by rows: numbers of their corners."""
    number = np.arange(grid.size // 3, dtype=np.int32).reshape(grid.shape[:2])
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    pairs = np.stack([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)], axis=2)
    return pairs.reshape(-1, 3)
