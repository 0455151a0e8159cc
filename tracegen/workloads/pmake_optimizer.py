"""The compiler's back end: constant folding, common subexpressions, liveness, registers, assembler text. Compiled.

Branches go forwards only, so a pseudo-register lives from its first to its last place in the order of instructions.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads.pmake_parser import (
    ADD,
    AND,
    ARGUMENT,
    BRANCH_ZERO,
    CALL,
    DELETED,
    INSN_BYTES,
    INSNS,
    LABEL,
    LESS,
    MOST_INSNS,
    MOVE,
    MUL,
    NAME,
    NUMBER,
    OR,
    PSEUDOS,
    RETURN_VALUE,
    SUB,
    XOR,
    insn_address,
)
from discotrace.tracegen.workloads.pmake_tape import library, load, loop, mixed, routine, store, work

WORD = 0xFFFFFFFF  # values have 32 bits
VARIABLES = 64  # pseudo-registers below this number are variables
REGISTERS = 12  # that pseudo-registers can get
FIRST_REGISTER = 4  # below: scratch registers for those that live in memory
SPILLED = 100  # + slot: a pseudo-register that lives in memory
NOWHERE = -1
TABLE_SLOTS = 1 << 10  # of the hash table of expressions
ENTRY_BYTES = 24
MNEMONICS = "add sub mul and or xor slt li mv beqz ret sarg larg sres lw sw jal"
PRODUCED, WRITTEN = 0, 1  # of ``state``


class Optimizer(NamedTuple):
    """Working memory: per pseudo-register its constant, value number, first and last place, and home.

    ``table`` (TABLE_SLOTS, 4): operation, left, right, pseudo-register. ``memory``: address of all that. ``mnemonics``:
    names of the instructions. ``output``: assembler text, of which ``state`` says how much; the output file's
    buffer stands at ``buffer``.
    """

    constant: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    home: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]
    output: npt.NDArray[np.uint8]
    state: npt.NDArray[np.int64]
    mnemonics: npt.NDArray[np.uint8]
    memory: int
    buffer: int
    buffer_bytes: int


def new_optimizer(memory: int, buffer: int, buffer_bytes: int) -> Optimizer:
    """An optimizer that has written nothing."""
    constant, number, first, last, home = (np.zeros(MOST_INSNS, np.int64) for _ in range(5))
    words = np.zeros((17, 5), np.uint8)
    for row, word in zip(words, MNEMONICS.split(), strict=True):
        row[: len(word)] = np.frombuffer(word.encode(), np.uint8)
    table, output, state = np.zeros((TABLE_SLOTS, 4), np.int64), np.zeros(1 << 20, np.uint8), np.zeros(2, np.int64)
    return Optimizer(constant, number, first, last, home, table, output, state, words, memory, buffer, buffer_bytes)


@part
def value_of(operation, left, right):  # type: ignore[no-untyped-def]  # noqa: PLR0911, one per operation
    """What an operation gives, in 32 bits."""
    if operation == ADD:
        return (left + right) & WORD
    if operation == SUB:
        return (left - right) & WORD
    if operation == MUL:
        return (left * right) & WORD
    if operation == AND:
        return left & right
    if operation == OR:
        return left | right
    if operation == XOR:
        return left ^ right
    return 1 if left < right else 0


@part
def _visit(tape, image, compiler, i, first, span, blocks):  # type: ignore[no-untyped-def]
    """What every pass does with an instruction: reads it and goes to the code for its kind."""
    insns = compiler.insns
    load(tape, insn_address(compiler, i), INSN_BYTES)
    key = mixed(insns.operation[i] * 8 + insns.left[i] % 8, insns.right[i])
    work(tape, routine(image, first, span, key), blocks, mixed(key, i), image)
    return key


@compiled
def fold(tape, image, compiler, optimizer):  # type: ignore[no-untyped-def]
    """Operations on two constants become constants."""
    insns, constant = compiler.insns, optimizer.constant
    constant[: compiler.state[PSEUDOS]] = NOWHERE
    for i in range(compiler.state[INSNS]):
        _visit(tape, image, compiler, i, 500, 50, 9)
        operation = insns.operation[i]
        if operation == NUMBER:
            constant[insns.target[i]] = insns.left[i] & WORD
        elif ADD <= operation <= LESS:
            left, right = constant[insns.left[i]], constant[insns.right[i]]
            load(tape, optimizer.memory + insns.left[i] * 8, 8)
            load(tape, optimizer.memory + insns.right[i] * 8, 8)
            if left >= 0 and right >= 0:
                insns.operation[i], insns.left[i] = NUMBER, value_of(operation, left, right)
                constant[insns.target[i]] = insns.left[i]
                work(tape, routine(image, 190, 30, left), 12, mixed(left, right), image)
                store(tape, insn_address(compiler, i), INSN_BYTES)


@compiled
def share(tape, image, compiler, optimizer):  # type: ignore[no-untyped-def]
    """An expression whose value a pseudo-register has already becomes a move (local value numbering)."""
    insns, number, table = compiler.insns, optimizer.number, optimizer.table
    next_number = compiler.state[PSEUDOS]
    for pseudo in range(next_number):
        number[pseudo] = pseudo
    table[:, 0] = 0
    for i in range(compiler.state[INSNS]):
        _visit(tape, image, compiler, i, 550, 60, 10)
        operation, target = insns.operation[i], insns.target[i]
        if operation == LABEL:  # what was done before it may have been left out
            table[:, 0] = 0
            for variable in range(VARIABLES):
                number[variable] = next_number + variable
            next_number += VARIABLES
        elif operation == MOVE:
            number[target] = number[insns.left[i]]
        elif operation == NUMBER or ADD <= operation <= LESS:
            left = insns.left[i] if operation == NUMBER else number[insns.left[i]]
            right = 0 if operation == NUMBER else number[insns.right[i]]
            slot = mixed(operation * 4096 + left, right) % TABLE_SLOTS
            found = table[slot]
            address = optimizer.memory + MOST_INSNS * 8 + slot * ENTRY_BYTES
            work(tape, routine(image, 610, 20, slot % 16), 8, slot, image)
            load(tape, address, ENTRY_BYTES)
            if found[0] == operation and found[1] == left and found[2] == right:
                insns.operation[i], insns.left[i], number[target] = MOVE, found[3], number[found[3]]
                store(tape, insn_address(compiler, i), INSN_BYTES)
            else:
                found[0], found[1], found[2], found[3] = operation, left, right, target
                store(tape, address, ENTRY_BYTES)


@part
def _use(tape, optimizer, pseudo, i):  # type: ignore[no-untyped-def]
    optimizer.last[pseudo] = max(optimizer.last[pseudo], i)
    store(tape, optimizer.memory + (3 * MOST_INSNS + pseudo) * 8, 8)


@compiled
def find_lives(tape, image, compiler, optimizer):  # type: ignore[no-untyped-def]
    """First and last place of each pseudo-register; what nobody uses is deleted. Backwards."""
    insns, first, last = compiler.insns, optimizer.first, optimizer.last
    first[: compiler.state[PSEUDOS]] = last[: compiler.state[PSEUDOS]] = NOWHERE
    for i in range(compiler.state[INSNS] - 1, -1, -1):
        _visit(tape, image, compiler, i, 630, 50, 9)
        operation, target = insns.operation[i], insns.target[i]
        if target >= VARIABLES and last[target] == NOWHERE and operation != CALL:
            insns.operation[i] = DELETED
            store(tape, insn_address(compiler, i), 8)
            continue
        if target >= 0:
            _use(tape, optimizer, target, i)
            first[target] = i
        if operation in (MOVE, BRANCH_ZERO, RETURN_VALUE, ARGUMENT) or ADD <= operation <= LESS:
            _use(tape, optimizer, insns.left[i], i)
        if ADD <= operation <= LESS:
            _use(tape, optimizer, insns.right[i], i)
    first[:2] = 0  # parameters come with the call


@compiled
def give_registers(tape, image, compiler, optimizer):  # type: ignore[no-untyped-def]
    """Linear scan: each pseudo-register gets a register while it lives, else a slot in memory."""
    home, first, last = optimizer.home, optimizer.first, optimizer.last
    count = compiler.state[PSEUDOS]
    order = np.argsort(first[:count])
    free_from = np.full(REGISTERS, NOWHERE)
    slots = 0
    for pseudo in order:
        if first[pseudo] == NOWHERE:
            continue
        key = mixed(pseudo % 32, last[pseudo] - first[pseudo])
        work(tape, routine(image, 700, 60, key), 14, key, image)
        load(tape, optimizer.memory + (4 * MOST_INSNS + pseudo) * 8, 8)
        home[pseudo] = SPILLED + slots
        for register in range(REGISTERS):
            if free_from[register] < first[pseudo]:
                home[pseudo], free_from[register] = FIRST_REGISTER + register, last[pseudo]
                break
        slots += home[pseudo] >= SPILLED
        work(tape, routine(image, 760, 40, mixed(home[pseudo], 1)), 8, key >> 2, image)
        store(tape, optimizer.memory + (5 * MOST_INSNS + pseudo) * 8, 8)


# ---- assembler text -----------------------------------------------------------------------------------------------


@part
def _char(optimizer, char):  # type: ignore[no-untyped-def]
    optimizer.output[optimizer.state[PRODUCED]] = char
    optimizer.state[PRODUCED] += 1


@part
def _number(optimizer, value):  # type: ignore[no-untyped-def]
    digits = 1
    while 10**digits <= value:
        digits += 1
    for place in range(digits - 1, -1, -1):
        _char(optimizer, 48 + value // 10**place % 10)


@part
def _word(optimizer, letters, start, length):  # type: ignore[no-untyped-def]
    for i in range(start, start + length):
        if letters[i]:
            _char(optimizer, np.int64(letters[i]))


@part
def _line(optimizer, mnemonic, register, value):  # type: ignore[no-untyped-def]
    """``\\top $register`` and a number, if it is none below 0; the end of the line comes later."""
    _char(optimizer, 9)
    _word(optimizer, optimizer.mnemonics[mnemonic], 0, 5)
    if register >= 0:
        _char(optimizer, 32)
        _char(optimizer, 36)
        _number(optimizer, register)
    if value >= 0:
        _char(optimizer, 44)
        _number(optimizer, value)


@part
def _source(optimizer, pseudo, scratch):  # type: ignore[no-untyped-def]
    """The register that a value is in, loaded first if it lives in memory."""
    home = optimizer.home[pseudo]
    if home < SPILLED:
        return home
    _line(optimizer, 14, scratch, home - SPILLED)
    _char(optimizer, 10)
    return scratch


@part
def _text(compiler, optimizer, i):  # type: ignore[no-untyped-def]
    """The assembler's lines for an instruction."""
    insns = compiler.insns
    operation, target, left, right = insns.operation[i], insns.target[i], insns.left[i], insns.right[i]
    if operation == LABEL:
        _char(optimizer, 76)
        _number(optimizer, left)
        _char(optimizer, 58)
        _char(optimizer, 10)
        return
    register = first = second = NOWHERE
    if operation in (MOVE, BRANCH_ZERO, RETURN_VALUE, ARGUMENT) or ADD <= operation <= LESS:
        first = _source(optimizer, left, 1)
    if ADD <= operation <= LESS:
        second = _source(optimizer, right, 2)
    if target >= 0:
        register = optimizer.home[target] if optimizer.home[target] < SPILLED else 3
    if ADD <= operation <= LESS:
        _line(optimizer, operation - ADD, register, NOWHERE)
        _operand(optimizer, first)
        _operand(optimizer, second)
    elif operation == NUMBER:
        _line(optimizer, 7, register, left & WORD)
    elif operation == MOVE:
        _line(optimizer, 8, register, NOWHERE)
        _operand(optimizer, first)
    elif operation == BRANCH_ZERO:
        _line(optimizer, 9, first, NOWHERE)
        _char(optimizer, 44)
        _char(optimizer, 76)
        _number(optimizer, right)
    elif operation == RETURN_VALUE:
        _line(optimizer, 13, first, NOWHERE)
        _char(optimizer, 10)
        _line(optimizer, 10, NOWHERE, NOWHERE)
    elif operation == ARGUMENT:
        _line(optimizer, 11, first, right)
    else:
        _line(optimizer, 16, register, NOWHERE)
        _char(optimizer, 44)
        _word(optimizer, compiler.names.pool, compiler.names.start[left], compiler.names.length[left])
    _char(optimizer, 10)
    if target >= 0 and optimizer.home[target] >= SPILLED:
        _line(optimizer, 15, 3, optimizer.home[target] - SPILLED)
        _char(optimizer, 10)


@part
def _operand(optimizer, register):  # type: ignore[no-untyped-def]
    _char(optimizer, 44)
    _char(optimizer, 36)
    _number(optimizer, register)


@part
def _begin(compiler, optimizer):  # type: ignore[no-untyped-def]
    """The function's label, and its parameters' way to their homes."""
    names, name = compiler.names, compiler.state[NAME]
    _word(optimizer, names.pool, names.start[name], names.length[name])
    _char(optimizer, 58)
    _char(optimizer, 10)
    for parameter in range(2):
        if optimizer.last[parameter] == NOWHERE:
            continue
        home = optimizer.home[parameter]
        _line(optimizer, 12, home if home < SPILLED else 3, parameter)
        _char(optimizer, 10)
        if home >= SPILLED:
            _line(optimizer, 15, 3, home - SPILLED)
            _char(optimizer, 10)


@compiled
def write_out(tape, image, compiler, optimizer):  # type: ignore[no-untyped-def]
    """Matches each instruction with a pattern and prints it."""
    _begin(compiler, optimizer)
    for i in range(compiler.state[INSNS]):
        key = _visit(tape, image, compiler, i, 800, 100, 14)
        if compiler.insns.operation[i] == DELETED:
            continue
        before = optimizer.state[PRODUCED]
        _text(compiler, optimizer, i)
        length = optimizer.state[PRODUCED] - before
        work(tape, routine(image, 900, 100, mixed(key, length)), 12, key >> 1, image)
        work(tape, library(image, 48 + key % 40), 15, key >> 4, image)
        loop(tape, library(image, 47), 4, length)
        place = before % optimizer.buffer_bytes
        store(tape, optimizer.buffer + place, min(length, optimizer.buffer_bytes - place))
    compiler.state[NAME] = NOWHERE
