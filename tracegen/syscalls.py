"""Parses the lines that valgrind's ``--trace-syscalls=yes`` prints into calls with arguments and results.

A call that blocks is printed in two lines, ``SYSCALL[pid,tid](0) sys_read ( 5, 0x1f, 832 ) --> [async] ...`` and later
``SYSCALL[pid,tid](0) ... [async] --> Success(0x340)``; the others in one. A pointer to a path is followed by the
path in parentheses. A call that a signal interrupts has no second line.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

HEAD = re.compile(r"SYSCALL\[\d+,(\d+)\]\(\s*\d+\) ?(.*)", re.DOTALL)
NAME = re.compile(r"(?:sys_|sys32_)?(\w+)")
# Where the list of arguments ends: " ) --> ...", ")[sync] --> ...", " )   clone(fork): process 1 created child 2"
ARGUMENTS_END = re.compile(r"\s*\)(?=\s*(?:-->|\[sync\]|\w+(?:\(\w+\))?: process|$))")
ARGUMENT = re.compile(r"\s*(?:0x([0-9a-f]+)\((.*?)\)(?=, |\s*$)|([^,]+))", re.DOTALL)
RESULT = re.compile(r"(Success|Failure)\(0x([0-9a-f]+)\)")
CHILD = re.compile(r"created child (\d+)")


@dataclass
class Call:
    """A system call. ``row`` = references of the program before it; ``name`` without ``sys_``.

    ``arguments`` are as printed, pointers included; ``paths`` those that point to text. ``result`` is what it
    returned (the error number if ``failed``), None if it never did. ``child`` is the process that it created, or 0.
    """

    row: int
    name: str
    arguments: tuple[int, ...]
    paths: tuple[str, ...]
    result: int | None = None
    failed: bool = False
    child: int = 0

    def argument(self, index: int) -> int:
        """An argument as the unsigned number that was printed; 0 if valgrind did not print so many."""
        return self.arguments[index] if index < len(self.arguments) else 0

    def descriptor(self, index: int) -> int:
        """An argument that is a C int: valgrind prints -100 as 4294967196."""
        value = self.argument(index) & 0xFFFF_FFFF
        return value - (1 << 32) if value >> 31 else value

    @property
    def value(self) -> int:
        """What a successful call returned, 0 for every other."""
        return self.result if self.result is not None and not self.failed else 0

    @property
    def succeeded(self) -> bool:
        """True if it returned without an error."""
        return self.result is not None and not self.failed


def parse_calls(lines: Iterable[str]) -> list[Call]:
    """The calls of one program in the order in which they began, from lines of a ``.calls`` file (row, tab, text).

    Lines that are no part of a call are skipped.
    """
    calls: list[Call] = []
    pending: dict[str, Call] = {}  # thread -> its call that has not returned
    last_thread = ""
    for line in lines:
        row, _, text = line.rstrip("\n").partition("\t")
        head = HEAD.match(text)
        if head is None:
            # " --> [pre-success] Success(0x0)": the result of the call before, on a line of its own
            call = pending.get(last_thread) if text.startswith(" -->") else None
        else:
            last_thread, text = head[1], head[2]
            if text.startswith("..."):
                call = pending.get(last_thread)
            else:
                call = pending[last_thread] = _parse_call(int(row), text)
                calls.append(call)
        result = RESULT.search(text.rpartition("-->")[2])
        if call is not None and result is not None:
            call.result, call.failed = int(result[2], 16), result[1] == "Failure"
            del pending[last_thread]
    return calls


def _parse_call(row: int, text: str) -> Call:
    name = NAME.match(text)
    start = text.find("(")
    end = ARGUMENTS_END.search(text, start + 1) if start >= 0 else None
    inside = text[start + 1 : end.start()] if end else ""
    arguments, paths = [], []
    for pointer, path, plain in ARGUMENT.findall(inside):
        if pointer:
            arguments.append(int(pointer, 16))
            paths.append(path)
        elif plain.strip():
            arguments.append(_number(plain.strip()))
    child = CHILD.search(text)
    return Call(row, name[1] if name else "", tuple(arguments), tuple(paths), child=int(child[1]) if child else 0)


def _number(text: str) -> int:
    """A printed argument: decimal, hexadecimal with 0x, or (flags of clone) hexadecimal without."""
    for base in (0, 16):
        try:
            return int(text, base)
        except ValueError:
            continue
    return 0
