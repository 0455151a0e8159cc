"""The assembler and the loader: text to words with fixups, objects to one program. Compiled."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads.pmake_names import Names, found_or_entered
from discotrace.tracegen.workloads.pmake_optimizer import MNEMONICS
from discotrace.tracegen.workloads.pmake_preprocessor import END, FULL, line_end, word_end
from discotrace.tracegen.workloads.pmake_tape import FULL_ROWS, library, load, loop, mixed, routine, store, work

INSTRUCTION, SYMBOL = 1, 2  # kinds of names
BRANCH, JUMP = 9, 16  # numbers of beqz and jal; the third word is the target
WORDS = 4  # of a machine instruction: number of the mnemonic, and operands
WORD_BYTES = 4
POSITION, CODE, FIXUPS = range(3)  # of ``state``


class Assembler(NamedTuple):
    """``code``: machine instructions; ``fixups`` (n, 2): word and number of the symbol that belongs there.

    ``code_memory``, ``fixup_memory``: their addresses. A symbol's value is its instruction's number, or -1 as long
    as it is unknown.
    """

    names: Names
    code: npt.NDArray[np.int64]
    fixups: npt.NDArray[np.int64]
    state: npt.NDArray[np.int64]
    code_memory: int
    fixup_memory: int


class Object(NamedTuple):
    """An object file. ``fixups`` (n, 2): word and symbol. ``starts``: where symbols' letters begin and the last ends.

    ``defined``: number of a symbol's instruction, or -1 if it is in another file.
    """

    code: npt.NDArray[np.int64]
    fixups: npt.NDArray[np.int64]
    letters: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    defined: npt.NDArray[np.int64]

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        return 64 + WORD_BYTES * len(self.code) + 8 * len(self.fixups) + len(self.letters) + 16 * len(self.defined)


def new_assembler(names: Names, words: int, fixups: int, code_memory: int, fixup_memory: int) -> Assembler:
    """An assembler, with room for so much, that has seen nothing but does not know its mnemonics either: ``mnemonics``
    are to be entered."""
    code, open_fixups = np.zeros(words, np.int64), np.zeros((fixups, 2), np.int64)
    return Assembler(names, code, open_fixups, np.zeros(3, np.int64), code_memory, fixup_memory)


def words_of(text: str) -> tuple[npt.NDArray[np.uint8], list[tuple[int, int]]]:
    """Letters of words and the (start, stop) of each."""
    stops = np.cumsum([len(word) for word in text.split()]).tolist()
    letters = np.frombuffer("".join(text.split()).encode(), np.uint8).copy()  # all texts are of one type
    return letters, list(zip([0, *stops[:-1]], stops, strict=True))


def mnemonics() -> tuple[npt.NDArray[np.uint8], list[tuple[int, int]]]:
    """The assembler's instructions, as ``words_of``."""
    return words_of(MNEMONICS)


@part
def _append(tape, image, assembler, value):  # type: ignore[no-untyped-def]
    at = assembler.state[CODE]
    assembler.code[at] = value
    assembler.state[CODE] += 1
    store(tape, assembler.code_memory + at * WORD_BYTES, WORD_BYTES)


@part
def _operand(tape, image, assembler, text, start, base):  # type: ignore[no-untyped-def]
    """One operand from ``start`` on; returns its end."""
    is_register = text[start] == 36
    begin = start + is_register
    stop = word_end(text, begin)
    loop(tape, routine(image, 20, 1, 0), 6, stop - start)
    load(tape, base + start, stop - start)
    if text[begin] <= 57:
        value = np.int64(0)
        for i in range(begin, stop):
            value = 10 * value + np.int64(text[i]) - 48
        work(tape, routine(image, 200, 100, mixed(value, np.int64(is_register))), 10, mixed(value, 1), image)
        _append(tape, image, assembler, value)
        return stop
    number = found_or_entered(tape, routine(image, 10, 1, 0), assembler.names, text, begin, stop, base)
    if assembler.names.kind[number] == 0:
        assembler.names.kind[number], assembler.names.value[number] = SYMBOL, -1
    fixup = assembler.state[FIXUPS]
    assembler.fixups[fixup, 0], assembler.fixups[fixup, 1] = assembler.state[CODE], number
    assembler.state[FIXUPS] += 1
    work(tape, routine(image, 300, 120, mixed(number, 3)), 14, mixed(number, fixup), image)
    store(tape, assembler.fixup_memory + fixup * 16, 16)
    _append(tape, image, assembler, -1)
    return stop


@part
def _line(tape, image, assembler, text, base):  # type: ignore[no-untyped-def]
    """Assembles the line at the position."""
    state, names = assembler.state, assembler.names
    start = state[POSITION]
    end = line_end(text, start)
    state[POSITION] = end + 1
    is_label = text[start] != 9
    begin = start if is_label else start + 1
    stop = word_end(text, begin)
    work(tape, routine(image, 30, 60, mixed(np.int64(text[begin]), np.int64(is_label))), 14, mixed(stop, end), image)
    number = found_or_entered(tape, routine(image, 10, 1, 0), names, text, begin, stop, base)
    key = mixed(number % 64, end - start)
    if is_label:
        names.kind[number], names.value[number] = SYMBOL, state[CODE] // WORDS
        work(tape, routine(image, 420, 100, key), 15, key, image)
        store(tape, names.vaddr[number] + 16, 32)
        return
    load(tape, names.vaddr[number] + 16, 32)
    work(tape, routine(image, 520, 300, key), 16, key, image)
    work(tape, library(image, key % 50), 6, key, image)
    first = state[CODE]
    _append(tape, image, assembler, names.value[number])
    while stop < end and state[CODE] < first + WORDS:
        stop = _operand(tape, image, assembler, text, stop + 1, base)
    while state[CODE] < first + WORDS:
        _append(tape, image, assembler, 0)
    work(tape, routine(image, 820, 180, mixed(names.value[number], stop - start)), 14, key >> 2, image)


@compiled
def assemble(tape, image, assembler, text, base):  # type: ignore[no-untyped-def]
    """Goes on with the text, whose copy in memory is at ``base``; FULL or END."""
    while assembler.state[POSITION] < len(text):
        _line(tape, image, assembler, text, base)
        if tape.used[0] >= FULL_ROWS:
            return FULL
    return END


@compiled
def enter_mnemonics(tape, image, names, letters, spans, base):  # type: ignore[no-untyped-def]
    """Fills the table at the start."""
    for number in range(len(spans)):
        start, stop = spans[number]
        name = found_or_entered(tape, routine(image, 10, 1, 0), names, letters, start, stop, base)
        names.kind[name], names.value[name] = INSTRUCTION, number
        store(tape, names.vaddr[name] + 16, 32)


@compiled
def fix(tape, image, assembler, first_fixup):  # type: ignore[no-untyped-def]
    """Puts the values of known symbols where they belong; returns how many fixups are left, which come first then."""
    left, names = first_fixup, assembler.names
    for i in range(first_fixup, assembler.state[FIXUPS]):
        word, number = assembler.fixups[i]
        work(tape, routine(image, 350, 30, number), 8, mixed(number, word), image)
        load(tape, assembler.fixup_memory + i * 16, 16)
        load(tape, names.vaddr[number] + 16, 16)
        if names.value[number] >= 0:
            assembler.code[word] = names.value[number]
            store(tape, assembler.code_memory + word * WORD_BYTES, WORD_BYTES)
        else:
            assembler.fixups[left, 0], assembler.fixups[left, 1] = word, number
            store(tape, assembler.fixup_memory + left * 16, 16)
            left += 1
    assembler.state[FIXUPS] = left
    return left


@compiled
def merge(tape, image, loader, item, base):  # type: ignore[no-untyped-def]
    """The loader takes an object whose file is at ``base``: its symbols, its code, its open fixups."""
    state, names = loader.state, loader.names
    offset = state[CODE]
    numbers = np.zeros(len(item.defined), np.int64)
    letters_at = base + 64 + WORD_BYTES * len(item.code)
    for i in range(len(item.defined)):
        code = routine(image, 10, 1, 0)
        number = found_or_entered(tape, code, names, item.letters, item.starts[i], item.starts[i + 1], letters_at)
        numbers[i] = number
        work(tape, routine(image, 500, 200, mixed(number, 2)), 12, mixed(number, i), image)
        if names.kind[number] == 0:
            names.kind[number], names.value[number] = SYMBOL, -1
        if item.defined[i] >= 0:
            names.value[number] = item.defined[i] + offset // WORDS
        store(tape, names.vaddr[number] + 16, 16)
    for at in range(0, len(item.code), 32):
        size = min(32, len(item.code) - at)
        loader.code[offset + at : offset + at + size] = item.code[at : at + size]
        loop(tape, library(image, 47), 6, size // 2)
        load(tape, base + 64 + WORD_BYTES * at, WORD_BYTES * size)
        store(tape, loader.code_memory + WORD_BYTES * (offset + at), WORD_BYTES * size)
    state[CODE] += len(item.code)
    _relocate(tape, image, loader, item, numbers, offset, letters_at)


@part
def _relocate(tape, image, loader, item, numbers, offset, table):  # type: ignore[no-untyped-def]
    """Takes over an object's open fixups, and moves what its branches and calls reach in the same file."""
    state = loader.state
    for at in range(0, len(item.code), WORDS):
        if item.code[at] == BRANCH or (item.code[at] == JUMP and item.code[at + 2] >= 0):
            loader.code[offset + at + 2] += offset // WORDS
    for i in range(len(item.fixups)):
        fixup = state[FIXUPS]
        loader.fixups[fixup, 0] = item.fixups[i, 0] + offset
        loader.fixups[fixup, 1] = numbers[item.fixups[i, 1]]
        state[FIXUPS] += 1
        work(tape, routine(image, 700, 200, mixed(i, 5)), 14, mixed(i, offset), image)
        load(tape, table + i * 8, 8)
        store(tape, loader.fixup_memory + fixup * 16, 16)


def object_of(assembler: Assembler, left: int) -> Object:
    """The object file: code, ``left`` fixups, and the functions that it defines or calls."""
    names = assembler.names
    count = int(names.counts[0])
    letters = [bytes(names.pool[s : s + n]) for s, n in zip(names.start[:count], names.length[:count], strict=True)]
    wanted = set(assembler.fixups[:left, 1].tolist())
    kept = [
        i
        for i in range(count)
        if names.kind[i] == SYMBOL and (i in wanted or (names.value[i] >= 0 and not letters[i].startswith(b"L")))
    ]
    place = {number: i for i, number in enumerate(kept)}
    fixups = assembler.fixups[:left].copy()
    fixups[:, 1] = [place[number] for number in fixups[:, 1].tolist()]
    text = np.frombuffer(b"".join(letters[i] for i in kept), np.uint8).copy()
    starts = np.cumsum([0, *(len(letters[i]) for i in kept)], dtype=np.int64)
    code = assembler.code[: assembler.state[CODE]].copy()
    return Object(code, fixups, text, starts, names.value[kept].astype(np.int64))
