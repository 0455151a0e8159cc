"""The compiler's front end: lexer, parser and the trees and instructions that it makes. Compiled.

Declarations go to the permanent obstack. The tree of a statement lives until its instructions are made (``Insns``);
those live until the function is done.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from discotrace.tracegen.compiled import compiled, part
from discotrace.tracegen.workloads.pmake_names import Names, allocate, found_or_entered
from discotrace.tracegen.workloads.pmake_preprocessor import END, FULL, NEWLINE, SPACE, word_end
from discotrace.tracegen.workloads.pmake_tape import FULL_ROWS, fetch, library, load, mixed, routine, store, work

FUNCTION = 4  # why a call returned: a function has been read
INT, RETURN, IF, STRUCT, TYPEDEF, EXTERN = range(1, 7)  # kinds of names: the keywords, and
TYPE_NAME, FUNCTION_NAME, VARIABLE = 7, 8, 9
KEYWORDS = ("int", "return", "if", "struct", "typedef", "extern")

# Operations of trees and instructions. MOVE, BRANCH_ZERO and so on: ``target``, ``left``, ``right`` of an instruction.
NUMBER, VAR, ADD, SUB, MUL, AND, OR, XOR, LESS, CALL = range(1, 11)
MOVE, BRANCH_ZERO, LABEL, RETURN_VALUE, ARGUMENT, DELETED = range(11, 17)
OPERATOR_CHARS = (43, 45, 42, 38, 124, 94, 60)  # + - * & | ^ <, of ADD to LESS
OPEN_PAREN = 20  # on the operator stack; the callee of a call stands at ``CALLEE +`` it
CALLEE = 1 << 20
NODE_BYTES, INSN_BYTES, DECLARATION_BYTES = 48, 64, 240
MOST_NODES, MOST_INSNS, MOST_STACK = 4096, 8192, 512

POSITION, NODES, OPERANDS, OPERATORS, INSNS, VARIABLES, PSEUDOS, STATEMENT = range(8)  # of ``state``
TARGET, LABELS, BLOCKS, NAME, IS_BODY, DEPTH, PARAMETERS, LAST, LEVEL, IS_CALL = range(8, 18)
AT_START, IN_LOCAL, IN_ASSIGN, IN_RETURN, IN_IF = range(5)  # of a statement


class Insns(NamedTuple):
    """Instructions of one function by number: operation, the pseudo-register it sets, and what it takes."""

    operation: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]


class Compiler(NamedTuple):
    """``nodes``: (MOST_NODES, 4) operation, left, right, result. The stacks hold node numbers and operations.

    ``insn_memory``, ``tree_memory``, ``tables``: addresses of instructions, trees and the parser's tables
    (``table_bytes``). ``locals_of`` (2,): the parameters' names.
    """

    names: Names
    insns: Insns
    nodes: npt.NDArray[np.int64]
    operands: npt.NDArray[np.int64]
    operators: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]
    parameters: npt.NDArray[np.int64]
    state: npt.NDArray[np.int64]
    insn_memory: int
    tree_memory: int
    tables: int
    table_bytes: int


def new_compiler(names: Names, memory: dict[str, int]) -> Compiler:
    """A compiler that has seen nothing; ``memory``: addresses by the names of the fields."""
    operation, target, left, right = (np.zeros(MOST_INSNS, np.int64) for _ in range(4))
    operands, operators, blocks = (np.zeros(MOST_STACK, np.int64) for _ in range(3))
    nodes, parameters, state = np.zeros((MOST_NODES, 4), np.int64), np.zeros(2, np.int64), np.zeros(20, np.int64)
    state[NAME] = state[LAST] = -1
    insns = Insns(operation, target, left, right)
    return Compiler(names, insns, nodes, operands, operators, blocks, parameters, state, **memory)


@part
def precedence(operation):  # type: ignore[no-untyped-def]
    """How strongly an operator binds, as in C; 0 for a parenthesis."""
    if operation == MUL:
        return 6
    if operation in (ADD, SUB):
        return 5
    if operation == LESS:
        return 4
    if operation == AND:
        return 3
    if operation == XOR:
        return 2
    return 1 if operation == OR else 0


@part
def operator(char):  # type: ignore[no-untyped-def]
    """The operation of an operator's character; 0 for others."""
    for i in range(len(OPERATOR_CHARS)):
        if OPERATOR_CHARS[i] == char:
            return ADD + i
    return 0


@part
def insn_address(compiler, number):  # type: ignore[no-untyped-def]
    """Where an instruction stands."""
    return compiler.insn_memory + number * INSN_BYTES


@part
def _node(tape, image, compiler, operation, left, right):  # type: ignore[no-untyped-def]
    """Builds a tree node and pushes it."""
    state = compiler.state
    number = state[NODES]
    state[NODES] += 1
    nodes = compiler.nodes[number]
    nodes[0], nodes[1], nodes[2] = operation, left, right
    address = compiler.tree_memory + number * NODE_BYTES
    key = mixed(operation * 8 + number % 8, left)
    work(tape, routine(image, 240, 60, key % 211), 8, key, image)
    store(tape, address, NODE_BYTES)
    if operation >= ADD:
        load(tape, compiler.tree_memory + left * NODE_BYTES, 16)
    compiler.operands[state[OPERANDS]] = number
    state[OPERANDS] += 1


@part
def _reduce(tape, image, compiler, strength):  # type: ignore[no-untyped-def]
    """Builds nodes of the operators on the stack that bind at least so strongly, down to a parenthesis."""
    state = compiler.state
    while state[OPERATORS] and precedence(compiler.operators[state[OPERATORS] - 1]) >= strength:
        state[OPERATORS] -= 1
        state[OPERANDS] -= 2
        left, right = compiler.operands[state[OPERANDS]], compiler.operands[state[OPERANDS] + 1]
        _node(tape, image, compiler, compiler.operators[state[OPERATORS]], left, right)


@part
def insn(tape, image, compiler, operation, target, left, right):  # type: ignore[no-untyped-def]
    """Appends an instruction to the function."""
    number = compiler.state[INSNS]
    compiler.state[INSNS] += 1
    insns = compiler.insns
    insns.operation[number], insns.target[number] = operation, target
    insns.left[number], insns.right[number] = left, right
    key = mixed(operation * 16 + left % 16, right)
    work(tape, routine(image, 340, 100, key), 12, key, image)
    work(tape, routine(image, 440, 60, mixed(operation, left % 4)), 8, key >> 3, image)
    store(tape, insn_address(compiler, number), INSN_BYTES)
    load(tape, insn_address(compiler, max(number - 1, 0)), 16)


@part
def _expand(tape, image, compiler):  # type: ignore[no-untyped-def]
    """Makes the instructions of the statement's tree, whose nodes come in the order of evaluation.

    Returns the pseudo-register of the root.
    """
    state, nodes = compiler.state, compiler.nodes
    for number in range(state[NODES]):
        operation, left, right = nodes[number, 0], nodes[number, 1], nodes[number, 2]
        load(tape, compiler.tree_memory + number * NODE_BYTES, NODE_BYTES)
        key = mixed(operation * 4 + left % 4, number)
        work(tape, routine(image, 300, 40, key), 6, key, image)
        if operation == VAR:
            nodes[number, 3] = left
            continue
        target = state[PSEUDOS]
        state[PSEUDOS] += 1
        nodes[number, 3] = target
        if operation == NUMBER:
            insn(tape, image, compiler, NUMBER, target, left, 0)
        elif operation >= CALLEE:
            insn(tape, image, compiler, ARGUMENT, -1, nodes[left, 3], 0)
            insn(tape, image, compiler, ARGUMENT, -1, nodes[right, 3], 1)
            insn(tape, image, compiler, CALL, target, operation - CALLEE, 0)
        else:
            insn(tape, image, compiler, operation, target, nodes[left, 3], nodes[right, 3])
    root = compiler.operands[state[OPERANDS] - 1]
    state[NODES] = state[OPERANDS] = state[OPERATORS] = 0
    return nodes[root, 3]


@part
def _end_statement(tape, image, compiler):  # type: ignore[no-untyped-def]
    state = compiler.state
    statement = state[STATEMENT]
    state[STATEMENT] = AT_START
    if statement == IN_LOCAL:
        return
    _reduce(tape, image, compiler, 1)
    result = _expand(tape, image, compiler)
    if statement == IN_ASSIGN:
        insn(tape, image, compiler, MOVE, state[TARGET], result, 0)
    elif statement == IN_RETURN:
        insn(tape, image, compiler, RETURN_VALUE, -1, result, 0)
    else:
        insn(tape, image, compiler, BRANCH_ZERO, -1, result, state[LABELS])
        compiler.blocks[state[BLOCKS]] = state[LABELS]
        state[BLOCKS] += 1
        state[LABELS] += 1


@part
def _declare_variable(tape, image, compiler, name):  # type: ignore[no-untyped-def]
    names, state = compiler.names, compiler.state
    names.kind[name], names.value[name] = VARIABLE, state[VARIABLES]
    state[VARIABLES] += 1
    work(tape, routine(image, 120, 50, mixed(name, 2)), 14, mixed(name, 1), image)
    store(tape, names.vaddr[name] + 16, 16)
    store(tape, compiler.insn_memory - (state[VARIABLES] % 64 + 1) * 80, 80)


@part
def _declare(tape, image, compiler, name):  # type: ignore[no-untyped-def]
    """A declaration of the file: its node goes to the permanent obstack."""
    if name < 0:
        return
    names = compiler.names
    if names.kind[name] <= EXTERN and names.kind[name] > 0:
        return
    names.kind[name] = FUNCTION_NAME
    key = mixed(name, names.length[name])
    work(tape, routine(image, 120, 60, key % 97), 15, key, image)
    work(tape, routine(image, 180, 60, key % 89), 12, key >> 2, image)
    node = allocate(tape, routine(image, 5, 1, 0), names, DECLARATION_BYTES)
    work(tape, library(image, key % 40), 6, key, image)
    names.value[name] = node
    store(tape, names.vaddr[name] + 16, 16)
    load(tape, node, 32)


@part
def _outside(tape, image, compiler, char, name):  # type: ignore[no-untyped-def]
    """A token outside of functions. True when the body of a function begins."""
    state = compiler.state
    kind = compiler.names.kind[name] if name >= 0 else -1
    if name >= 0:
        if not INT <= kind <= EXTERN:
            if state[NAME] >= 0 and state[PARAMETERS] < 2:
                compiler.parameters[state[PARAMETERS]] = name
                state[PARAMETERS] += 1
            state[LAST] = name
    elif char == 40:
        state[NAME], state[PARAMETERS] = state[LAST], 0
    elif char == 123:
        if state[NAME] >= 0:
            return True
        _declare(tape, image, compiler, state[LAST])
        state[DEPTH] += 1
    elif char == 125:
        state[DEPTH] -= 1
        state[LAST] = -1
    elif char == 59:
        _declare(tape, image, compiler, state[NAME] if state[NAME] >= 0 else state[LAST])
        if state[DEPTH] == 0:
            state[NAME] = state[LAST] = -1
    return False


@part
def _begin_function(tape, image, compiler):  # type: ignore[no-untyped-def]
    state = compiler.state
    _declare(tape, image, compiler, state[NAME])
    state[VARIABLES], state[INSNS], state[BLOCKS], state[IS_BODY] = 0, 0, 0, 1
    state[PSEUDOS] = 64  # pseudo-registers below are variables
    for number in range(2):
        _declare_variable(tape, image, compiler, compiler.parameters[number])


@part
def _operand(tape, image, compiler, name, is_callee):  # type: ignore[no-untyped-def]
    state = compiler.state
    if is_callee:
        if compiler.names.kind[name] != FUNCTION_NAME:
            _declare(tape, image, compiler, name)
        compiler.operators[state[OPERATORS]] = CALLEE + name
        state[OPERATORS] += 1
        state[IS_CALL] = 1
        load(tape, compiler.names.value[name], 32)
    else:
        _node(tape, image, compiler, VAR, compiler.names.value[name], 0)


@part
def _close_paren(tape, image, compiler):  # type: ignore[no-untyped-def]
    """Back to the open parenthesis, or to the call whose arguments end."""
    state = compiler.state
    _reduce(tape, image, compiler, 1)
    state[OPERATORS] -= 1
    found = compiler.operators[state[OPERATORS]]
    if found >= CALLEE:
        state[OPERANDS] -= 2
        left, right = compiler.operands[state[OPERANDS]], compiler.operands[state[OPERANDS] + 1]
        _node(tape, image, compiler, found, left, right)


@part
def _symbol(tape, image, compiler, char):  # type: ignore[no-untyped-def]
    """A character that is no name or number, inside a function. True at the function's end."""
    state = compiler.state
    operation = operator(char)
    if operation:
        _reduce(tape, image, compiler, precedence(operation))
        compiler.operators[state[OPERATORS]] = operation
        state[OPERATORS] += 1
    elif char == 40:
        if not state[IS_CALL]:
            compiler.operators[state[OPERATORS]] = OPEN_PAREN
            state[OPERATORS] += 1
        state[IS_CALL] = 0
    elif char == 44:
        _reduce(tape, image, compiler, 1)
    elif char == 41:
        _close_paren(tape, image, compiler)
    elif char in (59, 123):
        _end_statement(tape, image, compiler)
    elif char == 125:
        if state[BLOCKS] == 0:
            return True
        state[BLOCKS] -= 1
        insn(tape, image, compiler, LABEL, -1, compiler.blocks[state[BLOCKS]], 0)
    return False


@part
def _name(tape, image, compiler, name, is_callee):  # type: ignore[no-untyped-def]
    """A name inside a function."""
    state = compiler.state
    kind = compiler.names.kind[name]
    if kind == INT:
        state[STATEMENT] = IN_LOCAL
    elif kind == RETURN:
        state[STATEMENT] = IN_RETURN
    elif kind == IF:
        state[STATEMENT] = IN_IF
    elif state[STATEMENT] == IN_LOCAL:
        _declare_variable(tape, image, compiler, name)
    elif state[STATEMENT] == AT_START:
        state[STATEMENT], state[TARGET] = IN_ASSIGN, compiler.names.value[name]
    else:
        _operand(tape, image, compiler, name, is_callee)


@part
def _token(tape, image, compiler, text, base):  # type: ignore[no-untyped-def]
    """Reads and obeys the token at the position. True at the end of a function."""
    state = compiler.state
    start = state[POSITION]
    char = np.int64(text[start])
    stop = word_end(text, start)
    fetch(tape, routine(image, 10, 1, 0), 12)
    load(tape, base + start, max(stop - start, 1))
    name, number = -1, np.int64(0)
    if stop > start and char > 57:
        name = found_or_entered(tape, routine(image, 2, 1, 0), compiler.names, text, start, stop, base)
    for i in range(start, stop):
        number = 10 * number + np.int64(text[i]) - 48
    state[POSITION] = max(stop, start + 1)
    key = mixed(char if name < 0 else 300 + compiler.names.kind[name], state[STATEMENT] + 8 * state[IS_BODY])
    work(tape, routine(image, 20, 20, char), 4, key, image)
    work(tape, routine(image, 40, 3, 0), 8, key, image)
    load(tape, compiler.tables + key % (compiler.table_bytes // 8) * 4, 4)
    load(tape, compiler.tables + compiler.table_bytes // 2 + key % (compiler.table_bytes // 16) * 8, 8)
    work(tape, routine(image, 50, 60, key), 5, mixed(key, start), image)
    if not state[IS_BODY]:
        if _outside(tape, image, compiler, char, name):
            _begin_function(tape, image, compiler)
        return False
    if name >= 0:
        after = state[POSITION] + 1
        _name(tape, image, compiler, name, after < len(text) and text[after] == 40 and text[after - 1] == SPACE)
        return False
    if stop > start:
        _node(tape, image, compiler, NUMBER, number, 0)
        return False
    if char == 61:
        return False
    return _symbol(tape, image, compiler, char)


@compiled
def parse(tape, image, compiler, text, base):  # type: ignore[no-untyped-def]
    """Goes on with the text, whose copy in memory is at ``base``, to the end of a function or of the text."""
    state = compiler.state
    while state[POSITION] < len(text):
        char = text[state[POSITION]]
        if char in (SPACE, NEWLINE):
            state[POSITION] += 1
            continue
        if _token(tape, image, compiler, text, base):
            state[IS_BODY] = 0
            state[LAST] = -1
            return FUNCTION
        if tape.used[0] >= FULL_ROWS:
            return FULL
    return END
