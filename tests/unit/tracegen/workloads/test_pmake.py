"""pmake: what its compiler makes computes what the source says, and its traces keep the rules."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discotrace.tracegen.errors import ConfigError
from discotrace.tracegen.reader import TraceReader
from discotrace.tracegen.rules import CHECK_ROWS, FormatChecker
from discotrace.tracegen.workloads.generate import generate
from discotrace.tracegen.workloads.pmake import Pmake
from discotrace.tracegen.workloads.pmake_jobs import Build
from discotrace.tracegen.workloads.pmake_names import ABSENT, enter, find, new_names
from discotrace.tracegen.workloads.pmake_passes import SOURCE_WORDS
from discotrace.tracegen.workloads.pmake_preprocessor import MOST_OUTPUT
from discotrace.tracegen.workloads.pmake_source import SourceShape, make_source_tree
from discotrace.tracegen.workloads.pmake_tape import new_tape
from discotrace.tracegen.workloads.program import Fork, Process

SMALL = Pmake(
    scale=1,
    compilations=2,
    functions=6,
    statements=10,
    headers=8,
    includes=3,
    header_lines=10,
    compiler_kib=256,
    assembler_kib=64,
    tool_kib=64,
    library_kib=64,
    other_files_kib=64,
)
MASK = 0xFFFFFFFF


def run_all(step_of: Any, proc: Process) -> None:
    """Runs a program and all that it forks, each to its end."""
    for step in step_of(proc):
        if isinstance(step, Fork):
            run_all(step.program, proc)


def run_build(knobs: Pmake) -> Build:
    build = Build(knobs, 0)
    numbers: dict[str, int] = {}
    run_all(build.make, Process(1, 0, lambda name, size, disk: numbers.setdefault(name, len(numbers) + 1)))
    return build


@pytest.fixture(scope="module")
def built() -> Build:
    return run_build(SMALL)


# ---- the naive meaning of the source: translated to Python, line by line -------------------------------------------


def meaning(texts: list[str], macros: dict[str, str]) -> dict[str, Callable[[int, int], int]]:
    lines = ["scope = {}"]
    indent = 0
    text = re.sub(r"\w+", lambda found: macros.get(found[0], found[0]), "\n".join(texts))
    for line in text.split("\n"):
        if found := re.fullmatch(r"int (f_\w+) \( int a , int b \)", line):
            lines.append(f"def {found[1]}(a, b):")
        elif found := re.fullmatch(r"if \( (\w+) < (.*) \)", line):
            lines.append("    " * indent + f"if {found[1]} < (({found[2]}) & {MASK}):")
        elif line == "{":
            indent += 1
            lines.append("    " * indent + "pass")
        elif line == "}":
            indent -= 1
        elif found := re.fullmatch(r"(\w+) = (.*) ;", line):
            lines.append("    " * indent + f"{found[1]} = ({found[2]}) & {MASK}")
        elif found := re.fullmatch(r"return (.*) ;", line):
            lines.append("    " * indent + f"return ({found[1]}) & {MASK}")
    scope: dict[str, Any] = {}
    exec("\n".join(lines), scope)
    return {name: value for name, value in scope.items() if name.startswith("f_")}


# ---- the machine that runs what was built --------------------------------------------------------------------------


def call(code: list[int], start: int, arguments: list[int]) -> int:
    """Registers and slots are each call's own: callees save what they use."""
    registers, slots, out, at, result = [0] * 32, {}, [0, 0], start, 0
    while True:
        operation, first, second, third = code[4 * at : 4 * at + 4]
        at += 1
        match operation:
            case 0 | 1 | 2 | 3 | 4 | 5 | 6:
                x, y = registers[second], registers[third]
                registers[first] = (x + y, x - y, x * y, x & y, x | y, x ^ y, int(x < y))[operation] & MASK
            case 7:
                registers[first] = second
            case 8:
                registers[first] = registers[second]
            case 9:
                at = second if registers[first] == 0 else at
            case 10:
                return result
            case 11:
                out[second] = registers[first]
            case 12:
                registers[first] = arguments[second]
            case 13:
                result = registers[first]
            case 14:
                registers[first] = slots[second]
            case 15:
                slots[second] = registers[first]
            case 16:
                registers[first] = call(code, second, list(out))


def test_built_program__computes_what_the_source_says(built: Build) -> None:
    program = built.contents.objects["/work0/program"]
    assert len(program.fixups) == 0
    macros = dict(re.findall(r"#define (\w+) (\d+)", "\n".join(bytes(text).decode() for text in SMALL.tree.headers)))
    expected = meaning([bytes(text).decode() for text in SMALL.tree.sources], macros)
    assert len(expected) == 2 * SMALL.functions
    code = program.code.tolist()
    for i, start in enumerate(program.defined.tolist()):
        name = bytes(program.letters[program.starts[i] : program.starts[i + 1]]).decode()
        for a, b in ((0, 0), (7, 3), (123456, 99), (MASK, 5)):
            assert call(code, start, [a, b]) == expected[name](a, b), name


def test_linked_program__has_room_for_all_objects() -> None:
    build = run_build(replace(SMALL, compilations=3, functions=1000, statements=3))
    objects = build.contents.objects
    program = objects.pop("/work0/program")
    assert len(program.code) == sum(len(one.code) for one in objects.values()) > SOURCE_WORDS
    assert len(program.fixups) == 0


@pytest.mark.parametrize(
    "knobs",
    [
        {"functions": 10, "statements": 300, "headers": 160, "header_lines": 100, "includes": 100},
        {"functions": 1000, "statements": 3, "headers": 20, "header_lines": 800, "includes": 20},
    ],
)
def test_largest_sources__fit_the_memory_of_the_passes(knobs: dict[str, Any]) -> None:
    contents = run_build(replace(SMALL, compilations=1, **knobs)).contents
    assert max(len(text) for text in contents.texts.values()) < MOST_OUTPUT * 2 // 3
    assert max(len(one.code) for one in contents.objects.values()) < SOURCE_WORDS * 2 // 3


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"headers": 0}, "headers is 0, expected 1 to 1000"),
        ({"write_bytes": 1 << 17}, "write_bytes is 131072, expected 1 to 65536"),
        ({"functions": 31, "statements": 100}, "functions x statements is 3,100, expected at most 3,000"),
        ({"headers": 161, "header_lines": 100}, "headers x header_lines is 16,100"),
        ({"scale": 50.0}, "compilations x functions x statements at this scale is 134,400, expected at most 80,000"),
    ],
)
def test_knobs_out_of_range_are_named(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pmake(**knobs)


def test_preprocessor__replaces_macros_and_reads_a_header_once(built: Build) -> None:
    text = bytes(built.contents.texts["/work0/tmp0.i"]).decode()
    assert "LIMIT_" not in text
    assert "#" not in text
    assert "/*" not in text
    declared = re.findall(r"extern int (\w+)", text)
    assert len(declared) == len(set(declared)) > 0


def test_names__finds_what_was_entered() -> None:
    names, tape = new_names(0x1000, 0x10_0000, 50), new_tape()
    words = [f"name_{i}" for i in range(3000)]
    letters = np.frombuffer("".join(words).encode(), np.uint8)
    stops = np.cumsum([len(word) for word in words]).tolist()
    spans = list(zip([0, *stops[:-1]], stops, strict=True))
    assert find(tape, 0, names, letters, *spans[0], 0) == ABSENT
    assert [enter(tape, 0, names, letters, *span) for span in spans] == list(range(3000))
    assert [find(tape, 0, names, letters, *span, 0) for span in spans] == list(range(3000))


def test_sources__do_not_depend_on_how_many_there_are() -> None:
    shape = SourceShape(2, 4, 8, 10, 3, 12)
    few, many = make_source_tree(shape, 7), make_source_tree(replace(shape, sources=5), 7)
    assert all(np.array_equal(a, b) for a, b in zip(few.sources, many.sources, strict=False))


# ---- traces --------------------------------------------------------------------------------------------------------


def test_trace__keeps_the_rules_and_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        generate(SMALL, "pmake", tmp_path / name, version="test")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with TraceReader(tmp_path / "a") as reader:
        checker = FormatChecker(reader.meta)
        violations = [v for rows in reader.batches(CHECK_ROWS) for v in checker.check(rows)]
        assert not violations + checker.finish()


def test_scale__changes_how_many_sources_are_compiled() -> None:
    assert [Pmake(scale=scale).count for scale in (0.02, 0.1, 1)] == [1, 2, 24]


def test_scale__a_part_of_the_makefile_ends_before_the_link() -> None:
    build = run_build(replace(SMALL, scale=0.5))
    assert set(build.contents.objects) == {"/work0/0.o"}
