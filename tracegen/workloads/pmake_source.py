"""The program that pmake compiles: sources and headers in a small part of C, with an include graph.

One statement or declaration per line. Values are 32-bit integers. Functions whose number is a multiple of
``LEAF_EVERY`` call nothing, the others call only
such ones: every program ends.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAF_EVERY = 4
OPERATORS = ("+", "-", "*", "&", "|", "^", "+", "-")
WORDS = ("board", "side", "piece", "square", "move", "score", "depth", "table", "rank", "castle", "hash", "value")


@dataclass(frozen=True)
class SourceShape:
    """How large the program is. ``includes``: headers that a source names; ``header_lines``: declarations in one."""

    sources: int
    functions: int
    statements: int
    headers: int
    includes: int
    header_lines: int


@dataclass(frozen=True)
class SourceTree:
    """Texts of the headers ``h_<number>.h`` and of the sources, as bytes."""

    headers: tuple[npt.NDArray[np.uint8], ...]
    sources: tuple[npt.NDArray[np.uint8], ...]


def make_source_tree(shape: SourceShape, seed: int) -> SourceTree:
    """A program of this shape; the n-th source does not depend on how many there are."""
    headers = tuple(
        _bytes(_header(number, shape, np.random.default_rng([seed, 1, number]))) for number in range(shape.headers)
    )
    sources = tuple(
        _bytes(_source(number, shape, np.random.default_rng([seed, 2, number]))) for number in range(shape.sources)
    )
    return SourceTree(headers, sources)


def _bytes(lines: list[str]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(("\n".join(lines) + "\n").encode(), np.uint8).copy()  # all texts are of one type


def _comment(rng: np.random.Generator) -> str:
    return "/* " + " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), rng.integers(4, 12))) + " */"


def _header(number: int, shape: SourceShape, rng: np.random.Generator) -> list[str]:
    """Later headers include earlier ones: the graph has no cycle but for the guards' sake could have."""
    lines = [f"#ifndef H_{number}", f"#define H_{number}"]
    if number:
        lines += [f"#include <h_{i}.h>" for i in sorted(set(rng.integers(0, number, 2).tolist()))]
    for line in range(rng.integers(shape.header_lines // 2, shape.header_lines * 3 // 2 + 1)):
        name = f"{WORDS[rng.integers(0, len(WORDS))]}_{number}_{line}"
        match rng.integers(0, 6):
            case 0:
                lines.append(_comment(rng))
            case 1 | 2:
                lines.append(f"#define M_{number}_{line} {rng.integers(1, 4000)}")
            case 3:
                fields = " ".join(f"int {WORDS[i]}_{number} ;" for i in range(rng.integers(2, 7)))
                lines.append(f"struct {name} {{ {fields} }} ;")
            case 4:
                lines.append(f"typedef int {name} ;")
            case _:
                lines.append(f"extern int {name} ( int , int ) ;")
    # Each header has this one, so that sources have a macro to use.
    lines += [f"#define LIMIT_{number} {rng.integers(10, 500)}", "#endif"]
    return lines


def _source(number: int, shape: SourceShape, rng: np.random.Generator) -> list[str]:
    included = sorted(set(rng.integers(0, shape.headers, shape.includes).tolist()))
    lines = [_comment(rng), *(f"#include <h_{i}.h>" for i in included)]
    for function in range(shape.functions):
        lines += [_comment(rng), f"int f_{number}_{function} ( int a , int b )", "{"]
        lines += _body(number, function, shape.statements, included, rng)
        lines.append("}")
    return lines


def _body(number: int, function: int, statements: int, included: list[int], rng: np.random.Generator) -> list[str]:
    names = ["a", "b"]
    lines: list[str] = []
    for i in range(rng.integers(3, 7)):
        lines += [f"int v{i} ;", f"v{i} = {_expression(names, included, rng, 1)} ;"]
        names.append(f"v{i}")
    is_open = False
    for _ in range(rng.integers(statements * 2 // 3, statements * 4 // 3 + 1)):
        target = names[rng.integers(0, len(names))]
        choice = rng.random()
        if is_open and choice < 0.3:
            lines.append("}")
            is_open = False
        elif not is_open and choice < 0.2:
            lines += [f"if ( {target} < ( {_expression(names, included, rng, 2)} ) )", "{"]
            is_open = True
        elif choice > 0.85 and function % LEAF_EVERY:
            file = number if rng.random() < 0.6 else rng.integers(0, number + 1)
            callee = rng.integers(0, -(-function // LEAF_EVERY)) * LEAF_EVERY
            first, second = (_expression(names, included, rng, 1) for _ in range(2))
            lines.append(f"{target} = f_{file}_{callee} ( {first} , {second} ) ;")
        else:
            lines.append(f"{target} = {_expression(names, included, rng, 3)} ;")
    if is_open:
        lines.append("}")
    return [*lines, f"return {_expression(names, included, rng, 2)} ;"]


def _expression(names: list[str], included: list[int], rng: np.random.Generator, depth: int) -> str:
    if depth == 0 or rng.random() < 0.25:
        choice = rng.random()
        if choice < 0.25:
            return str(rng.integers(0, 1000))
        if choice < 0.4:
            return f"LIMIT_{included[rng.integers(0, len(included))]}"
        return names[rng.integers(0, len(names))]
    left, right = (_expression(names, included, rng, depth - 1) for _ in range(2))
    text = f"{left} {OPERATORS[rng.integers(0, len(OPERATORS))]} {right}"
    return f"( {text} )" if rng.random() < 0.5 else text
