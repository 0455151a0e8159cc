"""One pass over a trace that gives the miss curves of a structure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from discotrace.analysis.curve.curve import Curve, Scale
from discotrace.analysis.curve.question import ALL_SETS, CACHES, DEFAULT_WAYS, L1I, L2, PAGES, TLB, Question
from discotrace.analysis.curve.sources import Everything, OfOneCache, SecondLevel, Source
from discotrace.analysis.curve.stacks import SampledStacks, Sets, Stacks, Structure
from discotrace.analysis.run import replay_alone
from discotrace.replay import recording
from discotrace.replay.kernels.state import U64
from discotrace.replay.machine import Cache, Machine
from discotrace.replay.recording import Recording, RecordingSystem
from discotrace.tracegen.reader import BATCH_ROWS, TraceReader


@dataclass(frozen=True)
class Measured:
    """The curves of one question, on a machine with its CPUs resolved."""

    question: Question
    machine: Machine
    curves: list[Curve]


class _Part(NamedTuple):
    """A structure, what reaches it, and the scale of each curve that it gives."""

    source: Source
    structure: Structure
    scales: list[Scale]


class _Reader:
    """Gives each structure its accesses."""

    def __init__(self, parts: list[_Part]) -> None:
        self._parts = parts

    def read(self, owner: int, words: U64, count: int) -> None:
        for part in self._parts:
            part.structure.see(owner, *part.source.pick(owner, words, count))

    def freed(self, slots: list[int]) -> None:
        """Lines stay in caches when their frame is freed, and what a TLB has of a page does too."""


class _PageReader(_Reader):
    """The same of pages, which leave the memory when they are freed."""

    def freed(self, slots: list[int]) -> None:
        words = np.zeros((len(slots), 2), np.uint64)
        words[:, 0] = slots
        for part in self._parts:
            part.structure.forget(words.ravel())


def measured(
    reader: TraceReader,
    machine: Machine,
    question: Question,
    on_rows: Callable[[int], None],
    batch_rows: int = BATCH_ROWS,
) -> Measured:
    """The miss curves that are asked for. ``on_rows`` is told how many more rows are done.

    Raises TraceError with the place in the file for a row that breaks the format, ConfigError for what does not fit
    into the machine and for a sample that is too small to tell anything.
    """
    machine = machine.for_trace(reader.meta.cpus)
    recorded = {TLB: recording.TRANSLATIONS, PAGES: recording.PAGES}.get(question.what, recording.LINES)
    system = RecordingSystem(reader.meta, machine, recorded)
    parts = _parts(question, machine, system)
    accesses = Recording(reader.meta, system, (_PageReader if question.what == PAGES else _Reader)(parts))
    replay_alone(reader, accesses, on_rows, batch_rows)
    accesses.close()
    curves = [curve for part in parts for curve in part.structure.curves(part.scales)]
    return Measured(question, machine, curves)


def _parts(question: Question, machine: Machine, system: RecordingSystem) -> list[_Part]:
    if question.what == TLB:
        reach = machine.tlb.pages_per_entry * machine.page_bytes
        return [_Part(Everything(), _stacks(question), [Scale(TLB, 1, "entries", reach, machine.tlb.entries)])]
    if question.what == PAGES:
        memory = machine.nodes * machine.frames_per_node
        return [_Part(Everything(), _stacks(question), [Scale(PAGES, 1, "pages", machine.page_bytes, memory)])]
    return [_of_cache(name, question, machine, system) for name in CACHES[question.what]]


def _of_cache(name: str, question: Question, machine: Machine, system: RecordingSystem) -> _Part:
    cache: Cache = getattr(machine, name)
    sets = _numbers_of_sets(question, cache)
    source: Source = SecondLevel(machine, system, sets[-1]) if name == L2 else OfOneCache(name != L1I, sets[-1])
    if not question.has_lists:
        return _Part(source, _stacks(question), [_scale(name, cache, 1, "lines")])
    page_lines = machine.page_bytes // cache.line_b
    lists = Sets(
        sets,
        question.ways or max(DEFAULT_WAYS, cache.ways),
        sets[-1] if name == L2 else page_lines,  # physically indexed, a line has one set
        lambda: len(system.memory.frames) * page_lines,
    )
    return _Part(source, lists, [_scale(name, cache, number, "ways") for number in sets])


def _scale(name: str, cache: Cache, sets: int, unit: str) -> Scale:
    own, rest = divmod(cache.size_kib * 1024, sets * cache.line_b)
    return Scale(name, sets, unit, sets * cache.line_b, None if rest or not own else own)


def _stacks(question: Question) -> Stacks | SampledStacks:
    return Stacks() if question.sample is None else SampledStacks(question.sample, question.seed or 0)


def _numbers_of_sets(question: Question, cache: Cache) -> list[int]:
    """Ascending."""
    if question.sets == ALL_SETS:
        return [1 << n for n in range(cache.sets.bit_length())]
    return [question.sets or cache.sets]
