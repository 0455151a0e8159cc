"""The C preprocessor: includes, guards, object-like macros, comments. Compiled; one call does a stretch of a file."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads.pmake_names import ABSENT, Names, find, found_or_entered
from discotrace.tracegen.workloads.pmake_tape import (
    FULL_ROWS,
    fetch,
    library,
    load,
    loop,
    mixed,
    routine,
    store,
    work,
)

END, INCLUDE, FULL, WRITE = range(4)  # why a call returned
MACRO = 1  # kind of a name
POSITION, IS_SKIPPING, INCLUDED, PRODUCED, WRITTEN = range(5)  # of ``state``
HASH, NEWLINE, SPACE, SLASH, STAR, MINUS = 35, 10, 32, 47, 42, 45
MOST_OUTPUT = 1 << 20


class Preprocessor(NamedTuple):
    """``output``: the text so far, of which ``state`` says how much, and how much was written to the file.

    The output file's buffer of ``buffer_bytes`` stands at ``buffer``. A macro's value is ``start << 20 | stop`` in
    ``values``.
    """

    names: Names
    values: npt.NDArray[np.uint8]
    output: npt.NDArray[np.uint8]
    state: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    buffer: int
    buffer_bytes: int


@part
def is_letter(char):  # type: ignore[no-untyped-def]
    """Whether a character can stand in a name."""
    return char == 95 or 48 <= char <= 57 or 65 <= char <= 90 or 97 <= char <= 122


@part
def word_end(text, start):  # type: ignore[no-untyped-def]
    """The end of the name or number that begins at ``start``."""
    stop = start
    while stop < len(text) and is_letter(np.int64(text[stop])):
        stop += 1
    return stop


@part
def line_end(text, start):  # type: ignore[no-untyped-def]
    """The next end of line, or the end of the text."""
    stop = start
    while stop < len(text) and text[stop] != NEWLINE:
        stop += 1
    return stop


@part
def skipped(tape, code, start, stop, base):  # type: ignore[no-untyped-def]
    """The loop that passes over characters: a load a word."""
    if stop > start:
        loop(tape, code, 3, stop - start)
        load(tape, base + start, stop - start)


@part
def _put(tape, image, cpp, text, start, stop):  # type: ignore[no-untyped-def]
    """Copies letters to the output, and a blank behind them."""
    length = stop - start
    at = cpp.state[PRODUCED]
    if at + length + 1 > len(cpp.output):
        cpp.state[PRODUCED] += length + 1
        return
    for place in range(length):
        cpp.output[at + place] = text[start + place]
    cpp.output[at + length] = SPACE
    loop(tape, routine(image, 30, 1, 0), 3, length + 1)
    place = at % cpp.buffer_bytes
    store(tape, cpp.buffer + place, min(length + 1, cpp.buffer_bytes - place))
    cpp.state[PRODUCED] += length + 1


@part
def _directive(tape, image, cpp, text, base):  # type: ignore[no-untyped-def]
    """Obeys the line at the position. Returns INCLUDE when it names a header."""
    state = cpp.state
    start = state[POSITION] + 1
    stop = word_end(text, start)
    end = line_end(text, start)
    work(tape, routine(image, 40, 60, mixed(np.int64(text[start]), stop - start)), 10, mixed(end, start), image)
    load(tape, base + start, stop - start)
    skipped(tape, routine(image, 31, 1, 0), stop, end, base)
    state[POSITION] = end + 1
    first, second = text[start], text[start + 1]
    if first == 101:  # endif
        state[IS_SKIPPING] = 0
        return END
    if state[IS_SKIPPING]:
        return END
    name, name_end = stop + 1, word_end(text, stop + 1)
    if second == 110 and first == 105:  # include <h_12.h>
        state[INCLUDED] = 0
        for i in range(stop + 4, end - 3):
            state[INCLUDED] = 10 * state[INCLUDED] + np.int64(text[i]) - 48
        work(tape, routine(image, 100, 150, mixed(state[INCLUDED], 7)), 14, mixed(start, end), image)
        return INCLUDE
    if first == 105:  # ifndef
        number = find(tape, routine(image, 10, 1, 0), cpp.names, text, name, name_end, base)
        state[IS_SKIPPING] = number != ABSENT and cpp.names.kind[number] == MACRO
        return END
    _define(tape, image, cpp, text, name, name_end, end, base)
    return END


@part
def _define(tape, image, cpp, text, name, name_end, end, base):  # type: ignore[no-untyped-def]
    names = cpp.names
    number = found_or_entered(tape, routine(image, 10, 1, 0), names, text, name, name_end, base)
    start = min(name_end + 1, end)
    at = cpp.used[0]
    for place in range(end - start):
        cpp.values[at + place] = text[start + place]
    cpp.used[0] += end - start
    names.kind[number], names.value[number] = MACRO, at << 20 | cpp.used[0]
    work(tape, routine(image, 250, 120, mixed(number, end)), 12, mixed(number, start), image)
    store(tape, names.vaddr[number], 32)


@part
def _word(tape, image, cpp, text, base):  # type: ignore[no-untyped-def]
    """A name or number: replaced if it is a macro, copied otherwise."""
    start = cpp.state[POSITION]
    stop = word_end(text, start)
    cpp.state[POSITION] = stop
    names = cpp.names
    if text[start] > 57:
        number = find(tape, routine(image, 10, 1, 0), names, text, start, stop, base)
        if number != ABSENT and names.kind[number] == MACRO:
            value = names.value[number]
            work(tape, routine(image, 400, 200, mixed(number, 3)), 15, mixed(number, value), image)
            work(tape, library(image, mixed(number, 5) % 64), 5, number, image)
            load(tape, names.vaddr[number] + 32, 16)
            _put(tape, image, cpp, cpp.values, value >> 20, value & 0xFFFFF)
            return
    _put(tape, image, cpp, text, start, stop)


@part
def _comment_end(text, start):  # type: ignore[no-untyped-def]
    stop = start + 2
    while stop + 1 < len(text) and not (text[stop] == STAR and text[stop + 1] == SLASH):
        stop += 1
    return stop + 2


@part
def _character(tape, image, cpp, text, base):  # type: ignore[no-untyped-def]
    """One token or a stretch without any, at the position. Returns INCLUDE at the name of a header."""
    state = cpp.state
    at = state[POSITION]
    char = np.int64(text[at])
    fetch(tape, routine(image, 0, 1, 0), 9)
    load(tape, base + at, 1)
    if char == HASH:
        return _directive(tape, image, cpp, text, base)
    if state[IS_SKIPPING]:
        end = line_end(text, at)
        skipped(tape, routine(image, 31, 1, 0), at, end, base)
        state[POSITION] = end + 1
    elif char == SLASH:
        end = _comment_end(text, at)
        skipped(tape, routine(image, 20, 1, 0), at, end, base)
        state[POSITION] = end
    elif is_letter(char):
        work(tape, routine(image, 700, 60, char), 3, mixed(char, at), image)
        _word(tape, image, cpp, text, base)
    elif char in (SPACE, NEWLINE):
        state[POSITION] = at + 1
    else:
        work(tape, routine(image, 760, 60, char), 3, mixed(char, 1), image)
        _put(tape, image, cpp, text, at, at + 1)
        state[POSITION] = at + 1
    return END


@compiled
def preprocess(tape, image, cpp, text, base):  # type: ignore[no-untyped-def]
    """Goes on with the file ``text``, whose copy in memory is at ``base``, until something has to be done for it."""
    state = cpp.state
    while state[POSITION] < len(text):
        if _character(tape, image, cpp, text, base) == INCLUDE:
            return INCLUDE
        if state[PRODUCED] - state[WRITTEN] >= cpp.buffer_bytes:
            return WRITE
        if tape.used[0] >= FULL_ROWS:
            return FULL
    return END


def new_preprocessor(names: Names, buffer: int, buffer_bytes: int) -> Preprocessor:
    """A preprocessor that has seen nothing."""
    values, output = np.zeros(1 << 19, np.uint8), np.zeros(MOST_OUTPUT, np.uint8)
    return Preprocessor(names, values, output, np.zeros(5, np.int64), np.zeros(1, np.int64), buffer, buffer_bytes)
