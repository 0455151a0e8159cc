"""Miss curves equal the misses of the naive twin at every size, and those of replay where both are exact."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from discotrace.analysis.curve.curve import Curve
from discotrace.analysis.curve.measure import measured
from discotrace.analysis.curve.question import ALL_SETS, Question
from discotrace.replay.machine import Machine
from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.schema import Rows, TraceMeta
from discotrace.tracegen.writer import write_trace
from tests.oracle.miss_curves import FOREVER, Watched
from tests.property.engine import as_dict, replay
from tests.property.traces import Case, Tables, cases, machines, small_memory_cases, traces, with_memory_for

EXAMPLES = hypothesis.settings().max_examples * 3 // 10  # the twin replays each of many sizes
STEPS = 100
WAYS = 6
SETS = st.sampled_from((None, 1, 2, 8, 64))


@pytest.fixture(autouse=True, scope="module")
def _little_room() -> Iterator[None]:
    """Recorded accesses are handed on every few pages."""
    with patch("discotrace.replay.recording._ROOM", 1):
        yield


def curves(meta: TraceMeta, rows: Rows, tables: Tables, question: Question, batch: int = 1 << 20) -> list[Curve]:
    with TemporaryDirectory() as folder:
        write_trace(Path(folder) / "t", meta, rows)
        with TraceReader(Path(folder) / "t") as reader:
            return measured(reader, Machine.from_tables(tables), question, lambda rows: None, batch).curves


def watched(case: Case) -> Watched:
    twin = Watched(case.meta, case.tables)
    twin.run(case.rows)
    return twin


def misses(curve: Curve, sizes: Iterable[int]) -> list[int]:
    return [round(number) for number in curve.misses_at(np.array(list(sizes))).tolist()]


def some_sizes(curve: Curve) -> list[int]:
    """The small ones, some of the others, and those about the last that changes anything."""
    last = curve.largest or int(curve.break_points()[-1])
    sizes = {*range(1, 8), *(9 * 2**n for n in range(12)), last - 1, last, last + 1}
    return sorted(size for size in sizes if 1 <= size <= (curve.largest or last + 1))


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=STEPS))
def test_tlbs_of_every_size_miss_as_the_twins(case: Case) -> None:
    twin = watched(case)
    (curve,) = curves(case.meta, case.rows, case.tables, Question("tlb"))
    assert curve.accesses == len(twin.translations)
    assert curve.cold == len(set(twin.translations))
    assert misses(curve, some_sizes(curve)) == [twin.tlb_misses(size) for size in some_sizes(curve)]


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=STEPS), SETS)
def test_first_level_caches_of_every_size_miss_as_the_twins(case: Case, sets: int | None) -> None:
    twin = watched(case)
    ways = None if sets == 1 else WAYS
    found = curves(case.meta, case.rows, case.tables, Question("l1", sets, ways))
    assert [curve.scale.name for curve in found] == ["l1i", "l1d"]
    for curve in found:
        name = curve.scale.name
        accesses = [access for access in twin.lines if access.cache == name]
        assert curve.accesses == len(accesses)
        assert curve.cold == len({(access.cpu, access.line) for access in accesses})
        sizes = some_sizes(curve)
        assert misses(curve, sizes) == [twin.l1_misses(name, curve.scale.sets, size) for size in sizes]


def coloured(case: Case) -> Case:
    """The case on first-level caches in whose sets many lines meet, each in one of four by its virtual address."""
    large = {"size_kib": 16, "ways": 1, "line_b": 256}
    caches = {"l1i": large, "l1d": large, "l2": case.tables["l2"] | {"size_kib": 16, "ways": 2, "line_b": 256}}
    memory = with_memory_for(case.meta, case.rows, case.tables | {"memory": {"mib_per_node": 1, "page_kib": 4}})
    return case._replace(tables=memory | caches)


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=2 * STEPS).map(coloured))
def test_lines_under_several_virtual_addresses_miss_as_the_twins(case: Case) -> None:
    twin = watched(case)
    first = curves(case.meta, case.rows, case.tables, Question("l1", None, WAYS))
    hypothesis.target(float(sum(curve.elsewhere for curve in first)))
    for curve in first:
        sizes = range(1, WAYS + 1)
        assert misses(curve, sizes) == [twin.l1_misses(curve.scale.name, 64, size) for size in sizes]
    (second,) = curves(case.meta, case.rows, case.tables, Question("l2", None, WAYS))
    assert second.accesses == len(twin.l2_accesses)


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=STEPS), SETS)
def test_second_level_caches_of_every_size_miss_as_the_twins(case: Case, sets: int | None) -> None:
    twin = watched(case)
    (curve,) = curves(case.meta, case.rows, case.tables, Question("l2", sets, None if sets == 1 else WAYS))
    assert curve.accesses == len(twin.l2_accesses)
    assert curve.cold == len(set(twin.l2_accesses))
    assert misses(curve, some_sizes(curve)) == [twin.l2_misses(curve.scale.sets, size) for size in some_sizes(curve)]


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=STEPS) | small_memory_cases(max_steps=STEPS))
def test_memories_of_every_size_miss_as_the_twins(case: Case) -> None:
    """Pages that are freed and come again, also because the machine itself has too little memory."""
    try:
        twin = watched(case)
    except MemoryError:
        with pytest.raises(ConfigError, match="out of memory"):
            curves(case.meta, case.rows, case.tables, Question("pages"))
        return
    (curve,) = curves(case.meta, case.rows, case.tables, Question("pages"))
    assert curve.accesses == sum(what == "use" for what, _ in twin.pages)
    assert misses(curve, some_sizes(curve)) == [twin.page_misses_at(size) for size in some_sizes(curve)]


@st.composite
def alone(draw: st.DrawFn) -> Case:
    """A trace of any number of CPUs on one, whose L2 takes nothing out of the first level."""
    meta, rows = draw(traces(max_steps=STEPS))
    tables = draw(machines(st.just(1), st.just(4)))
    tables |= {"l2": tables["l2"] | {"inclusive": False}}
    return Case(meta, rows, with_memory_for(meta, rows, tables), "native", FOREVER)


def replayed(case: Case, name: str, sets: int, ways: int) -> int:
    """Misses of a cache of this geometry in a replay."""
    size_kib = sets * ways * case.tables[name]["line_b"] // 1024
    tables = case.tables | {name: case.tables[name] | {"size_kib": size_kib, "ways": ways}}
    counts = as_dict(replay(case.meta, case.rows, Machine.from_tables(tables), "native", FOREVER).finish())
    return sum(
        number
        for key, number in counts.items()
        if key.event.startswith(name) and not key.event.endswith(("hits", "writebacks"))
    )


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(alone(), st.data(), st.sampled_from(["l1i", "l1d", "l2"]), SETS)
def test_without_invalidations_and_inclusion_every_replay_misses_alike(
    case: Case, data: st.DataObject, what: str, sets: int | None
) -> None:
    (curve,) = curves(case.meta, case.rows, case.tables, Question(what, sets, None if sets == 1 else WAYS))
    whole_kib = [size for size in range(1, 65) if curve.scale.unit_bytes * size % 1024 == 0]
    sizes = [size for size in whole_kib if size <= (curve.largest or size)]
    for size in data.draw(st.lists(st.sampled_from(sizes), min_size=2, max_size=3)) if sizes else []:
        assert replayed(case, what, curve.scale.sets, size) == misses(curve, range(size, size + 1))[0]


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=STEPS), st.sampled_from(["tlb", "l1", "l2", "pages"]), st.sampled_from([1, 7, 64]))
def test_batch_size_changes_nothing(case: Case, what: str, batch: int) -> None:
    whole, parts = (curves(case.meta, case.rows, case.tables, Question(what), size) for size in (1 << 20, batch))
    for one, other in zip(whole, parts, strict=True):
        assert (one.accesses, one.cold, one.elsewhere) == (other.accesses, other.cold, other.elsewhere)
        assert misses(one, some_sizes(one)) == misses(other, some_sizes(one))


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=STEPS), st.sampled_from(["l1i", "l1d", "l2"]))
def test_all_numbers_of_sets_at_once_are_each_alone(case: Case, what: str) -> None:
    together = curves(case.meta, case.rows, case.tables, Question(what, ALL_SETS, WAYS))
    assert [curve.scale.sets for curve in together] == [1 << n for n in range(len(together))]
    for curve in together:
        (alone,) = curves(
            case.meta, case.rows, case.tables, Question(what, curve.scale.sets, None if curve.scale.sets == 1 else WAYS)
        )
        assert misses(curve, range(1, WAYS + 1)) == misses(alone, range(1, WAYS + 1))
        assert (curve.accesses, curve.cold) == (alone.accesses, alone.cold)


@hypothesis.settings(max_examples=EXAMPLES)
@hypothesis.given(cases(max_steps=STEPS), st.sampled_from(["tlb", "l1", "l2", "pages"]), st.sampled_from([None, 1, 8]))
def test_larger_is_never_worse_and_only_what_is_cold_misses_for_ever(case: Case, what: str, sets: int | None) -> None:
    for curve in curves(case.meta, case.rows, case.tables, Question(what, sets if what in ("l1", "l2") else None)):
        by_size = misses(curve, range(1, 3000))
        assert by_size == sorted(by_size, reverse=True)
        assert by_size[0] <= curve.accesses
        assert by_size[-1] >= curve.cold + curve.elsewhere
        if curve.largest is None:
            assert by_size[-1] == curve.cold
            assert curve.elsewhere == 0
