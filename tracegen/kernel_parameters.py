"""The constants of the guest kernel model: frozen dataclasses filled from ``guest_kernel.toml``.

Every number's unit and source stands beside it in that file.
"""

import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import TypeVar

from discotrace.tracegen.errors import ConfigError

T = TypeVar("T")
KEYS = ("none", "cpu", "process", "file", "page", "entry")
EVENTS = ("zero_page", "copy_page", "free_page", "tlb", "wired", "split")
SUM_TOLERANCE = 1e-6  # of the shares of a path, which are decimal fractions


@dataclass(frozen=True)
class MemoryParameters:
    """Page-in, stacks, and how much of everything the kernel's address space has room for."""

    page_in_cluster_pages: int
    fault_around_pages: int
    stack_reach_kib: int
    stack_piece_kib: int
    page_descriptors: int
    pipe_buffer_bytes: int
    file_window_stride_gib: int
    process_slots: int
    text_kib: int


@dataclass(frozen=True)
class WalkParameters:
    """How kernel text is walked: basic blocks, branches, loops, and the mix of loads and stores."""

    variants: int
    block_instructions_min: int
    block_instructions_max: int
    skip_share: float
    skip_instructions_max: int
    loop_blocks: int
    loop_share: float
    loop_turns_max: int
    loads_per_instruction: float
    stores_per_instruction: float
    reference_bytes: int
    word_bytes: int


@dataclass(frozen=True)
class EntryParameters:
    """Kernel entry, exit and locks, in instructions, bytes and register accesses."""

    vector_instructions: int
    wired_instructions: int
    save_instructions: int
    restore_instructions: int
    return_instructions: int
    trap_frame_bytes: int
    stack_frame_bytes: int
    registers_in: int
    registers_out: int
    lock_instructions: int
    unlock_instructions: int


@dataclass(frozen=True)
class LoopParameters:
    """The loops that copy and clear."""

    word_bytes: int
    copy_instructions_per_word: float
    zero_instructions_per_word: float
    copy_text_bytes: int
    zero_text_bytes: int


@dataclass(frozen=True)
class DataRegion:
    """An array of kernel objects in KSEG0: bytes touched per object, stride in bytes, count; ``key`` selects one."""

    bytes: int
    stride: int
    count: int
    key: str


@dataclass(frozen=True)
class Step:
    """One stretch of a path: either a walk through ``routine`` or a row of its own (``event``)."""

    routine: str
    share: float
    data: dict[str, float]
    lock: str
    event: str


@dataclass(frozen=True)
class Parameters:
    """All constants of the guest kernel.

    ``instructions`` by service or part of one: what a fit may scale. ``boot``: objects of a data region, from the first
    on, that are in memory since the boot; of regions with the key "page" all virtual CPUs together have so many.
    """

    seed: int
    warm_page_cache: bool
    memory: MemoryParameters
    walk: WalkParameters
    entry: EntryParameters
    loops: LoopParameters
    locks: dict[str, int]
    routines: dict[str, int]
    data: dict[str, DataRegion]
    boot: dict[str, int]
    instructions: dict[str, int]
    paths: dict[str, tuple[Step, ...]]

    def __post_init__(self) -> None:
        """Raises ConfigError, naming the key, when the tables do not fit together."""
        for name in self.instructions.keys() ^ self.paths.keys():
            raise ConfigError(f"guest kernel: {name!r} must be a key of both [instructions] and [paths]")
        for name, region in self.data.items():
            if region.key not in KEYS:
                raise ConfigError(f"guest kernel: data.{name}.key is {region.key!r}, expected one of {', '.join(KEYS)}")
            if not 0 < region.bytes <= region.stride or region.count < 1:
                raise ConfigError(f"guest kernel: data.{name} needs 0 < bytes <= stride and count >= 1")
        for name, count in self.boot.items():
            if name not in self.data or not 0 < count <= self.data[name].count:
                raise ConfigError(f"guest kernel: boot.{name} needs a region of [data] and 1 to as many as its count")
        for name, steps in self.paths.items():
            self._check_path(name, steps)

    def _check_path(self, name: str, steps: tuple[Step, ...]) -> None:
        total = sum(step.share for step in steps)
        if abs(total - 1) > SUM_TOLERANCE:
            raise ConfigError(f"guest kernel: the shares of paths.{name} add up to {total:.3f}, expected 1")
        for step in steps:
            known = (
                (step.event, ("", *EVENTS)),
                (step.lock, ("", *self.locks)),
                (step.routine, ("", *self.routines)),
                *((region, ("stack", *self.data)) for region in step.data),
            )
            for word, words in known:
                if word not in words:
                    raise ConfigError(f"guest kernel: paths.{name} names {word!r}, which nothing defines")
            if bool(step.event) == bool(step.routine and step.data):
                raise ConfigError(f"guest kernel: a step of paths.{name} needs either an event or a routine with data")


def default_parameters() -> Parameters:
    """The constants that come with the package."""
    return parse_parameters((resources.files("discotrace.tracegen") / "guest_kernel.toml").read_text("utf-8"))


def parse_parameters(text: str) -> Parameters:
    """Parameters from TOML of the form of ``guest_kernel.toml``.

    Raises ConfigError when it is not TOML, or a key is missing, unknown or of the wrong type.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise ConfigError(f"guest kernel: not valid TOML: {fault}") from fault
    _check_keys(tree, {f.name for f in fields(Parameters)}, "guest kernel")
    paths = _table(tree, "paths")
    return Parameters(
        seed=_number(tree["seed"], int, "seed"),
        warm_page_cache=_number(tree["warm_page_cache"], bool, "warm_page_cache"),
        memory=_fill(MemoryParameters, _table(tree, "memory"), "memory"),
        walk=_fill(WalkParameters, _table(tree, "walk"), "walk"),
        entry=_fill(EntryParameters, _table(tree, "entry"), "entry"),
        loops=_fill(LoopParameters, _table(tree, "loops"), "loops"),
        locks=_integers(_table(tree, "locks"), "locks"),
        routines=_integers(_table(tree, "routines"), "routines"),
        data={k: _fill(DataRegion, _table(_table(tree, "data"), k), f"data.{k}") for k in _table(tree, "data")},
        boot=_integers(_table(tree, "boot"), "boot"),
        instructions=_integers(_table(tree, "instructions"), "instructions"),
        paths={name: tuple(_step(s, f"paths.{name}") for s in _list(steps, name)) for name, steps in paths.items()},
    )


def _fill(cls: type[T], table: Mapping[str, object], where: str) -> T:
    hints = typing.get_type_hints(cls)
    _check_keys(table, set(hints), where)
    return cls(**{key: _number(table[key], hint, f"{where}.{key}") for key, hint in hints.items()})


def _check_keys(table: Mapping[str, object], expected: set[str], where: str) -> None:
    for key in sorted(table.keys() ^ expected):
        raise ConfigError(f"{where}: {'unknown' if key in table else 'missing'} key {key!r}")


def _number(value: object, kind: type[T], where: str) -> T:
    if kind is float and type(value) is int:
        return kind(value)  # type: ignore[call-arg]  # a whole number where a fraction may stand
    if type(value) is not kind:
        raise ConfigError(f"{where} is {value!r}, expected {kind.__name__}")
    return value


def _table(tree: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = tree[key]
    if not isinstance(value, dict):
        raise ConfigError(f"guest kernel: {key} is {value!r}, expected a table")
    return value


def _list(value: object, key: str) -> list[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ConfigError(f"guest kernel: paths.{key} is not a list of tables")
    return value


def _integers(table: Mapping[str, object], where: str) -> dict[str, int]:
    return {key: _number(value, int, f"{where}.{key}") for key, value in table.items()}


def _step(table: Mapping[str, object], where: str) -> Step:
    _check_keys(table, {f.name for f in fields(Step)} & table.keys(), where)
    data = table.get("data", {})
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: data is {data!r}, expected a table of weights")
    return Step(
        routine=_number(table.get("routine", ""), str, f"{where}.routine"),
        share=_number(table.get("share", 0.0), float, f"{where}.share"),
        data={name: _number(weight, float, f"{where}.data.{name}") for name, weight in data.items()},
        lock=_number(table.get("lock", ""), str, f"{where}.lock"),
        event=_number(table.get("event", ""), str, f"{where}.event"),
    )
