"""Compiled paths: what a service executes, as columns made once and filled in with addresses per invocation.

A path's steps (``guest_kernel.toml``) become arrays of kind, base, offset, size and arg. An invocation adds the
addresses of the objects that it is about (``KernelLayout.bases``) to the offsets; kinds, sizes and args are shared.
"""

import zlib
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.kernel_layout import (
    ABSOLUTE,
    GENERAL_VECTOR,
    SOURCE_PAGE,
    STACK,
    STACK_PAGE,
    USER_PAGE,
    KernelLayout,
    Place,
    lock_region,
)
from discotrace.tracegen.kernel_parameters import LoopParameters, Parameters, Step
from discotrace.tracegen.pages import PAGE_BYTES
from discotrace.tracegen.schema import Kind, Privileged, Rows, Service

INSTRUCTION_BYTES = 4  # MIPS
SPARE_GROUPS = 2  # groups of blocks drawn over the number that the shortest blocks would need


class Mode(Enum):
    """How a path is entered and left."""

    USER = "user"  # trap from user mode: the wired TLB entry changes to the kernel stack and back
    KERNEL = "kernel"  # trap inside the kernel: no wired writes
    CALL = "call"  # called by kernel code: no trap at all


@dataclass(frozen=True)
class ServicePath:
    """Rows of one uninterrupted stretch of a path: 1-D arrays of equal length.

    ``base`` selects a column of ``KernelLayout.bases``, ``offset`` is added to it (modulo 2^64).
    ``file_locks`` are the rows whose ``arg`` is a lock number that the file is added to.
    """

    kind: npt.NDArray[np.uint8]
    base: npt.NDArray[np.intp]
    offset: npt.NDArray[np.uint64]
    size: npt.NDArray[np.uint32]
    arg: npt.NDArray[np.uint32]
    file_locks: npt.NDArray[np.intp]

    def rows(self, layout: KernelLayout, places: list[Place]) -> Rows:
        """The rows of one invocation per place, one after the other. All places have the vcpu and asid of the first."""
        count = len(places)
        vaddr = (layout.bases(places)[:, self.base] + self.offset).ravel()
        kind, size, arg = self.kind, self.size, self.arg
        if self.file_locks.size:
            arg = arg.copy()
            arg[self.file_locks] += np.uint32(places[0].file)
        if count > 1:
            kind, size, arg = np.tile(kind, count), np.tile(size, count), np.tile(arg, count)
        vcpu = np.full(len(vaddr), places[0].vcpu, dtype=np.uint16)
        asid = np.full(len(vaddr), places[0].asid, dtype=np.uint32)
        return Rows(vcpu, asid, kind, vaddr, size, arg)


def loop_instructions(size: int, loops: LoopParameters, per_word: float) -> int:
    """Instructions that a loop needs for so many bytes, at least 1."""
    return max(1, round(size / loops.word_bytes * per_word))


class PathLibrary:
    """Compiles paths when they are first used and keeps them; variants are taken in turn."""

    def __init__(self, layout: KernelLayout) -> None:
        self._layout = layout
        self._parameters = layout.parameters
        self._paths: dict[tuple[str, Mode, int], tuple[ServicePath, ...]] = {}
        self._turns: dict[str, int] = {}

    def take(self, name: str, mode: Mode) -> tuple[ServicePath, ...]:
        """The next variant of a path, cut at its "split" steps.

        Raises ConfigError when the path has fewer instructions than its entry, exit and locks need.
        """
        turn = self._turns.get(name, 0)
        self._turns[name] = (turn + 1) % self._parameters.walk.variants
        found = self._paths.get((name, mode, turn))
        if found is None:
            found = _PathCompiler(self._layout, name, mode, turn).compile()
            self._paths[name, mode, turn] = found
        return found


class _PathCompiler:
    """Compiles one path: collects blocks of (kind, base, offset, size, arg) columns, cut where the path is split."""

    def __init__(self, layout: KernelLayout, name: str, mode: Mode, variant: int) -> None:
        self._layout = layout
        self._parameters: Parameters = layout.parameters
        self._name = name
        self._mode = mode
        self._rng = np.random.default_rng([self._parameters.seed, zlib.crc32(name.encode()), variant])
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._blocks: list[npt.NDArray[np.uint64]] = []
        self._pieces: list[ServicePath] = []

    def compile(self) -> tuple[ServicePath, ...]:
        """The pieces of the path, from entry to exit."""
        service = Service.__members__.get(self._name.upper())
        budget = self._parameters.instructions[self._name] - self._overhead(service is not None)
        if budget < 1:
            raise ConfigError(
                f"guest kernel: instructions.{self._name} is {self._parameters.instructions[self._name]}, "
                f"of which entry, exit and locks need {self._parameters.instructions[self._name] - budget}: raise it"
            )
        if service is not None:
            self._row(Kind.ENTER, arg=service)
            self._entry()
        for step in self._parameters.paths[self._name]:
            self._step(step, budget)
        if service is not None:
            self._exit()
            self._row(Kind.EXIT, arg=service)
        self._cut()
        return tuple(self._pieces)

    def _overhead(self, is_service: bool) -> int:
        """Instructions of entry, exit and locks."""
        entry = self._parameters.entry
        locks = sum(bool(step.lock) for step in self._parameters.paths[self._name])
        total = locks * (entry.lock_instructions + entry.unlock_instructions)
        if not is_service or self._mode is Mode.CALL:
            return total
        wired = entry.wired_instructions if self._mode is Mode.USER else 0
        if self._enters_by_trap():
            total += entry.vector_instructions + wired + entry.save_instructions
        total += entry.restore_instructions + wired + entry.return_instructions
        return total

    def _enters_by_trap(self) -> bool:
        return self._mode is not Mode.CALL and self._name != "switch"

    def _row(self, kind: Kind, base: int = ABSOLUTE, offset: int = 0, size: int = 0, arg: int = 0) -> None:
        self._rows.append((kind, base, offset, size, arg))

    def _fetch(self, vaddr: int, instructions: int) -> None:
        self._row(Kind.FETCH, offset=vaddr, size=instructions * INSTRUCTION_BYTES, arg=instructions)

    def _privileged(self, kind: Privileged, count: int = 1, base: int = ABSOLUTE) -> None:
        self._row(Kind.PRIVILEGED, base, size=count, arg=kind)

    def _entry(self) -> None:
        """From the exception vector to C code: registers, wired entry (from user mode only), trap frame."""
        if not self._enters_by_trap():
            return
        entry = self._parameters.entry
        text = self._layout.routines["exception"]
        self._fetch(GENERAL_VECTOR, entry.vector_instructions)
        self._privileged(Privileged.REGISTER, entry.registers_in)
        self._privileged(Privileged.INTERRUPT)
        self._row(Kind.LOAD, self._layout.base_index("cpu_data"), size=self._parameters.walk.word_bytes)
        if self._mode is Mode.USER:
            self._wired(text, STACK_PAGE)
            text += entry.wired_instructions * INSTRUCTION_BYTES
        self._fetch(text, entry.save_instructions)
        self._row(Kind.STORE, STACK, self._layout.object_bytes("stack"), entry.trap_frame_bytes)

    def _exit(self) -> None:
        """From C code back to where the trap came from."""
        if self._mode is Mode.CALL:
            return
        entry = self._parameters.entry
        text = self._layout.routines["exception"] + self._parameters.routines["exception"] // 2
        self._fetch(text, entry.restore_instructions)
        self._row(Kind.LOAD, STACK, self._layout.object_bytes("stack"), entry.trap_frame_bytes)
        text += entry.restore_instructions * INSTRUCTION_BYTES
        if self._mode is Mode.USER:
            self._wired(text, ABSOLUTE)
            text += entry.wired_instructions * INSTRUCTION_BYTES
        self._privileged(Privileged.REGISTER, entry.registers_out)
        self._privileged(Privileged.INTERRUPT)
        self._fetch(text, entry.return_instructions)
        self._privileged(Privileged.RETURN)

    def _wired(self, text: int, page_base: int) -> None:
        self._fetch(text, self._parameters.entry.wired_instructions)
        self._privileged(Privileged.WIRED, base=page_base)

    def _step(self, step: Step, budget: int) -> None:
        if step.event:
            self._event(step.event)
            return
        if step.lock:
            self._lock(step.lock)
        self._walk(step, max(1, round(step.share * budget)))
        if step.lock:
            self._unlock(step.lock)

    def _event(self, event: str) -> None:
        loops = self._parameters.loops
        text = self._layout.routines["copy_zero"]
        match event:
            case "split":
                self._cut()
            case "zero_page":
                arg = loop_instructions(PAGE_BYTES, loops, loops.zero_instructions_per_word)
                self._row(Kind.ZERO_PAGE, USER_PAGE, size=PAGE_BYTES, arg=arg)
            case "copy_page":
                arg = loop_instructions(PAGE_BYTES, loops, loops.copy_instructions_per_word)
                self._row(Kind.FETCH, offset=text, size=loops.copy_text_bytes, arg=arg)
                self._row(Kind.LOAD, SOURCE_PAGE, size=PAGE_BYTES)
                self._row(Kind.STORE, USER_PAGE, size=PAGE_BYTES)
            case "free_page":
                self._row(Kind.FREE_PAGE, USER_PAGE, size=PAGE_BYTES)
            case "tlb":
                self._privileged(Privileged.TLB)
            case "wired":
                if self._mode is Mode.USER:
                    self._privileged(Privileged.WIRED, base=STACK_PAGE)

    def _lock(self, lock: str) -> None:
        base = self._layout.base_index(lock_region(lock))
        word = self._parameters.walk.word_bytes
        self._fetch(self._layout.routines["lock"], self._parameters.entry.lock_instructions)
        self._row(Kind.LOAD, base, size=word)
        self._row(Kind.STORE, base, size=word)
        self._row(Kind.LOCK, base, arg=self._parameters.locks[lock])

    def _unlock(self, lock: str) -> None:
        base = self._layout.base_index(lock_region(lock))
        text = self._layout.routines["lock"] + self._parameters.routines["lock"] // 2
        self._fetch(text, self._parameters.entry.unlock_instructions)
        self._row(Kind.STORE, base, size=self._parameters.walk.word_bytes)
        self._row(Kind.UNLOCK, base, arg=self._parameters.locks[lock])

    def _walk(self, step: Step, instructions: int) -> None:
        """Basic blocks of a routine with their loads and stores behind each: exactly so many instructions."""
        starts, lengths = self._basic_blocks(self._parameters.routines[step.routine], instructions)
        walk = self._parameters.walk
        references = walk.loads_per_instruction + walk.stores_per_instruction
        counts = self._rng.binomial(lengths, references)
        owner = np.concatenate([np.arange(len(lengths)), np.repeat(np.arange(len(lengths)), counts)])
        order = np.argsort(owner, kind="stable")  # each block's FETCH comes first, then its references
        fetches = np.zeros((5, len(lengths)), dtype=np.uint64)
        fetches[0], fetches[1] = Kind.FETCH, ABSOLUTE
        fetches[2] = starts.astype(np.uint64) + np.uint64(self._layout.routines[step.routine])
        fetches[3], fetches[4] = lengths * INSTRUCTION_BYTES, lengths
        self._flush()
        self._blocks.append(np.concatenate([fetches, self._references(step.data, int(counts.sum()))], axis=1)[:, order])

    def _references(self, data: dict[str, float], count: int) -> npt.NDArray[np.uint64]:
        """Columns of ``count`` loads and stores spread over the objects of the regions by weight."""
        walk = self._parameters.walk
        names = list(data)
        weights = np.array(list(data.values()))
        chosen = self._rng.choice(len(names), size=count, p=weights / weights.sum())
        objects = np.array([self._layout.object_bytes(name) for name in names])
        sizes = np.minimum(objects, walk.reference_bytes)
        stores = walk.stores_per_instruction / (walk.loads_per_instruction + walk.stores_per_instruction)
        columns = np.zeros((5, count), dtype=np.uint64)
        columns[0] = np.where(self._rng.random(count) < stores, Kind.STORE, Kind.LOAD)
        columns[1] = np.array([self._layout.base_index(name) for name in names])[chosen]
        columns[2] = self._rng.integers(0, (objects // sizes)[chosen]) * sizes[chosen]
        columns[3] = sizes[chosen]
        return columns

    def _basic_blocks(self, text_bytes: int, instructions: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Offsets in the routine (bytes) and lengths (instructions) of the blocks of a walk, in order of execution."""
        walk = self._parameters.walk
        groups = instructions // (walk.block_instructions_min * walk.loop_blocks) + SPARE_GROUPS
        count = groups * walk.loop_blocks
        lengths = self._rng.integers(walk.block_instructions_min, walk.block_instructions_max, count, endpoint=True)
        skipped = self._rng.integers(1, walk.skip_instructions_max, count, endpoint=True)
        skipped *= self._rng.random(count) < walk.skip_share
        starts = np.cumsum(lengths + skipped) - (lengths + skipped)
        starts += self._rng.integers(0, text_bytes // INSTRUCTION_BYTES)
        turns = np.where(
            self._rng.random(groups) < walk.loop_share,
            self._rng.integers(2, walk.loop_turns_max, groups, endpoint=True),
            1,
        )
        executed = np.repeat(np.arange(count).reshape(groups, walk.loop_blocks), turns, axis=0).ravel()
        starts, lengths = starts[executed] * INSTRUCTION_BYTES % text_bytes, lengths[executed]
        total = np.cumsum(lengths)
        last = int(np.searchsorted(total, instructions))
        lengths[last] -= total[last] - instructions
        return starts[: last + 1], lengths[: last + 1]

    def _flush(self) -> None:
        """Single rows so far become a block of columns."""
        if self._rows:
            self._blocks.append(np.array(self._rows, dtype=np.uint64).T)
            self._rows = []

    def _cut(self) -> None:
        """The rows since the last cut become a piece."""
        self._flush()
        kind, base, offset, size, arg = np.concatenate(self._blocks, axis=1)
        file_base = self._layout.base_index(lock_region("file"))
        is_lock = (kind == Kind.LOCK) | (kind == Kind.UNLOCK)
        piece = ServicePath(
            kind=kind.astype(np.uint8),
            base=base.astype(np.intp),
            offset=offset,
            size=size.astype(np.uint32),
            arg=arg.astype(np.uint32),
            file_locks=np.flatnonzero(is_lock & (base == file_base)),
        )
        for column in (piece.kind, piece.size, piece.arg):
            column.flags.writeable = False  # invocations share them
        self._pieces.append(piece)
        self._blocks = []
