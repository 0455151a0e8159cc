"""The lackey parser: hand-written logs, and the same answer as a slow parser on random logs cut anywhere."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discotrace.tracegen.lackey import LackeyParser
from discotrace.tracegen.schema import Kind

FETCH, LOAD, STORE = int(Kind.FETCH), int(Kind.LOAD), int(Kind.STORE)
Row = tuple[int, int, int, int]


def parse(log: bytes, cuts: list[int] | None = None) -> tuple[list[Row], list[tuple[int, str]], list[int]]:
    parser = LackeyParser()
    edges = [0, *sorted(cuts or []), len(log)]
    pieces = [parser.feed(log[a:b]) for a, b in pairwise(edges)] + [parser.finish()]
    rows = [row for piece in pieces for row in zip(*(c.tolist() for c in piece.references), strict=True)]
    texts = [(line.row, line.text) for piece in pieces for line in piece.texts]
    return rows, texts, [offset for piece in pieces for offset in piece.malformed]


def parse_slowly(log: bytes) -> tuple[list[Row], list[tuple[int, str]], list[int]]:
    """One line at a time with regular expressions; shares nothing with the parser."""
    rows: list[Row] = []
    texts: list[tuple[int, str]] = []
    malformed: list[int] = []
    extends = False  # whether the last row is a run that the next instruction may extend
    offset = 0
    for line in log[: log.rfind(b"\n") + 1].splitlines(keepends=True):
        text = line.rstrip(b"\n").decode()
        looks = re.match(r"(?:I | [LSM]) (.*)", text, re.DOTALL)
        body = re.fullmatch(r"([0-9a-f]{1,16}),(\d{1,5})", looks[1]) if looks else None
        if looks is None:
            texts.append((len(rows), text))
            extends = False
        elif body is None or int(body[2]) == 0 or int(body[1], 16) + int(body[2]) > 2**64:
            malformed.append(offset)
        elif text[0] == "I":
            address, size = int(body[1], 16), int(body[2])
            if extends and rows[-1][1] + rows[-1][2] == address:
                kind, start, length, count = rows.pop()
                rows.append((kind, start, length + size, count + 1))
            else:
                rows.append((FETCH, address, size, 1))
            extends = True
        else:
            extends = False
            address, size = int(body[1], 16), int(body[2])
            rows += [(LOAD, address, size, 0)] if text[1] in "LM" else []
            rows += [(STORE, address, size, 0)] if text[1] in "SM" else []
        offset += len(line)
    return rows, texts, malformed


def test_instructions_that_follow_each_other_are_one_run() -> None:
    rows, _, _ = parse(b"I  04001000,3\nI  04001003,5\nI  04001008,1\n")
    assert rows == [(FETCH, 0x4001000, 9, 3)]


def test_data_ends_a_run() -> None:
    rows, _, _ = parse(b"I  1000,4\n S 1ffeff,8\nI  1004,4\n")
    assert rows == [(FETCH, 0x1000, 4, 1), (STORE, 0x1FFEFF, 8, 0), (FETCH, 0x1004, 4, 1)]


def test_a_jump_ends_a_run() -> None:
    rows, _, _ = parse(b"I  1000,4\nI  1006,4\n")
    assert rows == [(FETCH, 0x1000, 4, 1), (FETCH, 0x1006, 4, 1)]


def test_a_repeated_instruction_starts_a_run_each_time() -> None:
    rows, _, _ = parse(b"I  1000,2\nI  1000,2\n")
    assert rows == [(FETCH, 0x1000, 2, 1)] * 2


def test_a_modify_is_a_load_and_a_store() -> None:
    rows, _, _ = parse(b" M 1ffeff,16\n")
    assert rows == [(LOAD, 0x1FFEFF, 16, 0), (STORE, 0x1FFEFF, 16, 0)]


def test_other_lines_are_handed_on_with_their_place() -> None:
    log = b"==7== Command: ls\nI  1000,2\nSYSCALL[7,1](12) sys_brk ( 0x0 )[sync] --> Success(0x4) \nI  1002,2\nhi\n"
    rows, texts, malformed = parse(log)
    assert rows == [(FETCH, 0x1000, 2, 1), (FETCH, 0x1002, 2, 1)]
    assert [row for row, _ in texts] == [0, 1, 2]
    assert texts[1][1].startswith("SYSCALL[7,1](12)")
    assert malformed == []


def test_a_reference_after_a_system_call_in_one_line_is_found() -> None:
    rows, texts, _ = parse(b"SYSCALL[7,1](56) sys_clone ( 3d0f00 ) --> [pre-success] Success(0x1145) I  0494db42,3\n")
    assert rows == [(FETCH, 0x494DB42, 3, 1)]
    assert texts == [(0, "SYSCALL[7,1](56) sys_clone ( 3d0f00 ) --> [pre-success] Success(0x1145) ")]


@pytest.mark.parametrize(
    "line",
    [
        b"I  zz,3",
        b"I  1000",
        b"I  1000,",
        b" L 1000,0",
        b" S 1000,4x",
        b" M 10000000000000000,1",
        b" L ffffffffffffffff,2",
    ],
)
def test_malformed_lines_are_reported_with_their_offset(line: bytes) -> None:
    rows, _, malformed = parse(b" L 10,1\n" + line + b"\n L 20,1\n")
    assert rows == [(LOAD, 0x10, 1, 0), (LOAD, 0x20, 1, 0)]
    assert malformed == [8]


def test_the_last_byte_of_the_address_space_can_be_referenced() -> None:
    assert parse(b" L ffffffffffffffff,1\n")[0] == [(LOAD, 2**64 - 1, 1, 0)]


def test_a_line_without_its_end_is_dropped() -> None:
    assert parse(b" L 10,1\n L 20,1")[0] == [(LOAD, 0x10, 1, 0)]


def test_the_offset_counts_all_bytes() -> None:
    parser = LackeyParser()
    parser.feed(b" L 10,1\n L 2")
    assert parser.offset == 8
    parser.finish()
    assert parser.offset == 12


addresses = st.one_of(st.integers(0, 64), st.integers(0, 2**64 - 1))
lines = st.one_of(
    st.builds(lambda a, n: f"I  {a:08x},{n}", addresses, st.integers(0, 15)),
    st.builds(lambda k, a, n: f" {k} {a:08x},{n}", st.sampled_from("LSM"), addresses, st.integers(0, 64)),
    st.sampled_from(
        ["==1== Command: x", "SYSCALL[1,1](0) sys_read ( 5 ) --> [async] ... ", "", "I", " L", "I  ", " X 10,1"]
    ),
    st.text("I LSM,0af9=\n", max_size=12),
)


@given(st.lists(lines, max_size=40), st.lists(st.integers(0, 2000), max_size=5), st.booleans())
def test_random_logs_cut_anywhere_give_what_the_slow_parser_gives(
    parts: list[str], cuts: list[int], ends: bool
) -> None:
    log = "\n".join(parts).encode() + (b"\n" if ends else b"")
    assert parse(log, [min(cut, len(log)) for cut in cuts]) == parse_slowly(log)
